"""Binomial regression: how many of a fixed number of trials succeed.

Source: McCullagh and Nelder (1989), Generalized Linear Models, chapter 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..base import Array, Distribution, Params, UsageError, dist
from .logistic import Logistic


@dataclass(frozen=True)
class Binomial(Logistic):
    """The observation is a count of 0 to `trials` successes, each with the log odds of logistic.

    The other options are those of logistic, which this is with trials=1. The reward is the count.
    """

    trials: int = 10

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise UsageError(f"binomial: trials={self.trials}: must be at least 1")

    def predict(self, params: Params, stats: Any, action: Array) -> Distribution:
        return dist.BinomialLogits(self.predictor(params, action), self.trials)
