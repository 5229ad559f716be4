"""A normal fitted to the iterates of a noisy climb: half a diagonal, half their last directions.

The published method averages over the tail of a training run on fixed data. Here data keep
arriving, so old iterates are forgotten exponentially: the moments weigh an iterate t steps old by
about exp(-t / window). The spread is that of minibatch noise, so it needs `batch` and depends on
step_size; `scale` corrects it. Before the first step it is a point estimate. Not here: a covariance
that knows the likelihood's curvature.
Source: Maddox et al. (2019), SWA-Gaussian; the halves are theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from .base import Array, Belief, Event, Info, Model, Posterior, Span, UsageError
from .climbing import Climbed, Guess, climbing
from .fading import guess_fades
from .history import memory
from .unknowns import fixed_continuous, uniform_draws


@dataclass(frozen=True)
class Swag(Climbed):
    """particles: draws of the belief. rank: last deviations kept, one every `every` steps.

    window: steps after which an iterate has all but left the moments. scale: multiplies the
    standard deviation of the draws. batch: events behind a step, 0 for all (then only arriving
    data scatter the iterates). The rest: see point.
    """

    search: ClassVar[Any] = {"step_size": Span(1e-3, 1.0), "scale": Span(0.1, 10.0)}

    particles: int = 32
    rank: int = 20
    every: int = 5
    window: float = 500.0
    scale: float = 1.0
    batch: int = 16


class State(NamedTuple):
    """The guess; mean and variance `[D]` of its iterates, deviations `[rank, D]` from the mean of
    their time, steps `[]` int32; step_size, window and scale `[]`."""

    guess: Guess
    mean: Array
    variance: Array
    deviations: Array
    steps: Array
    step_size: Array
    window: Array
    scale: Array


def build(model: Model, config: Swag) -> Posterior:
    """Climb the log posterior of the kept events and remember where it went."""
    unknowns = fixed_continuous("swag", model)
    for name, least in (("rank", 1), ("every", 1), ("window", 1), ("scale", 0)):
        if getattr(config, name) < least:
            raise UsageError(
                f"posterior swag: {name}={getattr(config, name)}: must be at least {least}"
            )
    store = memory(model, config.capacity, config.full, config.batch)
    climb = climbing(unknowns, store, config.jitter)
    rank, every = config.rank, config.every

    def init(key: Array) -> State:
        guess = climb.start(key)
        scalars = config.step_size, config.window, config.scale
        return State(
            guess,
            guess.values,
            jnp.zeros_like(guess.values),
            jnp.zeros((rank, unknowns.size), unknowns.dtype),
            jnp.zeros((), jnp.int32),
            *(jnp.asarray(x, unknowns.dtype) for x in scalars),
        )

    def absorb(key: Array, state: State, events: Event) -> State:
        return state._replace(guess=climb.keep(key, state.guess, events))

    def refine(key: Array, state: State) -> tuple[State, Info]:
        guess = state.guess
        value, gradient = store.climb(key, guess.history, guess.values[:, None])
        guess, info = climb.step(guess, value[0], gradient[:, 0], state.step_size)
        steps = state.steps + 1
        # A plain average until the window is full.
        share = 1 / jnp.minimum(steps.astype(state.window.dtype), state.window)
        away = guess.values - state.mean
        mean = state.mean + share * away
        variance = (1 - share) * (state.variance + share * jnp.square(away))
        slot = (steps // every - 1) % rank
        row = jnp.where(steps % every == 0, guess.values - mean, state.deviations[slot])
        deviations = state.deviations.at[slot].set(row)
        state = state._replace(
            guess=guess, mean=mean, variance=variance, deviations=deviations, steps=steps
        )
        return state, info

    def belief(key: Array, state: State, now: Array) -> Belief:
        own_key, shared_key = jax.random.split(key)
        used = jnp.minimum(state.steps // every, rank).astype(state.mean.dtype)
        own = jax.random.normal(own_key, (config.particles, unknowns.size), state.mean.dtype)
        shared = jax.random.normal(shared_key, (config.particles, rank), state.mean.dtype)
        offsets = own * jnp.sqrt(state.variance / 2)[None, :]
        offsets += shared @ state.deviations / jnp.sqrt(2 * jnp.maximum(used - 1, 1))
        return uniform_draws(state.mean[None, :] + state.scale * offsets)

    return Posterior(init, absorb, refine, belief, guess_fades(store))
