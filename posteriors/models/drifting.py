"""Linear regression whose weights move: a stationary Ornstein-Uhlenbeck process each.

Not here: forgetting by a half-life (../forgetting.py); the motion is part of what is believed.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp

from ..base import Array, Distribution, Params, dist
from .linear import Linear

TINY = 1e-12


@dataclass(frozen=True)
class Drifting(Linear):
    """As linear, with weights that forget: correlation exp(-elapsed / memory) across time.

    memory: seconds after which a weight keeps 1/e of its past.
    """

    arms: int = 3
    features: int = 1
    memory: float = 50.0
    latent: tuple[str, ...] = ("weights",)

    def dynamics(self, params: Params, action: Array, elapsed: Array) -> dict[str, Distribution]:
        kept = jnp.exp(-elapsed / self.memory)
        mean = kept * params["weights"]
        spread = self.scale * jnp.sqrt(-jnp.expm1(-2 * elapsed / self.memory))
        # No time passed, no motion; but a scale of 0 is not a distribution.
        spread = jnp.maximum(spread, TINY) * jnp.ones_like(mean)
        return {"weights": dist.Normal(mean, spread).to_event(1)}
