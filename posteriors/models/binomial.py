"""Binomial regression of the number of successes in a fixed number of trials.

Source: McCullagh and Nelder (1989), Generalized Linear Models, chapter 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..base import Array, Distribution, Params, dist
from ..errors import UsageError
from .logistic import Logistic


@dataclass(frozen=True)
class Binomial(Logistic):
    """Observations are counts of successes, with the log odds of logistic regression.

    trials: largest count; 1 is logistic regression, whose other options are the same.
    The reward is the count.
    """

    trials: int = 10

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise UsageError(f"binomial: trials={self.trials}: must be at least 1")

    def predict(self, params: Params, stats: Any, action: Array) -> Distribution:
        """Predict the count of successes.

        params: `weights`.
        stats: none.
        action: `[1 + features]`, the arm first; or `[features]` without arms.
        """
        return dist.BinomialLogits(self.predictor(params, action), self.trials)
