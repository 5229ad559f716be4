"""One network of which random hidden units are silenced, in training and whenever it is asked.

Each step climbs under a fresh mask, and the belief is the same weights under S masks. The model's
own prior is the weight decay. Not here: a rate that is learnt, or one mask for each event.
Source: Gal and Ghahramani (2016), Monte Carlo dropout; Srivastava et al. (2014), the scaling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .base import Array, Belief, Event, Info, Model, Posterior, Span, UsageError, provides
from .climbing import Climbed, Guess, climbing
from .fading import guess_fades
from .history import memory
from .unknowns import fixed_continuous, uniform_draws


@dataclass(frozen=True)
class Dropout(Climbed):
    """particles: masks of the belief. rate: share of hidden units silenced. The rest: see point;
    it starts at a prior draw, because near zero weights a network has almost no slope.
    """

    search: ClassVar[Any] = {"step_size": Span(1e-3, 1.0), "rate": Span(0.01, 0.5)}

    particles: int = 32
    rate: float = 0.1
    jitter: float = 1.0


class State(NamedTuple):
    """The guess, step_size `[]`, rate `[]`."""

    guess: Guess
    step_size: Array
    rate: Array


def build(model: Model, config: Dropout) -> Posterior:
    """Climb the log posterior of the kept events, units silenced at random."""
    unknowns = fixed_continuous("dropout", model)
    if not provides(model, "units"):
        raise UsageError(
            f"posterior dropout needs a model with hidden units, which {type(model).__name__} "
            "does not name: use mlp, or define units()"
        )
    if not 0 <= config.rate < 1:
        raise UsageError(f"posterior dropout: rate={config.rate}: must be in [0, 1)")
    leaves = np.asarray(model.units(), int)
    if leaves.shape != (unknowns.size,):
        raise UsageError(
            f"posterior dropout: units() of {type(model).__name__} has shape {leaves.shape}, "
            f"not ({unknowns.size},)"
        )
    store = memory(model, config.capacity, config.full, config.batch)
    climb = climbing(unknowns, store, config.jitter)
    # Coordinates that leave no unit (-1) read one more row, which is always 1.
    count = int(leaves.max()) + 1
    rows = jnp.asarray(np.where(leaves < 0, count, leaves))

    def masks(key: Array, rate: Array, number: int) -> Array:
        """`[D, number]` factors: 0 where a unit is silenced, else 1 / (1 - rate)."""
        kept = jax.random.uniform(key, (count, number)) >= rate
        scaled = kept.astype(rate.dtype) / (1 - rate)
        return jnp.concatenate([scaled, jnp.ones((1, number), rate.dtype)])[rows]

    def init(key: Array) -> State:
        size, rate = (jnp.asarray(x, unknowns.dtype) for x in (config.step_size, config.rate))
        return State(climb.start(key), size, rate)

    def absorb(key: Array, state: State, events: Event) -> State:
        return state._replace(guess=climb.keep(key, state.guess, events))

    def refine(key: Array, state: State) -> tuple[State, Info]:
        mask_key, climb_key = jax.random.split(key)
        mask, guess = masks(mask_key, state.rate, 1), state.guess
        value, gradient = store.climb(climb_key, guess.history, mask * guess.values[:, None])
        guess, info = climb.step(guess, value[0], (mask * gradient)[:, 0], state.step_size)
        return state._replace(guess=guess), info

    def belief(key: Array, state: State, now: Array) -> Belief:
        mask = masks(key, state.rate, config.particles)
        return uniform_draws((mask * state.guess.values[:, None]).T)

    return Posterior(init, absorb, refine, belief, guess_fades(store))
