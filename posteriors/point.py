"""A point estimate: the maximum a posteriori value, climbed by Adam.

Not here: any uncertainty. It is the one-draw base case that everything else is compared with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from .ascent import ascent
from .base import Array, Belief, Event, Info, Model, Options, Posterior, Span
from .history import History, memory
from .unknowns import fixed_continuous, uniform_draws


@dataclass(frozen=True)
class Point(Options):
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


class State(NamedTuple):
    """guess `[D]`, moments of Adam, the events climbed, step_size `[]`."""

    guess: Array
    moments: Any
    history: History
    step_size: Array


def build(model: Model, config: Point) -> Posterior:
    """Climb the log posterior of the kept events."""
    unknowns = fixed_continuous("point", model)
    store = memory(model, config.capacity, config.full, config.batch)
    climb = ascent(unknowns)
    center, spread = unknowns.gaussian()

    def init(key: Array) -> State:
        mean, sd = jnp.asarray(center, unknowns.dtype), jnp.asarray(spread, unknowns.dtype)
        guess = mean + config.jitter * sd * jax.random.normal(key, mean.shape)
        step_size = jnp.asarray(config.step_size, unknowns.dtype)
        return State(guess, climb.init(guess), store.empty(), step_size)

    def absorb(key: Array, state: State, events: Event) -> State:
        def step(history: History, item: tuple[Array, Event]) -> tuple[History, None]:
            return store.push(item[0], history, item[1], state.guess), None

        keys = jax.random.split(key, events.weight.shape[0])
        return state._replace(history=jax.lax.scan(step, state.history, (keys, events))[0])

    def refine(key: Array, state: State) -> tuple[State, Info]:
        value, grad = store.climb(key, state.history, state.guess[:, None])
        prior, prior_grad = jax.value_and_grad(unknowns.log_prior)(state.guess)
        gradient = grad[:, 0] + prior_grad
        guess, moments = climb.step(state.guess, gradient, state.moments, state.step_size)
        healthy = jnp.all(jnp.isfinite(guess))
        guess = jnp.where(healthy, guess, state.guess)
        work = store.evaluated(state.history).astype(guess.dtype)
        info = Info(work, healthy, {"log_posterior": value[0] + prior})
        return state._replace(guess=guess, moments=moments), info

    def belief(key: Array, state: State, now: Array) -> Belief:
        return uniform_draws(state.guess[None, :])

    return Posterior(init, absorb, refine, belief)
