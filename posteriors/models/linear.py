"""Linear regression of a reward on a context, with weights for each arm or shared features.

The scale of the noise is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp

from ..base import Arms, Array, Distribution, Model, Params, Vector, dist


def arm_features(action: Array, count: int, context: int) -> Array:
    """Encode an arm and its context as regression features.

    action: `[1 + context]`, the arm first.
    count: number of arms.
    context: numbers of the context.

    Returns: `[count (1 + context)]`, a constant 1 and the context in the arm's own block.
    """
    x = jnp.concatenate([jnp.ones(1, action.dtype), action[1 : 1 + context]])
    chosen = (jnp.arange(count) == action[0].astype(jnp.int32)).astype(action.dtype)
    return (chosen[:, None] * x[None, :]).reshape(-1)


def vector_features(action: Array, intercept: bool) -> Array:
    """Encode a vector action as regression features.

    action: `[n]`.
    intercept: whether to put a constant 1 first.

    Returns: `[n]` or `[1 + n]`.
    """
    return jnp.concatenate([jnp.ones(1, action.dtype), action]) if intercept else action


@dataclass(frozen=True)
class Linear(Model):
    """Observations are rewards, Normal(x @ weights, noise), with weights ~ Normal(0, scale).

    arms: number of arms, each with its own intercept and weights; 0: vector actions.
    features: numbers of the context, or of the vector action.
    noise: standard deviation of an observation.
    scale: prior standard deviation of a weight.
    intercept: whether vector actions have a weight on a constant 1.
    """

    arms: int = 5
    features: int = 4
    noise: float = 0.5
    scale: float = 1.0
    intercept: bool = False

    @property
    def actions(self) -> Arms | Vector:
        return Arms(self.arms, self.features) if self.arms else Vector(self.features)

    @property
    def independent(self) -> int:
        return self.arms or 1

    def _size(self) -> int:
        return self.arms * (self.features + 1) if self.arms else self.features + self.intercept

    def prior(self) -> dict[str, Distribution]:
        return {"weights": dist.Normal(0.0, self.scale).expand((self._size(),)).to_event(1)}

    def linear(self, action: Array) -> tuple[Array, Array]:
        """Encode an action as features.

        action: `[1 + features]`, the arm first; or `[features]` without arms.

        Returns: features `[D]` and standard deviation `[]` of the noise.
        """
        if self.arms:
            x = arm_features(action, self.arms, self.features)
        else:
            x = vector_features(action, self.intercept)
        return x, jnp.asarray(self.noise, x.dtype)

    def predict(self, params: Params, stats: Any, action: Array) -> Distribution:
        """Predict the reward.

        params: `weights`.
        stats: none.
        action: `[1 + features]`, the arm first; or `[features]` without arms.
        """
        x, scale = self.linear(action)
        return dist.Normal(x @ params["weights"], scale)

    def reward(self, action: Array, observation: Array) -> Array:
        """Return the observation, which is the reward.

        action: not used.
        observation: `[]`.
        """
        return observation

    def design(self) -> Distribution:
        return dist.Normal(0.0, 1.0).expand((self.actions.size,)).to_event(1)
