"""Latency: a cell's agent run live against its world, one event at a time, alone.

Not here: gain; the same arithmetic is rolled out over many seeds for that.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ...posteriors.base import Event
from ...streams.worlds.base import World
from ..loop.live import build_live, quiet, timed_decide, timed_learn
from ..loop.rollout import AGENT, ANSWER, CONTEXT, TRUTH, seed_key
from ..loop.step import Agent, blank_request


class Timing(NamedTuple):
    """decide, learn: `[N T]` seconds, in order. compile: seconds. retraces: after warm-up."""

    decide: np.ndarray
    learn: np.ndarray
    compile: float
    retraces: int


class Lived(NamedTuple):
    """Its timing, with the actions `[N, T, size]` and observations `[N, T]` of the runs."""

    timing: Timing
    actions: np.ndarray
    observations: np.ndarray


def live_runs(
    agent: Agent, world: World, steps: int, seed: int, runs: int, first: int = 0
) -> Lived:
    """Runs `first` to `first + runs` of the rollout's own seeds, live.

    The first is repeated as a warm-up.
    """
    live = build_live(agent)
    before = live.traces()
    blank = jax.tree.map(np.asarray, blank_request(agent))
    context = jax.jit(
        lambda key, index, truth: world.context(jax.random.fold_in(key, index), truth)
    )
    answer = jax.jit(
        lambda key, index, truth, action, now: world.answer(
            jax.random.fold_in(key, index), truth, action, now
        )
    )
    decide, learn, actions, observations = [], [], [], []
    with quiet():
        for run in [first, *range(first, first + runs)]:
            key = seed_key(seed, run)
            packed = live.init(jax.random.fold_in(key, AGENT))
            truth = world.init(jax.random.fold_in(key, TRUTH))
            context_key, answer_key = (jax.random.fold_in(key, p) for p in (CONTEXT, ANSWER))
            for index in range(steps):
                now = float(index)
                seen = np.asarray(context(context_key, index, truth))
                request = live.write_request(blank._replace(now=now, context=seen))
                flat, spent = timed_decide(live, packed, request)
                decision = live.read_decision(flat)
                action = decision.action
                if index < len(world.opening):
                    action = decision.features[world.opening[index]]
                truth, y = answer(answer_key, index, truth, action, jnp.asarray(now))
                y = np.asarray(y)
                # Host numbers in an event's place: they become one packed array.
                event = live.write_event(Event(action, y, now, index, 1.0))  # type: ignore[arg-type]
                packed, _, learnt = timed_learn(live, packed, event)
                decide.append(spent)
                learn.append(learnt)
                actions.append(action)
                observations.append(y)
    timing = Timing(
        np.asarray(decide[steps:]) / 1e9,
        np.asarray(learn[steps:]) / 1e9,
        live.compile,
        live.traces() - before,
    )
    shape = (runs, steps)
    return Lived(
        timing,
        np.asarray(actions[steps:]).reshape(*shape, -1),
        np.asarray(observations[steps:]).reshape(*shape, *np.shape(observations[0])),
    )
