"""Hidden Markov model of two states, marginalised by the forward algorithm.

Source: posteriordb, hmm_example-hmm_example.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from numpyro.distributions import constraints

from ..base import Array, Distribution, Params, dist
from .base import Data, Start, Target

MEANS = (3.0, 10.0)
"""Prior means of the two states' emissions."""


@dataclass(frozen=True)
class HiddenMarkov(Target):
    """y_t ~ Normal(mu of its state, 1).

    theta_k is the distribution of the state after state k; the first state has no prior.
    """

    data: Data

    def prior(self) -> dict[str, Distribution]:
        states = int(self.data["K"])
        row = dist.Dirichlet(jnp.ones(states))
        ordered = dist.ImproperUniform(constraints.positive_ordered_vector, (), (states,))
        return {"theta1": row, "theta2": row, "mu": ordered}

    def start(self) -> dict[str, Start]:
        return {"mu": (1.0, 0.3)}

    def log_factor(self, params: Params) -> Array:
        """Compute the log prior of the ordered means.

        params: `mu [2]`.
        """
        return jnp.sum(dist.Normal(jnp.asarray(MEANS), 1.0).log_prob(params["mu"]))

    def log_likelihood(self, params: Params) -> Array:
        """Compute the log likelihood of all data.

        params: `theta1 [2]`, `theta2 [2]`, `mu [2]`.
        """
        y = jnp.asarray(self.data["y"])
        emitted = dist.Normal(params["mu"][None, :], 1.0).log_prob(y[:, None])
        moved = jnp.log(jnp.stack([params["theta1"], params["theta2"]]))

        def step(logs: Array, seen: Array) -> tuple[Array, None]:
            return jax.nn.logsumexp(logs[:, None] + moved, axis=0) + seen, None

        return jax.nn.logsumexp(jax.lax.scan(step, emitted[0], emitted[1:])[0])
