"""Point estimate with a novelty bonus: a diagonal Gaussian that narrows where events were.

The cheapest belief that an exploring rule can use. Its precision sums squared Gauss-Newton rows
over all events ever seen, each taken at the estimate of its time; with `novelty=count` it counts
the events that touch a coordinate.

Cost: as point; absorbing an event adds one gradient of its own likelihood.
Take it when: the model is large and a rule needs some spread to explore by.
Not when: unknowns are correlated, or the spread has to follow a corrected estimate (see laplace).
Source: Zhou, Li and Gu (2020), neural UCB with a diagonal; Bellemare et al. (2016), counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from ..base import Array, Belief, Event, Gaussian, Info, Model, Posterior, Span
from ..errors import UsageError
from ..parts.buffer_likelihood import BufferLikelihood
from ..parts.curvature import curvature_of
from ..parts.map_estimate import MapEstimator, MapOptions, MapState
from ..parts.replay_buffer import ReplayBuffer
from ..parts.requirements import require_fixed_continuous, require_proper_prior
from ..parts.tempering import estimate_fade

NOVELTIES = ("gradient", "count")


@dataclass(frozen=True)
class Bonus(MapOptions):
    """Options besides those of point.

    novelty: "gradient", variance scale^2 / (1 / prior variance + information), or "count",
        scale^2 prior variance / (1 + events that touch the coordinate).
    scale: factor on the standard deviations.
    particles: draws scored by a rule that needs draws.
    """

    search: ClassVar[Any] = {
        "step_size": Span(1e-3, 1.0), "scale": Span(0.01, 10.0), "novelty": NOVELTIES,
    }  # fmt: skip

    novelty: str = "gradient"
    scale: float = 1.0
    particles: int = 128


class State(NamedTuple):
    """State of the method.

    estimate: the estimate and the events it climbs.
    stats: the model's running statistics.
    seen: `[D]`, information in prior units, or number of events.
    step_size, scale: `[]`.
    """

    estimate: MapState
    stats: Any
    seen: Array
    step_size: Array
    scale: Array


def build(model: Model, config: Bonus) -> Posterior:
    """Build a posterior that climbs the log posterior and adds up the information of each event.

    model: a model with fixed continuous unknowns and a proper prior.
    config: the options.

    Raises: UsageError if the model or `novelty` does not fit.
    """
    unknowns = require_fixed_continuous("bonus", model)
    require_proper_prior("bonus", model, "laplace")
    if config.novelty not in NOVELTIES:
        raise UsageError(
            f"posterior bonus: novelty={config.novelty!r}: choose {' or '.join(NOVELTIES)}"
        )
    store = ReplayBuffer(model, config.capacity, config.full)
    estimator = MapEstimator(unknowns, BufferLikelihood(store, config.batch), config.jitter)
    curvature = curvature_of(model)
    variance = jnp.square(jnp.asarray(unknowns.gaussian()[1], unknowns.dtype))

    def novelty(params: Array, stats: Any, event: Event) -> Array:
        """The amount `[D]` that one event adds to `seen`."""
        score, rows = curvature(params, stats, event)
        if config.novelty == "gradient":
            return variance * jnp.sum(jnp.square(rows), axis=0)
        return (jnp.any(rows != 0, axis=0) | (score != 0)).astype(score.dtype)

    def init(key: Array) -> State:
        size, scale = (jnp.asarray(x, unknowns.dtype) for x in (config.step_size, config.scale))
        estimate = estimator.init(key)
        return State(estimate, model.init_stats(), jnp.zeros_like(variance), size, scale)

    def absorb(key: Array, state: State, events: Event) -> State:
        def add(carry: tuple[Any, Array], event: Event) -> tuple[tuple[Any, Array], None]:
            stats, seen = carry
            # A masked event may hold any numbers.
            more = event.weight * novelty(state.estimate.params, stats, event)
            seen = seen + jnp.where(event.weight > 0, more, 0.0)
            return (model.update_stats(stats, event), seen), None

        stats, seen = jax.lax.scan(add, (state.stats, state.seen), events)[0]
        estimate = estimator.observe(key, state.estimate, events)
        return state._replace(estimate=estimate, stats=stats, seen=seen)

    def refine(key: Array, state: State) -> tuple[State, Info]:
        estimate, info = estimator.step(key, state.estimate, state.step_size)
        return state._replace(estimate=estimate), info

    def belief(key: Array, state: State, now: Array) -> Belief:
        spread = jnp.square(state.scale) * variance / (1 + state.seen)
        return Gaussian(state.estimate.params, spread[:, None, None])

    fade_events = estimate_fade(store)

    def fade(key: Array, state: State, factor: Array) -> State:
        assert fade_events is not None
        return fade_events(key, state._replace(seen=factor * state.seen), factor)

    return Posterior(init, absorb, refine, belief, fade_events and fade)
