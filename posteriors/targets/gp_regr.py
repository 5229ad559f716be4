"""Gaussian process regression, with all data as one event.

As in the source, sigma rather than its square is added to the diagonal.
Source: posteriordb, gp_pois_regr-gp_regr.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp

from ..base import Array, Distribution, Params, dist
from .base import Data, Target


@dataclass(frozen=True)
class GaussianProcess(Target):
    """y ~ Normal(0, alpha^2 exp(-(x - x')^2 / (2 rho^2)) + sigma I)."""

    data: Data

    def prior(self) -> dict[str, Distribution]:
        return {
            "rho": dist.Gamma(25.0, 4.0),
            "alpha": dist.HalfNormal(2.0),
            "sigma": dist.HalfNormal(1.0),
        }

    def log_likelihood(self, params: Params) -> Array:
        """Compute the log likelihood of all data.

        params: `rho`, `alpha`, `sigma`.
        """
        x, y = jnp.asarray(self.data["x"], float), jnp.asarray(self.data["y"], float)
        apart = jnp.square((x[:, None] - x[None, :]) / params["rho"])
        cov = jnp.square(params["alpha"]) * jnp.exp(-0.5 * apart)
        cov = cov + params["sigma"] * jnp.eye(len(x))
        return dist.MultivariateNormal(jnp.zeros_like(y), cov).log_prob(y)
