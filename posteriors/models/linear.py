"""Linear regression of a reward: disjoint arms seen with a context, or shared features.

Not here: learning the noise; its scale is given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp

from ..base import Arms, Array, Distribution, Model, Params, Vector, dist


def arm_features(action: Array, count: int, context: int) -> Array:
    """`[1 + context]` -> `[count (context + 1)]`: intercept and context in the arm's own block."""
    x = jnp.concatenate([jnp.ones(1, action.dtype), action[1 : 1 + context]])
    chosen = (jnp.arange(count) == action[0].astype(jnp.int32)).astype(action.dtype)
    return (chosen[:, None] * x[None, :]).reshape(-1)


def vector_features(action: Array, intercept: bool) -> Array:
    """`[n]` -> the same numbers, after a constant 1 if there is an intercept."""
    return jnp.concatenate([jnp.ones(1, action.dtype), action]) if intercept else action


@dataclass(frozen=True)
class Linear(Model):
    """The observation is a reward, Normal(x @ weights, noise), weights ~ Normal(0, scale).

    arms > 0: each arm has its own intercept and weights on `features` context numbers.
    arms = 0: the action is itself a vector of `features` numbers, weights are shared; intercept
    adds one more weight, on a constant 1.
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
        if self.arms:
            x = arm_features(action, self.arms, self.features)
        else:
            x = vector_features(action, self.intercept)
        return x, jnp.asarray(self.noise, x.dtype)

    def predict(self, params: Params, stats: Any, action: Array) -> Distribution:
        x, scale = self.linear(action)
        return dist.Normal(x @ params["weights"], scale)

    def reward(self, action: Array, observation: Array) -> Array:
        return observation

    def design(self) -> Distribution:
        return dist.Normal(0.0, 1.0).expand((self.actions.size,)).to_event(1)
