"""Death process: the infection rate of a population, learnt by choosing observation times.

Source: Foster, Ivanova, Malik and Rainforth (2021), appendix; Cook, Gibson and Gilligan (2008).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from numpyro.distributions.transforms import ExpTransform

from ..base import Array, Distribution, Model, Params, Vector, dist
from ..errors import UsageError

LATEST = 10.0
"""Largest time on a grid of candidates; at rates above 1/2 almost all are infected by then."""
SHARPEST = 1.594
"""Rate times time at which the Fisher information of the count about the rate is largest."""
TINY = 1e-12
"""Smallest rate times time; at 0 the log odds would be minus infinity."""


@dataclass(frozen=True)
class DeathProcess(Model):
    """The action is an observation time, the observation the number of infected.

    The rate is theta ~ Normal(1, 1) truncated at 0; every observation is of a new population.
    population: number of individuals.
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
        """Predict the number of infected.

        params: `theta []`, infections per unit of time.
        stats: none.
        action: `[1]`, time, at least 0.
        """
        hazard = jnp.maximum(params["theta"] * jnp.maximum(action[0], 0.0), TINY)
        # P(infected) = 1 - exp(-hazard); as log odds it does not round to 0 or 1.
        return dist.BinomialLogits(jnp.log(-jnp.expm1(-hazard)) + hazard, self.population)

    def design(self) -> Distribution:
        return dist.LogNormal(0.0, 1.0).expand((1,)).to_event(1)

    def coordinates(self) -> tuple[Any, ...]:
        return (ExpTransform(),)

    def focus(self, key: Array, params: Params) -> Array:
        """Draw a time near the most informative one.

        key: random key.
        params: `theta []`.
        """
        return SHARPEST / params["theta"] * jnp.exp(0.5 * jax.random.normal(key, (1,)))
