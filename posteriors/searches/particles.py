"""Weighted particles over a space: reweighted by each event, resampled, moved to neighbours.

The evidence of an object comes from the model's statistics, so that no old event is kept.
See also: ../methods/smc.py for particles of numbers.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..base import Array, Belief, Draws, Event, Info, Posterior
from ..parts.draws import normalise, resample_systematic
from ..parts.unknowns import unknowns_of
from .evidence import Evidence
from .moves import metropolis


class State(NamedTuple):
    """State of the particles.

    objects: `[S, n]`.
    log_weights: `[S]`, normalised.
    stats: the model's running statistics.
    """

    objects: Array
    log_weights: Array
    stats: Any


def weigh_objects(evidence: Evidence, count: int, steps: int, low: float) -> Posterior:
    """Build a posterior of weighted particles.

    evidence: the target.
    count: S, number of particles.
    steps: proposals a particle in one refine step.
    low: share of S effective particles below which they are resampled.
    """
    model, unknowns = evidence.model, unknowns_of(evidence.model)
    level = -math.log(count)

    def init(key: Array) -> State:
        even = jnp.full(count, level, jnp.result_type(float))
        return State(unknowns.sample(key, count), even, model.init_stats())

    def weigh(value: Array, stats: Any) -> Array:
        return evidence.log_target(value, evidence.gather(stats))

    def absorb_one(state: State, item: tuple[Array, Event]) -> tuple[State, None]:
        key, event = item
        stats = model.update_stats(state.stats, event)
        # By differences of evidence: an event that counts twice is two events, the second of
        # which is expected more than the first.
        logs = jax.vmap(lambda u: weigh(u, stats) - weigh(u, state.stats))(state.objects)
        log_weights = normalise(state.log_weights + jnp.where(event.weight > 0, logs, 0.0))
        few = 1 / jnp.sum(jnp.exp(2 * log_weights)) < low * count

        def resample(_: None) -> tuple[Array, Array]:
            index = resample_systematic(key, log_weights)
            return state.objects[index], jnp.full_like(log_weights, level)

        objects, log_weights = jax.lax.cond(
            few, resample, lambda _: (state.objects, log_weights), None
        )
        return State(objects, log_weights, stats), None

    def absorb(key: Array, state: State, events: Event) -> State:
        keys = jax.random.split(key, events.weight.shape[0])
        return jax.lax.scan(absorb_one, state, (keys, events))[0]

    def refine(key: Array, state: State) -> tuple[State, Info]:
        moved = metropolis(evidence, key, state.objects, state.stats, steps)
        info = Info(
            jnp.asarray(float(count * steps)),
            jnp.any(jnp.isfinite(moved.target)),
            {
                "acceptance": moved.acceptance,
                "ess": 1 / jnp.sum(jnp.exp(2 * state.log_weights)),
            },
        )
        return state._replace(objects=moved.objects), info

    def belief(key: Array, state: State, now: Array) -> Belief:
        return Draws(state.objects, state.log_weights)

    return Posterior(init, absorb, refine, belief)
