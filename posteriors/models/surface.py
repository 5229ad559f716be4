"""Smooth surface over a square grid of arms: a Gaussian process with squared-exponential kernel.

The unknowns are independent standard normals, of which the mean of every arm is a linear function,
so that Gaussian posteriors are exact. Length, scale and noise are known.
Source: Rasmussen and Williams (2006); Wu et al. (2018), as a description of human search.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax.numpy as jnp
import numpy as np

from ..base import Arms, Array, Distribution, Model, Params, dist
from ..errors import UsageError

NUGGET = 1e-4
"""Share of variance that is independent for each arm: a smooth kernel is nearly singular."""


@lru_cache(maxsize=16)
def mixing_matrix(side: int, length: float, scale: float) -> np.ndarray:
    """Compute the matrix from the unknowns to the means of the arms.

    side: arms on a side of the square.
    length: of the kernel, in arms.
    scale: standard deviation of a mean.

    Returns: `[arms, arms]`, lower triangular; row a times the unknowns is the mean of arm a.
    """
    place = np.stack(np.meshgrid(np.arange(side), np.arange(side), indexing="ij"), -1)
    place = place.reshape(-1, 2)
    square = np.sum((place[:, None] - place[None]) ** 2, -1)
    kernel = (1 - NUGGET) * np.exp(-square / (2 * length**2)) + NUGGET * np.eye(len(place))
    return np.linalg.cholesky(scale**2 * kernel)


@dataclass(frozen=True)
class Surface(Model):
    """Arm `side` x + y lies at (x, y) of a square; its reward is its mean plus noise.

    side: arms on a side of the square.
    length: distance, in arms, at which means have correlation exp(-1/2).
    scale: standard deviation of a mean, around 0.
    noise: standard deviation of an observation.
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
        """Return the features of an arm.

        action: `[1]`, the arm.

        Returns: features `[D]` and standard deviation `[]` of the noise.
        """
        rows = jnp.asarray(mixing_matrix(self.side, self.length, self.scale), action.dtype)
        return rows[action[0].astype(jnp.int32)], jnp.asarray(self.noise, action.dtype)

    def predict(self, params: Params, stats: Any, action: Array) -> Distribution:
        """Predict the reward.

        params: `height [D]`.
        stats: none.
        action: `[1]`, the arm.
        """
        x, noise = self.linear(action)
        return dist.Normal(x @ params["height"], noise)

    def reward(self, action: Array, observation: Array) -> Array:
        """Return the observation, which is the reward.

        action: not used.
        observation: `[]`.
        """
        return observation
