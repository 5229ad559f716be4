"""A world: pure functions that answer actions with observations.

Pure, so that many copies can be rolled out at once; the live loop calls the same functions one
event at a time.
See also: registry.py for all worlds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ...posteriors.base import Arms, Array, Event, Model, Vector
from ...posteriors.parts.dynamics import sampled_dynamics
from ...posteriors.parts.unknowns import unknowns_of


class World(NamedTuple):
    """Pure functions of a world, and facts about it.

    init: `init(key) -> state`.
    context: `context(key, state) -> [C]`.
    answer: `answer(key, state, action, time) -> (state, observation)`.
    truth: `truth(state) -> u [D]` of `model` now; None without a model.
    model: model that generates the observations; the judge measures gain about its unknowns. None
        if there is no such model; regret is then taken from `pays`.
    pays: `pays(state, features [A, size]) -> [A]`, expected reward of each action.
    opening: actions `[N]` (arms) taken before the rule is asked.
    actions: space of the actions, needed only if `model` is None.
    usual: spec of an agent's default model, needed only if `model` is None.
    notes: remarks for the user on things left out.
    name: text that determines the world; None if it holds data or code of the user's.
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
    """State of a simulated world.

    u: truth `[D]`, unconstrained.
    stats: the model's summary of past events.
    time: time of the last event.
    """

    u: Array
    stats: Any
    time: Array


def simulated_world(model: Model) -> World:
    """Return the world of a model: a truth drawn from its prior, answers from `predict`.

    Contexts are standard normal.

    model: the model.
    """
    unknowns = unknowns_of(model)
    space = model.actions
    size = space.context if isinstance(space, Arms) else 0
    drift = sampled_dynamics(model) if model.latent else None

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
