"""What a world is: pure functions that answer actions with observations.

Pure, so that many copies can be rolled out at once; the live loop calls the same functions one
event at a time. Not here: any particular world but a model's own simulation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ...posteriors.base import Arms, Array, Event, Model, Vector
from ...posteriors.motion import sampled_motion
from ...posteriors.unknowns import unknowns_of


class World(NamedTuple):
    """init(key) -> state; context(key, state) -> `[C]`; answer(key, state, action, time) ->
    (state, observation); truth(state) -> `u [D]` of `model` now; pays(state, features [A, size]) ->
    `[A]`, what each action would pay in expectation.

    model: what truly generates the observations, where it is one of ours; the judge measures gain
    about its unknowns. None (with truth None) where nothing of the kind is known; regret is then
    taken from `pays`. opening: actions `[N]` (arms) taken before the rule is asked. actions: their
    space, and usual: the spec of what an agent believes of it unless told otherwise, both needed
    only where model is None. notes: what was left out on the way here, for people. name: all that
    it is made of; None where that is data or code of the user's.
    """

    init: Callable[[Array], Any]
    context: Callable[[Array, Any], Array]
    answer: Callable[[Array, Any, Array, Array], tuple[Any, Array]]
    truth: Callable[[Any], Array] | None
    model: Model | None
    pays: Callable[[Any, Array], Array] | None = None
    opening: tuple[int, ...] = ()
    actions: Arms | Vector | None = None
    usual: str | None = None
    notes: tuple[str, ...] = ()
    name: str | None = None


class Simulated(NamedTuple):
    """The truth `u [D]`, the model's stats of what happened, and the time of the last event."""

    u: Array
    stats: Any
    time: Array


def simulated(model: Model) -> World:
    """The world that a model describes: a truth drawn from its prior, answers from `predict`.

    Contexts are standard normal.
    """
    unknowns = unknowns_of(model)
    space = model.actions
    size = space.context if isinstance(space, Arms) else 0
    drift = sampled_motion(model) if model.latent else None

    def init(key: Array) -> Simulated:
        return Simulated(unknowns.sample(key, 1)[0], model.init_stats(), jnp.zeros(()))

    def context(key: Array, state: Simulated) -> Array:
        return jax.random.normal(key, (size,))

    def answer(key: Array, state: Simulated, action: Array, time: Array) -> tuple[Simulated, Array]:
        move_key, outcome_key = jax.random.split(key)
        u = state.u
        if drift is not None:
            u = drift(move_key, u[:, None], action, time - state.time)[:, 0]
        outcome = model.predict(unknowns.constrain(u), state.stats, action)
        observation = jnp.asarray(outcome.sample(outcome_key), jnp.result_type(float))
        one = jnp.ones(())
        event = Event(action, observation, time, jnp.zeros((), jnp.int32), one)
        return Simulated(u, model.update_stats(state.stats, event), time), observation

    return World(init, context, answer, lambda state: state.u, model)
