"""Linear regression without an intercept.

Source: posteriordb, sblrc-blr and sblri-blr.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..base import Array, Distribution, Params, dist
from .base import Data, Start, Target


@dataclass(frozen=True)
class LinearRegression(Target):
    """y ~ Normal(X beta, sigma)."""

    data: Data

    def prior(self) -> dict[str, Distribution]:
        size = self.data["X"].shape[1]
        return {
            "beta": dist.Normal(0.0, 10.0).expand((size,)).to_event(1),
            "sigma": dist.HalfNormal(10.0),
        }

    def start(self) -> dict[str, Start]:
        return {"beta": (0.0, 1.0), "sigma": (4.0, 1.0)}

    def rows(self) -> tuple[Any, Any]:
        return self.data["X"], self.data["y"]

    def predict(self, params: Params, stats: Any, action: Array) -> Distribution:
        """Predict an observation.

        params: `beta`, `sigma`.
        stats: none.
        action: `[features]`, a row of X.
        """
        return dist.Normal(action @ params["beta"], params["sigma"])
