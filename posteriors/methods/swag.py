"""SWAG: a normal fitted to the iterates of noisy optimisation, half diagonal, half low rank.

The published method averages over the tail of a training run on fixed data. Here data keep
arriving, so old iterates are forgotten exponentially: the moments weigh an iterate t steps old by
about exp(-t / window). The spread is that of minibatch noise, so it needs `batch` and depends on
step_size; `scale` corrects it. Before the first step it is a point estimate.

Cost: as point; a step also updates D-sized moments.
Take it when: a large network already trains by minibatches and a rough spread is wanted for free.
Not when: the spread has to be that of the likelihood's curvature (see laplace).
Source: Maddox et al. (2019), SWA-Gaussian; the halves are theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from ..base import Array, Belief, Event, Info, Model, Posterior, Span
from ..errors import UsageError
from ..parts.buffer_likelihood import BufferLikelihood
from ..parts.draws import uniform_draws
from ..parts.map_estimate import MapEstimator, MapOptions, MapState
from ..parts.replay_buffer import ReplayBuffer
from ..parts.requirements import require_fixed_continuous
from ..parts.tempering import estimate_fade


@dataclass(frozen=True)
class Swag(MapOptions):
    """Options besides those of point.

    particles: draws of the belief.
    rank: last deviations stored.
    every: steps between two stored deviations.
    window: steps after which an iterate has all but left the moments.
    scale: factor on the standard deviation of the draws.
    batch: events behind a step, 0 for all (then only arriving data scatter the iterates).
    """

    search: ClassVar[Any] = {"step_size": Span(1e-3, 1.0), "scale": Span(0.1, 10.0)}

    particles: int = 32
    rank: int = 20
    every: int = 5
    window: float = 500.0
    scale: float = 1.0
    batch: int = 16


class State(NamedTuple):
    """State of the method.

    estimate: the estimate and the events it climbs.
    mean, variance: `[D]`, moments of its iterates.
    deviations: `[rank, D]`, from the mean of their time.
    steps: `[]` int32.
    step_size, window, scale: `[]`.
    """

    estimate: MapState
    mean: Array
    variance: Array
    deviations: Array
    steps: Array
    step_size: Array
    window: Array
    scale: Array


def build(model: Model, config: Swag) -> Posterior:
    """Build a posterior that climbs the log posterior and remembers its iterates.

    model: a model with fixed continuous unknowns.
    config: the options.

    Raises: UsageError if the model has other unknowns or an option is out of range.
    """
    unknowns = require_fixed_continuous("swag", model)
    for name, least in (("rank", 1), ("every", 1), ("window", 1), ("scale", 0)):
        if getattr(config, name) < least:
            raise UsageError(
                f"posterior swag: {name}={getattr(config, name)}: must be at least {least}"
            )
    store = ReplayBuffer(model, config.capacity, config.full)
    estimator = MapEstimator(unknowns, BufferLikelihood(store, config.batch), config.jitter)
    rank, every = config.rank, config.every

    def init(key: Array) -> State:
        estimate = estimator.init(key)
        scalars = config.step_size, config.window, config.scale
        return State(
            estimate,
            estimate.params,
            jnp.zeros_like(estimate.params),
            jnp.zeros((rank, unknowns.size), unknowns.dtype),
            jnp.zeros((), jnp.int32),
            *(jnp.asarray(x, unknowns.dtype) for x in scalars),
        )

    def absorb(key: Array, state: State, events: Event) -> State:
        return state._replace(estimate=estimator.observe(key, state.estimate, events))

    def refine(key: Array, state: State) -> tuple[State, Info]:
        estimate, info = estimator.step(key, state.estimate, state.step_size)
        steps = state.steps + 1
        # A plain average until the window is full.
        share = 1 / jnp.minimum(steps.astype(state.window.dtype), state.window)
        away = estimate.params - state.mean
        mean = state.mean + share * away
        variance = (1 - share) * (state.variance + share * jnp.square(away))
        slot = (steps // every - 1) % rank
        row = jnp.where(steps % every == 0, estimate.params - mean, state.deviations[slot])
        deviations = state.deviations.at[slot].set(row)
        state = state._replace(
            estimate=estimate, mean=mean, variance=variance, deviations=deviations, steps=steps
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

    return Posterior(init, absorb, refine, belief, estimate_fade(store))
