"""Log likelihood of a whole history, shared by all measures."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from ....posteriors.base import Array, Event, Model
from ....posteriors.parts.unknowns import log_likelihood
from ....posteriors.parts.vmap_last import vmap_last

CHUNK = 20_000
"""Parameters evaluated at once where there are very many."""


def history_log_likelihood(
    model: Model, particles: Array, actions: Array, observations: Array, stats: Any = None
) -> Array:
    """Compute log p(y_1..T | u, a_1..T), with the model's stats updated from event to event.

    model: of the observations.
    particles: unconstrained `[D, S]`.
    actions: `[T, size]`.
    observations: `[T, ...]`.
    stats: of the model before the first event; None for its initial ones.
    Returns: `[S]` nats.
    """
    if stats is None:
        stats = model.init_stats()
    if not jax.tree.leaves(stats):

        def one(action: Array, observation: Array) -> Array:
            return vmap_last(lambda u: log_likelihood(model, u, (), action, observation), particles)

        return jax.vmap(one)(actions, observations).sum(0)

    def turn(stats: Any, row: tuple[Array, Array]) -> tuple[Any, Array]:
        action, observation = row
        values = vmap_last(
            lambda u: log_likelihood(model, u, stats, action, observation), particles
        )
        return model.update_stats(stats, unit_event(action, observation)), values

    return jax.lax.scan(turn, stats, (actions, observations))[1].sum(0)


def unit_event(action: Array, observation: Array) -> Event:
    """Return an event of weight 1 at time 0 with id 0.

    action: `[size]`.
    observation: `[...]`.
    """
    zero = jnp.zeros(())
    return Event(action, observation, zero, jnp.zeros((), jnp.int32), zero + 1)
