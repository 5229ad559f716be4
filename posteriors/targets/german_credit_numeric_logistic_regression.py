"""Logistic regression of bad credit on 24 standardised features and a constant.

Source: Inference Gym; data: UCI Statlog German Credit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..base import Array, Distribution, Params, dist
from .base import Data, Target


@dataclass(frozen=True)
class GermanCredit(Target):
    """Bad credit ~ Bernoulli(sigmoid(x @ weights)), the constant last."""

    data: Data
    file: ClassVar[str | None] = "german.data-numeric"

    def prior(self) -> dict[str, Distribution]:
        return {"weights": dist.Normal(0.0, 1.0).expand((len(self.data),)).to_event(1)}

    def rows(self) -> tuple[Any, Any]:
        x = np.stack([self.data[str(i)] for i in range(len(self.data) - 1)], axis=1)
        x = (x - x.mean(0)) / x.std(0)
        bad = self.data["Target"] == 2
        return np.hstack([x, np.ones((len(x), 1))]), bad

    def predict(self, params: Params, stats: Any, action: Array) -> Distribution:
        """Predict bad credit.

        params: `weights [25]`.
        stats: none.
        action: `[25]`, standardised features and a constant 1.
        """
        return dist.Bernoulli(logits=action @ params["weights"])
