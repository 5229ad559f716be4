"""Point estimate: the maximum a posteriori value, found by Adam, or a space's best by climbing.

The one-draw base case that every other method is compared with.

Cost: a refine step is one gradient over the buffered events, or over `batch` of them.
Take it when: decisions have to be as cheap as possible and exploration comes from the rule.
Not when: a decision needs to know how uncertain it is; the belief is a single draw.
Source: Kingma and Ba (2015) for Adam.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp

from ..base import Array, Belief, Event, Info, Model, Posterior
from ..parts.buffer_likelihood import BufferLikelihood
from ..parts.draws import uniform_draws
from ..parts.map_estimate import MapEstimator, MapOptions, MapState
from ..parts.replay_buffer import ReplayBuffer
from ..parts.requirements import require_fixed_continuous
from ..parts.tempering import estimate_fade
from ..searches.climbing import climb_objects
from ..searches.evidence import evidence_of
from ..spaces.base import require_ability


@dataclass(frozen=True)
class Point(MapOptions):
    """Options of the estimate alone."""


class State(NamedTuple):
    """State of the method.

    estimate: the estimate and the events it climbs.
    step_size: `[]`.
    """

    estimate: MapState
    step_size: Array


def build(model: Model, config: Point) -> Posterior:
    """Build a posterior that climbs the log posterior of the buffered events.

    model: a model with fixed continuous unknowns, or over a space with neighbours.
    config: the options.

    Raises: UsageError if the model has other unknowns.
    """
    if evidence := evidence_of(model):
        require_ability("posterior point", evidence.space, "neighbours", "use exact")
        return climb_objects(evidence, 1, None)
    unknowns = require_fixed_continuous("point", model)
    store = ReplayBuffer(model, config.capacity, config.full)
    estimator = MapEstimator(unknowns, BufferLikelihood(store, config.batch), config.jitter)

    def init(key: Array) -> State:
        return State(estimator.init(key), jnp.asarray(config.step_size, unknowns.dtype))

    def absorb(key: Array, state: State, events: Event) -> State:
        return state._replace(estimate=estimator.observe(key, state.estimate, events))

    def refine(key: Array, state: State) -> tuple[State, Info]:
        estimate, info = estimator.step(key, state.estimate, state.step_size)
        return state._replace(estimate=estimate), info

    def belief(key: Array, state: State, now: Array) -> Belief:
        return uniform_draws(state.estimate.params[None, :])

    return Posterior(init, absorb, refine, belief, estimate_fade(store))
