"""Logistic regression of a yes or no: disjoint arms seen with a context, or shared features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..base import Arms, Array, Distribution, Model, Params, Vector, dist
from .linear import arm_features, vector_features


@dataclass(frozen=True)
class Logistic(Model):
    """The observation is 0 or 1 with log odds x @ weights + offset, weights ~ Normal(0, scale).

    arms, features, intercept: as in linear. offset: known base log odds, for rare outcomes. The
    reward is the observation.
    """

    arms: int = 5
    features: int = 4
    scale: float = 1.0
    offset: float = 0.0
    intercept: bool = False

    @property
    def actions(self) -> Arms | Vector:
        return Arms(self.arms, self.features) if self.arms else Vector(self.features)

    @property
    def independent(self) -> int:
        return self.arms or 1

    def prior(self) -> dict[str, Distribution]:
        size = self.features + self.intercept
        if self.arms:
            size = self.arms * (self.features + 1)
        return {"weights": dist.Normal(0.0, self.scale).expand((size,)).to_event(1)}

    def predictor(self, params: Params, action: Array) -> Array:
        """`[]` x @ weights + offset, whatever the link makes of it."""
        if self.arms:
            x = arm_features(action, self.arms, self.features)
        else:
            x = vector_features(action, self.intercept)
        return x @ params["weights"] + self.offset

    def predict(self, params: Params, stats: Any, action: Array) -> Distribution:
        return dist.Bernoulli(logits=self.predictor(params, action))

    def reward(self, action: Array, observation: Array) -> Array:
        return observation

    def design(self) -> Distribution:
        return dist.Normal(0.0, 1.0).expand((self.actions.size,)).to_event(1)
