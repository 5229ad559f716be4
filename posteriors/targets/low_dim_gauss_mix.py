"""Mixture of two normal distributions with ordered means.

Source: posteriordb, low_dim_gauss_mix-low_dim_gauss_mix.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from numpyro.distributions import constraints

from ..base import Array, Distribution, Params, dist
from .base import Data, Start, Target


@dataclass(frozen=True)
class GaussMix(Target):
    """y ~ theta Normal(mu_1, sigma_1) + (1 - theta) Normal(mu_2, sigma_2), mu_1 < mu_2."""

    data: Data

    def prior(self) -> dict[str, Distribution]:
        return {
            "mu": dist.ImproperUniform(constraints.ordered_vector, (), (2,)),
            "sigma": dist.HalfNormal(2.0).expand((2,)).to_event(1),
            "theta": dist.Beta(5.0, 5.0),
        }

    def start(self) -> dict[str, Start]:
        return {"mu": (0.0, 1.0), "sigma": (1.0, 0.3)}

    def log_factor(self, params: Params) -> Array:
        """Compute the log prior of the ordered means.

        params: `mu [2]`.
        """
        return jnp.sum(dist.Normal(0.0, 2.0).log_prob(params["mu"]))

    def rows(self) -> tuple[Any, Any]:
        y = self.data["y"]
        return np.zeros((len(y), 1)), y

    def predict(self, params: Params, stats: Any, action: Array) -> Distribution:
        """Predict an observation.

        params: `mu [2]`, `sigma [2]`, `theta`.
        stats: none.
        action: `[1]`, 0.
        """
        shares = dist.CategoricalProbs(jnp.stack([params["theta"], 1 - params["theta"]]))
        return dist.MixtureSameFamily(shares, dist.Normal(params["mu"], params["sigma"]))
