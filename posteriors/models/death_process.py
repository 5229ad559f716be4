"""The death process: when to look at a population, to learn the rate at which it falls ill.

Source: Foster, Ivanova, Malik and Rainforth (2021), appendix; Cook, Gibson and Gilligan (2008).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from numpyro.distributions.transforms import ExpTransform

from ..base import Array, Distribution, Model, Params, UsageError, Vector, dist

LATEST = 10.0
"""Largest time on a grid of candidates; rates above a half leave almost nobody well by then."""
SHARPEST = 1.594
"""Rate times time at which the count's Fisher information about the rate peaks."""
TINY = 1e-12
"""Smallest rate times time: at time 0 itself the log odds would be minus infinity."""


@dataclass(frozen=True)
class DeathProcess(Model):
    """Action: the time of looking, at least 0. Observation: how many of `population` are ill.

    Each falls ill at rate theta ~ Normal(1, 1) above 0; every look is at a fresh population.
    """

    population: int = 50

    def __post_init__(self) -> None:
        if self.population < 1:
            raise UsageError(f"death-process: population={self.population}: must be at least 1")

    @property
    def actions(self) -> Vector:
        return Vector(1, 0.0, LATEST)

    def prior(self) -> dict[str, Distribution]:
        return {"theta": dist.TruncatedNormal(1.0, 1.0, low=0.0)}

    def predict(self, params: Params, stats: Any, action: Array) -> Distribution:
        hazard = jnp.maximum(params["theta"] * jnp.maximum(action[0], 0.0), TINY)
        # P(ill) = 1 - exp(-hazard), as log odds: nothing rounds to 0 or 1 at either end.
        return dist.BinomialLogits(jnp.log(-jnp.expm1(-hazard)) + hazard, self.population)

    def design(self) -> Distribution:
        return dist.LogNormal(0.0, 1.0).expand((1,)).to_event(1)

    def coordinates(self) -> tuple[Any, ...]:
        return (ExpTransform(),)

    def focus(self, key: Array, params: Params) -> Array:
        """About the time that would tell most if theta were this."""
        return SHARPEST / params["theta"] * jnp.exp(0.5 * jax.random.normal(key, (1,)))
