"""Linear regression of log earnings on height, with flat priors.

Source: posteriordb, earnings-logearn_height; Gelman and Hill (2007).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpyro.distributions import constraints

from ..base import Array, Distribution, Params, dist
from .base import Data, Start, Target


@dataclass(frozen=True)
class LogearnHeight(Target):
    """log(earn) ~ Normal(beta_1 + beta_2 height, sigma)."""

    data: Data

    def prior(self) -> dict[str, Distribution]:
        return {
            "beta": dist.ImproperUniform(constraints.real, (), (2,)),
            "sigma": dist.ImproperUniform(constraints.positive, (), ()),
        }

    def start(self) -> dict[str, Start]:
        return {"beta": (0.0, 1.0), "sigma": (3.0, 1.0)}

    def rows(self) -> tuple[Any, Any]:
        return self.data["height"][:, None], np.log(self.data["earn"])

    def predict(self, params: Params, stats: Any, action: Array) -> Distribution:
        """Predict log earnings.

        params: `beta [2]`, `sigma`.
        stats: none.
        action: `[1]`, the height.
        """
        beta = params["beta"]
        return dist.Normal(beta[0] + beta[1] * action[0], params["sigma"])
