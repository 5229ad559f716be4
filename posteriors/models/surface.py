"""A smooth surface over a square grid of arms: a Gaussian process, squared-exponential kernel.

Its unknowns are independent standard normals, of which every arm is a fixed mixture, so that any
exact Gaussian backend is exact. Not here: learning the kernel's length, or the noise.
Source: Rasmussen and Williams (2006); Wu et al. (2018), who describe people's search so.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax.numpy as jnp
import numpy as np

from ..base import Arms, Array, Distribution, Model, Params, UsageError, dist

NUGGET = 1e-4
"""Share of an arm's variance that it shares with nobody: a smooth kernel is nearly singular."""


@lru_cache(maxsize=16)
def mixtures(side: int, length: float, scale: float) -> np.ndarray:
    """`[arms, arms]`, lower triangular: row a times the unknowns is arm a's mean."""
    place = np.stack(np.meshgrid(np.arange(side), np.arange(side), indexing="ij"), -1)
    place = place.reshape(-1, 2)
    square = np.sum((place[:, None] - place[None]) ** 2, -1)
    kernel = (1 - NUGGET) * np.exp(-square / (2 * length**2)) + NUGGET * np.eye(len(place))
    return np.linalg.cholesky(scale**2 * kernel)


@dataclass(frozen=True)
class Surface(Model):
    """Arm `side` x + y lies at (x, y) of a square, `side` arms wide, and pays its mean with noise.

    length: how far apart, in arms, means are alike (correlation exp(-1/2)). scale: standard
    deviation of a mean, around 0. noise: of one observation.
    """

    side: int = 4
    length: float = 1.0
    scale: float = 1.0
    noise: float = 0.5

    def __post_init__(self) -> None:
        if self.side < 1 or min(self.length, self.scale, self.noise) <= 0:
            raise UsageError("surface: side must be at least 1, length, scale and noise above 0")

    @property
    def actions(self) -> Arms:
        return Arms(self.side**2)

    def prior(self) -> dict[str, Distribution]:
        return {"height": dist.Normal(0.0, 1.0).expand((self.side**2,)).to_event(1)}

    def linear(self, action: Array) -> tuple[Array, Array]:
        rows = jnp.asarray(mixtures(self.side, self.length, self.scale), action.dtype)
        return rows[action[0].astype(jnp.int32)], jnp.asarray(self.noise, action.dtype)

    def predict(self, params: Params, stats: Any, action: Array) -> Distribution:
        x, noise = self.linear(action)
        return dist.Normal(x @ params["height"], noise)

    def reward(self, action: Array, observation: Array) -> Array:
        return observation
