"""A hidden Markov model of two states, summed over its paths by the forward algorithm.

Source: posteriordb, hmm_example-hmm_example.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from numpyro.distributions import constraints

from ..base import Array, Distribution, Params, dist
from ..target import Data, Start, Target

MEANS = (3.0, 10.0)
"""Prior means of the two states' emissions."""


@dataclass(frozen=True)
class HiddenMarkov(Target):
    """y_t ~ Normal(mu of its state, 1). The first state has no prior; theta_k leaves state k."""

    data: Data

    def prior(self) -> dict[str, Distribution]:
        states = int(self.data["K"])
        row = dist.Dirichlet(jnp.ones(states))
        ordered = dist.ImproperUniform(constraints.positive_ordered_vector, (), (states,))
        return {"theta1": row, "theta2": row, "mu": ordered}

    def start(self) -> dict[str, Start]:
        return {"mu": (1.0, 0.3)}

    def log_factor(self, params: Params) -> Array:
        return jnp.sum(dist.Normal(jnp.asarray(MEANS), 1.0).log_prob(params["mu"]))

    def log_likelihood(self, params: Params) -> Array:
        y = jnp.asarray(self.data["y"])
        emitted = dist.Normal(params["mu"][None, :], 1.0).log_prob(y[:, None])
        moved = jnp.log(jnp.stack([params["theta1"], params["theta2"]]))

        def step(logs: Array, seen: Array) -> tuple[Array, None]:
            return jax.nn.logsumexp(logs[:, None] + moved, axis=0) + seen, None

        return jax.nn.logsumexp(jax.lax.scan(step, emitted[0], emitted[1:])[0])
