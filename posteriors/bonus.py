"""A point estimate with a novelty score: each unknown is the surer, the more events touched it.

The cheapest thing that an exploring rule can use: a diagonal Gaussian around a climbed guess. Its
precision sums squared Gauss-Newton rows over all events ever seen, each taken at the guess of its
time, or (`novelty=count`) counts the events that touch a coordinate. Not here: correlations between
unknowns, or a spread that a later guess corrects (laplace has both).
Sources: Zhou, Li and Gu (2020), neural UCB with a diagonal; Bellemare et al. (2016), counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from .base import Array, Belief, Event, Gaussian, Info, Model, Posterior, Span, UsageError
from .climbing import Climbed, Guess, climbing
from .curvature import curvature_of
from .fading import guess_fades
from .history import memory
from .unknowns import fixed_continuous, needs_prior

NOVELTIES = ("gradient", "count")


@dataclass(frozen=True)
class Bonus(Climbed):
    """novelty: "gradient", variance scale^2 / (1 / prior variance + information), or "count",
    scale^2 prior variance / (1 + events that touch the coordinate).

    scale: how many times wider the bonus is. particles: draws scored by a rule that needs draws.
    The rest: see point.
    """

    search: ClassVar[Any] = {
        "step_size": Span(1e-3, 1.0), "scale": Span(0.01, 10.0), "novelty": NOVELTIES,
    }  # fmt: skip

    novelty: str = "gradient"
    scale: float = 1.0
    particles: int = 128


class State(NamedTuple):
    """The guess; the model's stats; seen `[D]`, information in prior units or number of events;
    step_size `[]`, scale `[]`."""

    guess: Guess
    stats: Any
    seen: Array
    step_size: Array
    scale: Array


def build(model: Model, config: Bonus) -> Posterior:
    """Climb the log posterior of the kept events and add up what each event touched."""
    unknowns = fixed_continuous("bonus", model)
    needs_prior("bonus", model, "laplace")
    if config.novelty not in NOVELTIES:
        raise UsageError(
            f"posterior bonus: novelty={config.novelty!r}: choose {' or '.join(NOVELTIES)}"
        )
    store = memory(model, config.capacity, config.full, config.batch)
    climb = climbing(unknowns, store, config.jitter)
    curvature = curvature_of(model)
    variance = jnp.square(jnp.asarray(unknowns.gaussian()[1], unknowns.dtype))

    def touched(guess: Array, stats: Any, event: Event) -> Array:
        """What one event adds to `seen`, `[D]`."""
        score, rows = curvature(guess, stats, event)
        if config.novelty == "gradient":
            return variance * jnp.sum(jnp.square(rows), axis=0)
        return (jnp.any(rows != 0, axis=0) | (score != 0)).astype(score.dtype)

    def init(key: Array) -> State:
        size, scale = (jnp.asarray(x, unknowns.dtype) for x in (config.step_size, config.scale))
        return State(climb.start(key), model.init_stats(), jnp.zeros_like(variance), size, scale)

    def absorb(key: Array, state: State, events: Event) -> State:
        def one(carry: tuple[Any, Array], event: Event) -> tuple[tuple[Any, Array], None]:
            stats, seen = carry
            # A masked event holds anything at all.
            more = event.weight * touched(state.guess.values, stats, event)
            seen = seen + jnp.where(event.weight > 0, more, 0.0)
            return (model.update_stats(stats, event), seen), None

        stats, seen = jax.lax.scan(one, (state.stats, state.seen), events)[0]
        guess = climb.keep(key, state.guess, events)
        return state._replace(guess=guess, stats=stats, seen=seen)

    def refine(key: Array, state: State) -> tuple[State, Info]:
        guess = state.guess
        value, gradient = store.climb(key, guess.history, guess.values[:, None])
        guess, info = climb.step(guess, value[0], gradient[:, 0], state.step_size)
        return state._replace(guess=guess), info

    def belief(key: Array, state: State, now: Array) -> Belief:
        spread = jnp.square(state.scale) * variance / (1 + state.seen)
        return Gaussian(state.guess.values, spread[:, None, None])

    in_memory = guess_fades(store)

    def fade(key: Array, state: State, factor: Array) -> State:
        assert in_memory is not None
        return in_memory(key, state._replace(seen=factor * state.seen), factor)

    return Posterior(init, absorb, refine, belief, in_memory and fade)
