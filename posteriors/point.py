"""A point estimate: the maximum a posteriori value, climbed by Adam.

Not here: any uncertainty. It is the one-draw base case that everything else is compared with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp

from .base import Array, Belief, Event, Info, Model, Posterior
from .climbing import Climbed, Guess, climbing
from .fading import guess_fades
from .history import memory
from .unknowns import fixed_continuous, uniform_draws


@dataclass(frozen=True)
class Point(Climbed):
    """Options of the climb alone (climbing.py)."""


class State(NamedTuple):
    """The guess, and step_size `[]`."""

    guess: Guess
    step_size: Array


def build(model: Model, config: Point) -> Posterior:
    """Climb the log posterior of the kept events."""
    unknowns = fixed_continuous("point", model)
    store = memory(model, config.capacity, config.full, config.batch)
    climb = climbing(unknowns, store, config.jitter)

    def init(key: Array) -> State:
        return State(climb.start(key), jnp.asarray(config.step_size, unknowns.dtype))

    def absorb(key: Array, state: State, events: Event) -> State:
        return state._replace(guess=climb.keep(key, state.guess, events))

    def refine(key: Array, state: State) -> tuple[State, Info]:
        guess = state.guess
        value, gradient = store.climb(key, guess.history, guess.values[:, None])
        guess, info = climb.step(guess, value[0], gradient[:, 0], state.step_size)
        return state._replace(guess=guess), info

    def belief(key: Array, state: State, now: Array) -> Belief:
        return uniform_draws(state.guess.values[None, :])

    return Posterior(init, absorb, refine, belief, guess_fades(store))
