"""One guess climbed on the kept events: what a point estimate and those built around one share.

Not here: where the gradient is taken, or what is believed of the guess.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from .ascent import ascent
from .base import Array, Event, Info, Options, Span
from .history import History, Memory
from .unknowns import Unknowns


@dataclass(frozen=True)
class Climbed(Options):
    """step_size: Adam's, in prior standard deviations. capacity, full, batch: the memory
    (history.py).

    jitter: how far from the prior mean it starts, in prior standard deviations; a model with
    exchangeable parts has a saddle at the mean itself.
    """

    refine: ClassVar[int] = 5
    search: ClassVar[Any] = {"step_size": Span(1e-3, 1.0)}

    step_size: float = 0.1
    capacity: int = 512
    full: str = "auto"
    batch: int = 0
    jitter: float = 0.1


class Guess(NamedTuple):
    """values `[D]`, moments of Adam, the events climbed."""

    values: Array
    moments: Any
    history: History


class Climbing(NamedTuple):
    """start(key) -> Guess, near the prior mean.

    keep(key, guess, events) -> Guess, events written to its memory.
    step(guess, value [], gradient [D], step_size [], climbs) -> (Guess, Info): one step up, given
    the log likelihood and its gradient; the prior's is added here. climbs: sweeps over the events
    that they took. A step that is not finite is not made.
    """

    start: Callable[[Array], Guess]
    keep: Callable[[Array, Guess, Event], Guess]
    step: Callable[..., tuple[Guess, Info]]


def climbing(unknowns: Unknowns, store: Memory, jitter: float) -> Climbing:
    """Functions over a `Guess` in a model's coordinates."""
    climb = ascent(unknowns)
    center, spread = unknowns.gaussian()

    def start(key: Array) -> Guess:
        mean, sd = jnp.asarray(center, unknowns.dtype), jnp.asarray(spread, unknowns.dtype)
        values = mean + jitter * sd * jax.random.normal(key, mean.shape)
        return Guess(values, climb.init(values), store.empty())

    def keep(key: Array, guess: Guess, events: Event) -> Guess:
        history = store.extend(key, guess.history, events, guess.values)
        return guess._replace(history=history)

    def step(
        guess: Guess, value: Array, gradient: Array, step_size: Array, climbs: int = 1
    ) -> tuple[Guess, Info]:
        prior, prior_grad = jax.value_and_grad(unknowns.log_prior)(guess.values)
        made = climb.step(guess.values, gradient + prior_grad, guess.moments, step_size)
        healthy = jnp.all(jnp.isfinite(made[0]))
        values, moments = jax.tree.map(
            lambda new, old: jnp.where(healthy, new, old), made, (guess.values, guess.moments)
        )
        work = climbs * store.evaluated(guess.history).astype(values.dtype)
        info = Info(work, healthy, {"log_posterior": value + prior})
        return Guess(values, moments, guess.history), info

    return Climbing(start, keep, step)
