"""Brownian motion observed with noise, except in the middle.

Source: Inference Gym.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from ..base import Array, Distribution, Params, dist
from .base import Data, Target


@dataclass(frozen=True)
class BrownianMotion(Target):
    """Steps Normal(0, INNOVATION_NOISE) from 0, observed with OBSERVATION_NOISE."""

    data: Data

    def prior(self) -> dict[str, Distribution]:
        scale = float(self.data["INNOVATION_NOISE"])
        place = np.arange(1, len(self.data["OBSERVED_LOC"]) + 1)
        cov = scale**2 * np.minimum(place[:, None], place[None, :])
        return {"locs": dist.MultivariateNormal(jnp.zeros(len(place)), jnp.asarray(cov))}

    def rows(self) -> tuple[Any, Any]:
        seen = np.flatnonzero(~np.isnan(self.data["OBSERVED_LOC"]))
        return seen[:, None], self.data["OBSERVED_LOC"][seen]

    def predict(self, params: Params, stats: Any, action: Array) -> Distribution:
        """Predict the observation of one location.

        params: `locs`.
        stats: none.
        action: `[1]`, an index into `locs`.
        """
        place = params["locs"][action[0].astype(jnp.int32)]
        return dist.Normal(place, float(self.data["OBSERVATION_NOISE"]))
