"""Location finding: positions of hidden sources, from the sum of their signals at chosen points.

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
    """The action is a point, the observation the log signal there.

    sources: number of sources K.
    dimensions: of the space.
    background: signal without sources.
    softening: added to squared distances.
    noise: standard deviation of the log signal.
    """

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
        """Predict the log signal at a point.

        params: `sources [K, dimensions]`.
        stats: none.
        action: `[dimensions]`.
        """
        square = jnp.sum(jnp.square(params["sources"] - action[None, :]), axis=-1)
        signal = self.background + jnp.sum(1 / (self.softening + square))
        return dist.Normal(jnp.log(signal), self.noise)

    def design(self) -> Distribution:
        return dist.Normal(0.0, 1.0).expand((self.dimensions,)).to_event(1)

    def coordinates(self) -> tuple[Any, ...]:
        return (IdentityTransform(),) * self.dimensions

    def focus(self, key: Array, params: Params) -> Array:
        """Draw a point near one source, at one of four distances.

        key: random key.
        params: `sources [K, dimensions]`.
        """
        which, scale, noise = jax.random.split(key, 3)
        source = params["sources"][jax.random.randint(which, (), 0, self.sources)]
        distance = jnp.asarray([0.05, 0.15, 0.5, 1.5])[jax.random.randint(scale, (), 0, 4)]
        return source + distance * jax.random.normal(noise, (self.dimensions,))
