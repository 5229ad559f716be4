"""Moving unknowns carried forward in time: by sampling, or as a (linearised) Gaussian."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from ..base import Array, Model, Params
from ..errors import UsageError
from ..placeholders import example
from .outcomes import is_normal
from .unknowns import unknowns_of


def sampled_dynamics(model: Model) -> Callable[[Array, Array, Array, Array], Array]:
    """Build `move(key, particles [D, S], action, elapsed) -> [D, S]`, a path of its own each.

    model: a model with `dynamics`.
    """
    unknowns = unknowns_of(model)

    def one(u: Array, key: Array, action: Array, elapsed: Array) -> Array:
        moved = model.dynamics(unknowns.constrain(u), action, elapsed)
        keys = jax.random.split(key, len(moved))
        for k, (name, d) in zip(keys, moved.items(), strict=True):
            value = jnp.ravel(d.sample(k)).astype(u.dtype)
            u = u.at[unknowns.span(name)].set(value)
        return u

    def move(key: Array, particles: Array, action: Array, elapsed: Array) -> Array:
        keys = jax.random.split(key, particles.shape[1])
        moved = jax.vmap(one, in_axes=(1, 0, None, None), out_axes=1)(
            particles, keys, action, jnp.maximum(elapsed, 0.0)
        )
        return jnp.where(elapsed > 0, moved, particles)

    return move


def gaussian_dynamics(
    model: Model, groups: int
) -> Callable[[Array, Array, Array, Array], tuple[Array, Array]]:
    """Build `move(mean [D], covariance [B, b, b], action, elapsed) -> (mean, covariance)`.

    With one block the dynamics' Jacobian is full; otherwise they must act on each coordinate alone,
    and a tangent of ones reads the Jacobian's diagonal.

    model: a model with normal `dynamics`.
    groups: B, blocks of the covariance.

    Raises: UsageError if the dynamics are not normal.
    """
    unknowns = unknowns_of(model)
    params, _, action = example(model)

    def check(params: Params, action: Array) -> None:
        for name, d in model.dynamics(params, action, jnp.ones(())).items():
            if not is_normal(d):
                raise UsageError(
                    f"posterior laplace needs normal dynamics; {name!r} of "
                    f"{type(model).__name__} moves by {type(d).__name__}: use smc"
                )

    jax.eval_shape(check, params, action)

    def step(u: Array, action: Array, elapsed: Array) -> tuple[Array, Array]:
        moved = model.dynamics(unknowns.constrain(u), action, elapsed)
        mean, variance = u, jnp.zeros_like(u)
        for name, d in moved.items():
            span = unknowns.span(name)
            mean = mean.at[span].set(jnp.ravel(d.mean))
            variance = variance.at[span].set(jnp.ravel(d.variance))
        return mean, variance

    def move(mean: Array, covariance: Array, action: Array, elapsed: Array) -> tuple[Array, Array]:
        elapsed = jnp.maximum(elapsed, 0.0)

        def where_to(u: Array) -> Array:
            return step(u, action, elapsed)[0]

        ahead, variance = step(mean, action, elapsed)
        noise = jax.vmap(jnp.diag)(variance.reshape(covariance.shape[:2]))
        if groups == 1:
            jacobian = jax.jacfwd(where_to)(mean)[None]
            spread = jacobian @ covariance @ jnp.swapaxes(jacobian, 1, 2)
        else:
            slope = jax.jvp(where_to, (mean,), (jnp.ones_like(mean),))[1]
            slope = slope.reshape(covariance.shape[:2])
            spread = slope[:, :, None] * covariance * slope[:, None, :]
        return ahead, spread + noise

    return move
