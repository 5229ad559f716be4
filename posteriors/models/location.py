"""Location finding: where are K sources, from the strength of their summed signal?

Source: Foster, Ivanova, Malik and Rainforth (2021), Deep Adaptive Design, section 6.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from numpyro.distributions.transforms import IdentityTransform

from ..base import Array, Distribution, Model, Params, Vector, dist


@dataclass(frozen=True)
class Location(Model):
    """sources: K in R^dimensions. background, softening: b and m of the signal; noise: sigma."""

    sources: int = 2
    dimensions: int = 2
    background: float = 0.1
    softening: float = 1e-4
    noise: float = 0.5

    @property
    def actions(self) -> Vector:
        return Vector(self.dimensions)

    @property
    def blocks(self) -> tuple[tuple[int, ...], ...]:
        d = self.dimensions
        return tuple(tuple(range(k * d, (k + 1) * d)) for k in range(self.sources))

    def prior(self) -> dict[str, Distribution]:
        shape = (self.sources, self.dimensions)
        return {"sources": dist.Normal(0.0, 1.0).expand(shape).to_event(2)}

    def predict(self, params: Params, stats: Any, action: Array) -> Distribution:
        square = jnp.sum(jnp.square(params["sources"] - action[None, :]), axis=-1)
        signal = self.background + jnp.sum(1 / (self.softening + square))
        return dist.Normal(jnp.log(signal), self.noise)

    def design(self) -> Distribution:
        return dist.Normal(0.0, 1.0).expand((self.dimensions,)).to_event(1)

    def coordinates(self) -> tuple[Any, ...]:
        return (IdentityTransform(),) * self.dimensions

    def focus(self, key: Array, params: Params) -> Array:
        """Near one believed source, at one of four distances."""
        which, scale, noise = jax.random.split(key, 3)
        source = params["sources"][jax.random.randint(which, (), 0, self.sources)]
        distance = jnp.asarray([0.05, 0.15, 0.5, 1.5])[jax.random.randint(scale, (), 0, 4)]
        return source + distance * jax.random.normal(noise, (self.dimensions,))
