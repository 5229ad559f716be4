"""Poisson regression of an unbounded count, through its log rate.

Source: McCullagh and Nelder (1989), Generalized Linear Models, chapter 6.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp

from ..base import Array, Distribution, Params, dist
from .logistic import Logistic

LARGEST = 20.0
"""Bound on the absolute log rate: beyond e^20 a count does not fit an int32."""


@dataclass(frozen=True)
class Poisson(Logistic):
    """Observations are counts of rate exp(x @ weights + offset), weights ~ Normal(0, scale).

    arms, features, intercept: as in linear.
    scale: prior standard deviation of a weight.
    offset: known base log rate, such as the log of the observation time.
    The reward is the count.
    """

    scale: float = 0.5

    def predict(self, params: Params, stats: Any, action: Array) -> Distribution:
        """Predict the count.

        params: `weights`.
        stats: none.
        action: `[1 + features]`, the arm first; or `[features]` without arms.
        """
        log_rate = jnp.clip(self.predictor(params, action), -LARGEST, LARGEST)
        return dist.Poisson(jnp.exp(log_rate))
