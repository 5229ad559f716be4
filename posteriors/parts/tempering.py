"""Tempering: states in which every past event counts `factor` times as much.

A factor of 1 changes nothing, a factor of 0 leaves the prior.

See also: half_life.py for when a state is tempered and by how much.
Sources: Kulhavy and Zarrop (1993), exponential forgetting towards a prior; Ibrahim and Chen
(2000), power priors.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from ..base import Array, Fade
from .replay_buffer import Buffer, ReplayBuffer

RESERVOIR = "reservoir"
"""The policy that cannot fade: a uniform sample of all events has few of the latest ones."""
LEAST = 1e-3
"""Smallest factor of one step towards the prior; the remaining factor is a second step. Where
variance and factor are both below rounding, a single step would have no Cholesky factor."""


def fade_buffer(buffer: Buffer, factor: Array) -> Buffer:
    """Make every event, stored or folded, count `factor` times as much.

    buffer: the events.
    factor: `[]`, from 0 to 1.

    Returns: the new buffer.
    """
    weight = factor * buffer.events.weight
    return buffer._replace(
        events=buffer.events._replace(weight=weight),
        precision=factor * buffer.precision,
        linear=factor * buffer.linear,
    )


def buffer_fade(store: ReplayBuffer) -> Fade | None:
    """Build `fade` for a state that knows events only through its field `buffer`.

    store: the replay buffer.

    Returns: the function, or None for a reservoir.
    """

    def fade(key: Array, state: Any, factor: Array) -> Any:
        return state._replace(buffer=fade_buffer(state.buffer, factor))

    return None if store.full == RESERVOIR else fade


def estimate_fade(store: ReplayBuffer) -> Fade | None:
    """Build `fade` for a state that knows events only through its field `estimate`, a `MapState`.

    store: the replay buffer.

    Returns: the function, or None for a reservoir.
    """

    def fade(key: Array, state: Any, factor: Array) -> Any:
        buffer = fade_buffer(state.estimate.buffer, factor)
        return state._replace(estimate=state.estimate._replace(buffer=buffer))

    return None if store.full == RESERVOIR else fade


def temper(mean: Array, covariance: Array, factor: Array) -> tuple[Array, Array]:
    """Temper a Gaussian belief in coordinates in which the prior is a standard normal.

    Natural parameters become `factor P + (1 - factor) I` and `factor P mean`, P the precision.

    mean: `[D]`.
    covariance: `[B, b, b]`.
    factor: `[]`, from 0 to 1.

    Returns: the new mean and covariance.
    """
    first, rest = jnp.maximum(factor, LEAST), jnp.minimum(factor / LEAST, 1.0)
    once = _step(mean, covariance, first)

    def again(pair: tuple[Array, Array]) -> tuple[Array, Array]:
        return _step(pair[0], pair[1], rest)

    return jax.lax.cond(rest < 1, again, lambda pair: pair, once)


def _step(mean: Array, covariance: Array, factor: Array) -> tuple[Array, Array]:
    """Temper in one step: C (factor I + (1 - factor) C)^-1, with C the covariance."""
    # The matrix inverted lies between `factor` and 1, however certain the belief is.
    groups, width = covariance.shape[:2]
    blocks = factor * mean.reshape(groups, width, 1)
    mixed = factor * jnp.eye(width, dtype=mean.dtype)[None] + (1 - factor) * covariance
    if width == 1:
        return (blocks / mixed).reshape(mean.shape), covariance / mixed
    root = jnp.linalg.cholesky(mixed)
    both = jnp.concatenate([covariance, blocks], axis=2)
    solved = jax.scipy.linalg.cho_solve((root, True), both)
    wider = solved[:, :, :-1]
    # Rounding leaves it not quite symmetric.
    return solved[:, :, -1].reshape(mean.shape), 0.5 * (wider + jnp.swapaxes(wider, 1, 2))
