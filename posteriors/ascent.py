"""Adam in units of the prior's scale: the climb that backends with an optimiser share.

Not here: what is climbed. One step size then serves every coordinate of every model.
Source: Kingma and Ba (2015).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import optax

from .base import Array
from .unknowns import Unknowns


class Ascent(NamedTuple):
    """init(values) -> moments. step(values, gradient, moments, step_size []) -> (values, moments).

    Values and gradient are `[D]` or `[D, S]`, the gradient that of a log density.
    """

    init: Callable[[Array], Any]
    step: Callable[[Array, Array, Any, Array], tuple[Array, Any]]


def ascent(unknowns: Unknowns) -> Ascent:
    """Climb in the prior standard deviations of a model's unknowns."""
    adam = optax.scale_by_adam()
    spread = jnp.asarray(unknowns.gaussian()[1].astype(unknowns.dtype))

    def step(values: Array, gradient: Array, moments: Any, step_size: Array) -> tuple[Array, Any]:
        sd = spread if values.ndim == 1 else spread[:, None]
        updates, moments = adam.update(sd * gradient, moments)
        return values + step_size * sd * jnp.asarray(updates), moments

    return Ascent(adam.init, step)


def finite_only(gradient: Array) -> tuple[Array, Array]:
    """`gradient [D, S]`, nothing for a particle where it is not finite; whether all were `[]`."""
    sound = jnp.all(jnp.isfinite(gradient), axis=0)
    return jnp.where(sound[None, :], gradient, 0.0), jnp.all(sound)
