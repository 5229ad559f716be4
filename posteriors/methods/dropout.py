"""Monte Carlo dropout: one network whose random hidden units are silenced.

Each step climbs under a fresh mask, and the belief is the same weights under S masks. The model's
own prior is the weight decay.

Cost: as point; a belief adds S masks, without any gradient.
Take it when: a network is the model and one set of weights is all that there is memory for.
Not when: the spread has to shrink with evidence; the rate is fixed and not learnt.
Source: Gal and Ghahramani (2016), Monte Carlo dropout; Srivastava et al. (2014), the scaling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..base import Array, Belief, Event, Info, Model, Posterior, Span, provides
from ..errors import UsageError
from ..parts.buffer_likelihood import BufferLikelihood
from ..parts.draws import uniform_draws
from ..parts.map_estimate import MapEstimator, MapOptions, MapState
from ..parts.replay_buffer import ReplayBuffer
from ..parts.requirements import require_fixed_continuous
from ..parts.tempering import estimate_fade


@dataclass(frozen=True)
class Dropout(MapOptions):
    """Options besides those of point.

    particles: masks of the belief.
    rate: share of hidden units silenced.
    jitter: 1 starts at a prior draw; near zero weights a network has almost no slope.
    """

    search: ClassVar[Any] = {"step_size": Span(1e-3, 1.0), "rate": Span(0.01, 0.5)}

    particles: int = 32
    rate: float = 0.1
    jitter: float = 1.0


class State(NamedTuple):
    """State of the method.

    estimate: the weights and the events they climb.
    step_size, rate: `[]`.
    """

    estimate: MapState
    step_size: Array
    rate: Array


def build(model: Model, config: Dropout) -> Posterior:
    """Build a posterior that climbs the log posterior with units silenced at random.

    model: a network that defines `units()`.
    config: the options.

    Raises: UsageError if the model has no hidden units or an option is out of range.
    """
    unknowns = require_fixed_continuous("dropout", model)
    if not provides(model, "units"):
        raise UsageError(
            f"posterior dropout needs a model with hidden units, which {type(model).__name__} "
            "does not name: use mlp, or define units()"
        )
    if not 0 <= config.rate < 1:
        raise UsageError(f"posterior dropout: rate={config.rate}: must be in [0, 1)")
    units = np.asarray(model.units(), int)
    if units.shape != (unknowns.size,):
        raise UsageError(
            f"posterior dropout: units() of {type(model).__name__} has shape {units.shape}, "
            f"not ({unknowns.size},)"
        )
    store = ReplayBuffer(model, config.capacity, config.full)
    likelihood = BufferLikelihood(store, config.batch)
    estimator = MapEstimator(unknowns, likelihood, config.jitter)
    # Coordinates that leave no unit (-1) read one more row, which is always 1.
    count = int(units.max()) + 1
    rows = jnp.asarray(np.where(units < 0, count, units))

    def masks(key: Array, rate: Array, number: int) -> Array:
        """`[D, number]` factors: 0 where a unit is silenced, else 1 / (1 - rate)."""
        active = jax.random.uniform(key, (count, number)) >= rate
        scaled = active.astype(rate.dtype) / (1 - rate)
        return jnp.concatenate([scaled, jnp.ones((1, number), rate.dtype)])[rows]

    def init(key: Array) -> State:
        size, rate = (jnp.asarray(x, unknowns.dtype) for x in (config.step_size, config.rate))
        return State(estimator.init(key), size, rate)

    def absorb(key: Array, state: State, events: Event) -> State:
        return state._replace(estimate=estimator.observe(key, state.estimate, events))

    def refine(key: Array, state: State) -> tuple[State, Info]:
        mask_key, batch_key = jax.random.split(key)
        mask, estimate = masks(mask_key, state.rate, 1), state.estimate
        masked = mask * estimate.params[:, None]
        value, gradient = likelihood.estimate_gradient(batch_key, estimate.buffer, masked)
        gradient = (mask * gradient)[:, 0]
        estimate, info = estimator.apply_gradient(estimate, value[0], gradient, state.step_size)
        return state._replace(estimate=estimate), info

    def belief(key: Array, state: State, now: Array) -> Belief:
        mask = masks(key, state.rate, config.particles)
        return uniform_draws((mask * state.estimate.params[:, None]).T)

    return Posterior(init, absorb, refine, belief, estimate_fade(store))
