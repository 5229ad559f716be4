"""What backends share in forgetting: events in a memory that fade, a Gaussian that goes back.

Each event's log likelihood is to count `factor` times as much as it did, so that for a factor of 0
the prior is left. Not here: when and by how much (forgetting.py).
Sources: Kulhavy and Zarrop (1993), exponential forgetting towards a prior; Ibrahim and Chen
(2000), power priors.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from .base import Array, Fade
from .history import History, Memory

RESERVOIR = "reservoir"
"""The policy that cannot forget: a uniform sample of all events has few of the last ones."""
LEAST = 1e-3
"""Smallest factor of one step back to the prior; what is left is a second step. Where variance and
factor are both below rounding, a single one would have nothing to take a Cholesky factor of."""


def faded(history: History, factor: Array) -> History:
    """The memory with every event, kept or folded, counting `factor` times as much."""
    weight = factor * history.events.weight
    return history._replace(
        events=history.events._replace(weight=weight),
        precision=factor * history.precision,
        linear=factor * history.linear,
    )


def history_fades(store: Memory) -> Fade | None:
    """`fade` of a state whose `history` is all that it knows of events; None where it cannot."""

    def fade(key: Array, state: Any, factor: Array) -> Any:
        return state._replace(history=faded(state.history, factor))

    return None if store.full == RESERVOIR else fade


def guess_fades(store: Memory) -> Fade | None:
    """The same of a state whose `guess` has the history (climbing.py)."""

    def fade(key: Array, state: Any, factor: Array) -> Any:
        history = faded(state.guess.history, factor)
        return state._replace(guess=state.guess._replace(history=history))

    return None if store.full == RESERVOIR else fade


def tempered(mean: Array, covariance: Array, factor: Array) -> tuple[Array, Array]:
    """A Gaussian belief `[D]`, `[B, b, b]` as it is once its events count `factor` times as much.

    In coordinates in which the prior is a standard normal: natural parameters are then
    `factor P + (1 - factor) I` and `factor P mean`, P being the precision.
    """
    first, rest = jnp.maximum(factor, LEAST), jnp.minimum(factor / LEAST, 1.0)
    once = _step(mean, covariance, first)

    def again(pair: tuple[Array, Array]) -> tuple[Array, Array]:
        return _step(pair[0], pair[1], rest)

    return jax.lax.cond(rest < 1, again, lambda pair: pair, once)


def _step(mean: Array, covariance: Array, factor: Array) -> tuple[Array, Array]:
    """The same in one step. With C the covariance, that is C (factor I + (1 - factor) C)^-1: what
    is inverted lies between `factor` and 1, however certain the belief is."""
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
