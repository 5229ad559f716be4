"""Autoregression with K lags.

Source: posteriordb, arK-arK.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..base import Array, Distribution, Params, dist
from .base import Data, Start, Target


@dataclass(frozen=True)
class ArK(Target):
    """y_t ~ Normal(alpha + sum_k beta_k y_{t-k}, sigma) given the K observations before it."""

    data: Data

    def prior(self) -> dict[str, Distribution]:
        return {
            "alpha": dist.Normal(0.0, 10.0),
            "beta": dist.Normal(0.0, 10.0).expand((int(self.data["K"]),)).to_event(1),
            "sigma": dist.HalfCauchy(2.5),
        }

    def start(self) -> dict[str, Start]:
        return {"alpha": (0.0, 1.0), "beta": (0.0, 1.0), "sigma": (0.0, 1.0)}

    def rows(self) -> tuple[Any, Any]:
        y, lags = self.data["y"], int(self.data["K"])
        before = np.stack([y[lags - k : len(y) - k] for k in range(1, lags + 1)], axis=1)
        return before, y[lags:]

    def predict(self, params: Params, stats: Any, action: Array) -> Distribution:
        """Predict an observation from its predecessors.

        params: `alpha`, `beta [K]`, `sigma`.
        stats: none.
        action: `[K]`, the preceding observations, latest first.
        """
        return dist.Normal(params["alpha"] + action @ params["beta"], params["sigma"])
