"""Linear regression of children's test scores on the IQ of their mothers, with flat priors.

Source: posteriordb, kidiq-kidscore_momiq; Gelman and Hill (2007).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpyro.distributions import constraints

from ..base import Array, Distribution, Params, dist
from .base import Data, Start, Target


@dataclass(frozen=True)
class KidscoreMomiq(Target):
    """kid_score ~ Normal(beta_1 + beta_2 mom_iq, sigma)."""

    data: Data

    def prior(self) -> dict[str, Distribution]:
        return {
            "beta": dist.ImproperUniform(constraints.real, (), (2,)),
            "sigma": dist.HalfCauchy(2.5),
        }

    def start(self) -> dict[str, Start]:
        return {"beta": (0.0, 1.0), "sigma": (4.0, 1.0)}

    def rows(self) -> tuple[Any, Any]:
        return self.data["mom_iq"][:, None], self.data["kid_score"]

    def predict(self, params: Params, stats: Any, action: Array) -> Distribution:
        """Predict a test score.

        params: `beta [2]`, `sigma`.
        stats: none.
        action: `[1]`, the IQ of the mother.
        """
        beta = params["beta"]
        return dist.Normal(beta[0] + beta[1] * action[0], params["sigma"])
