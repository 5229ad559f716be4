"""Objects that each climb to better neighbours, alone or on events counted by a bootstrap."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..base import Array, Belief, Event, Info, Posterior
from ..parts.draws import uniform_draws
from ..parts.unknowns import unknowns_of
from .evidence import Evidence
from .moves import Moved, climb

TRIES = 64
"""Neighbours that one refine step looks at, an object."""
Shares = Callable[[Array, int], Array]
"""`(key, S) -> [S]`: how often each object counts an event."""


class State(NamedTuple):
    """State of the search.

    objects: `[S, n]`.
    stats: the model's running statistics; with a leading axis `[S]` under a bootstrap.
    """

    objects: Array
    stats: Any


def climb_objects(evidence: Evidence, count: int, shares: Shares | None) -> Posterior:
    """Build a posterior of searches that each keep the best object found.

    evidence: the target.
    count: S, number of searches.
    shares: draws how often each search counts an event; None for once.
    """
    model, unknowns = evidence.model, unknowns_of(evidence.model)

    def init(key: Array) -> State:
        stats = model.init_stats()
        if shares is not None:
            stats = jax.tree.map(lambda x: jnp.broadcast_to(x, (count, *x.shape)), stats)
        return State(unknowns.sample(key, count), stats)

    def absorb_one(stats: Any, item: tuple[Array, Event]) -> tuple[Any, None]:
        key, event = item
        if shares is None:
            return model.update_stats(stats, event), None
        weights = event.weight * shares(key, count).astype(event.weight.dtype)
        counted = [event._replace(weight=weights), stats]
        rows = Event(None, None, None, None, 0)  # pyright: ignore[reportArgumentType]
        return jax.vmap(lambda e, s: model.update_stats(s, e), in_axes=(rows, 0))(*counted), None

    def absorb(key: Array, state: State, events: Event) -> State:
        keys = jax.random.split(key, events.weight.shape[0])
        return state._replace(stats=jax.lax.scan(absorb_one, state.stats, (keys, events))[0])

    def refine(key: Array, state: State) -> tuple[State, Info]:
        def one(key: Array, value: Array, stats: Any) -> Moved:
            return climb(evidence, key, value, stats, TRIES)

        own = None if shares is None else 0
        keys = jax.random.split(key, count)
        moved = jax.vmap(one, in_axes=(0, 0, own))(keys, state.objects, state.stats)
        info = Info(
            jnp.asarray(float(count * (TRIES + 1))),
            jnp.all(jnp.isfinite(moved.target)),
            {"log_posterior": jnp.mean(moved.target), "climbed": jnp.mean(moved.acceptance)},
        )
        return state._replace(objects=moved.objects), info

    def belief(key: Array, state: State, now: Array) -> Belief:
        return uniform_draws(state.objects)

    return Posterior(init, absorb, refine, belief)
