"""Logistic regression of 0 or 1 on a context, with weights for each arm or shared features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..base import Arms, Array, Distribution, Model, Params, Vector, dist
from .linear import arm_features, vector_features


@dataclass(frozen=True)
class Logistic(Model):
    """Observations are 0 or 1 with log odds x @ weights + offset, weights ~ Normal(0, scale).

    arms, features, intercept: as in linear.
    scale: prior standard deviation of a weight.
    offset: known base log odds, for rare outcomes.
    The reward is the observation.
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
        """Compute the linear predictor.

        params: `weights`.
        action: `[1 + features]`, the arm first; or `[features]` without arms.

        Returns: x @ weights + offset, `[]`.
        """
        if self.arms:
            x = arm_features(action, self.arms, self.features)
        else:
            x = vector_features(action, self.intercept)
        return x @ params["weights"] + self.offset

    def predict(self, params: Params, stats: Any, action: Array) -> Distribution:
        """Predict the observation.

        params: `weights`.
        stats: none.
        action: `[1 + features]`, the arm first; or `[features]` without arms.
        """
        return dist.Bernoulli(logits=self.predictor(params, action))

    def reward(self, action: Array, observation: Array) -> Array:
        """Return the observation, which is the reward.

        action: not used.
        observation: `[]`.
        """
        return observation

    def design(self) -> Distribution:
        return dist.Normal(0.0, 1.0).expand((self.actions.size,)).to_event(1)
