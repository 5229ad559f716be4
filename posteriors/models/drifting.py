"""Linear regression with drifting weights, each a stationary Ornstein-Uhlenbeck process.

See also: posteriors/parts/half_life.py for forgetting without such a model of the drift.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp

from ..base import Array, Distribution, Params, dist
from .linear import Linear

TINY = 1e-12


@dataclass(frozen=True)
class Drifting(Linear):
    """Linear regression whose weights have correlation exp(-elapsed / memory) across time.

    memory: seconds after which the correlation is 1/e.
    The other options are those of linear.
    """

    arms: int = 3
    features: int = 1
    memory: float = 50.0
    latent: tuple[str, ...] = ("weights",)

    def dynamics(self, params: Params, action: Array, elapsed: Array) -> dict[str, Distribution]:
        """Predict the weights after some time.

        params: `weights`.
        action: not used.
        elapsed: `[]`, seconds.
        """
        kept = jnp.exp(-elapsed / self.memory)
        mean = kept * params["weights"]
        spread = self.scale * jnp.sqrt(-jnp.expm1(-2 * elapsed / self.memory))
        # Without elapsed time the weights stay, but a scale of 0 is no distribution.
        spread = jnp.maximum(spread, TINY) * jnp.ones_like(mean)
        return {"weights": dist.Normal(mean, spread).to_event(1)}
