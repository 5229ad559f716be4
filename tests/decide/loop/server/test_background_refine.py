"""Refine steps between events: the belief they leave, their noise, and what does not change.

See also: tests/decide/loop/core/test_executions.py for live against rolled-out runs.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from uncertain.decide.judge.measures.experiment import Experiment, Row
from uncertain.decide.loop.core.agent import build_agent
from uncertain.decide.loop.core.compiled import build_learn, build_live
from uncertain.decide.loop.core.step import State, build_step
from uncertain.decide.loop.server.background_refine import build_background_refine
from uncertain.posteriors.placeholders import example_event
from uncertain.posteriors.registry import build_model

MODEL = build_model("location")


def learnt(refine: int, think: int, posterior: str = "svgd") -> tuple[State, float]:
    """The state after one event, thought about once, and the evaluations of the thinking."""
    agent, _ = build_agent(MODEL, posterior, "eig", 8, refine, think=think)
    step = build_step(agent)
    event = example_event(MODEL)._replace(observation=jnp.ones(()), weight=jnp.ones(()))
    state, _ = step.learn(step.init(jax.random.key(0)), event)
    state, thought = step.think(state, jnp.zeros((), jnp.int32))
    return state, float(thought.work)


def particles(state: State) -> np.ndarray:
    return np.concatenate([np.ravel(x) for x in jax.tree.leaves(state.posterior)])


def test_steps_between_events_are_those_after_learning() -> None:
    # Stein steps over a whole history draw nothing, so that it cannot matter when they are taken.
    now, work = learnt(refine=4, think=0)
    later, more = learnt(refine=1, think=3)
    assert work == 0
    assert more > 0
    np.testing.assert_allclose(particles(later), particles(now), rtol=2e-5, atol=1e-6)
    none, _ = learnt(refine=1, think=0)
    assert np.abs(particles(none) - particles(now)).max() > 1e-3


def test_each_slice_draws_its_own_noise_and_leaves_the_clock_alone() -> None:
    agent, _ = build_agent(MODEL, "hmc", "eig", 8, 1, think=2)
    step = build_step(agent)
    event = example_event(MODEL)._replace(observation=jnp.ones(()), weight=jnp.ones(()))
    state, _ = step.learn(step.init(jax.random.key(0)), event)
    one, other, again = (step.think(state, jnp.asarray(n))[0] for n in (0, 1, 0))
    assert np.abs(particles(one) - particles(other)).max() > 1e-4
    np.testing.assert_array_equal(particles(one), particles(again))
    assert int(one.step) == int(state.step)
    np.testing.assert_array_equal(one.key, state.key)


def test_the_compiled_slice_does_the_same_and_compiles_once() -> None:
    agent, _ = build_agent(MODEL, "svgd", "eig", 8, 1, think=3)
    live, think = build_live(agent), build_background_refine(agent)
    packed = live.init(jax.random.key(0))
    event = example_event(MODEL)._replace(observation=jnp.ones(()), weight=jnp.ones(()))
    packed, _ = live.learn(packed, live.write_event(jax.tree.map(np.asarray, event)))
    compiled = think._cache_size()  # type: ignore[attr-defined]
    for number in range(3):
        packed = think(packed, number)
    assert think._cache_size() == compiled  # type: ignore[attr-defined]
    step = build_step(agent)
    state, _ = step.learn(step.init(jax.random.key(0)), event)
    for number in range(3):
        state, _ = step.think(state, jnp.asarray(number))
    found = build_learn(agent).unpack(packed)
    np.testing.assert_allclose(particles(found), particles(state), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("posterior", "think"), [("exact", 0), ("smc", 5)])
def test_what_has_nothing_to_refine_has_nothing_to_think_about(posterior: str, think: int) -> None:
    (cell,) = Experiment(world="finite", cells=[Row(posterior, think=5)]).resolved()
    assert cell.think == think
