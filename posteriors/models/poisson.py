"""Poisson regression of a count without a bound, through the logarithm of its rate.

Source: McCullagh and Nelder (1989), Generalized Linear Models, chapter 6.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp

from ..base import Array, Distribution, Params, dist
from .logistic import Logistic

LARGEST = 20.0
"""Bound on the logarithm of a rate, either way: beyond e^20 a count no longer fits an int32."""


@dataclass(frozen=True)
class Poisson(Logistic):
    """The observation is a count of rate exp(x @ weights + offset), weights ~ Normal(0, scale).

    arms, features, intercept: as in linear. offset: known base log rate, such as the logarithm of
    the time watched. The reward is the count.
    """

    scale: float = 0.5

    def predict(self, params: Params, stats: Any, action: Array) -> Distribution:
        log_rate = jnp.clip(self.predictor(params, action), -LARGEST, LARGEST)
        return dist.Poisson(jnp.exp(log_rate))
