"""Latency: a cell's agent run live against its world, one event at a time, alone.

Not here: gain; the same arithmetic is rolled out over many seeds for that.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from ...posteriors.base import Array
from ...streams.worlds.base import World
from ..loop.kept import kept
from ..loop.live import build_live, host_event, quiet, timed_decide, timed_learn
from ..loop.rollout import AGENT, ANSWER, CONTEXT, TRUTH, seed_key
from ..loop.step import Agent, blank_request
from ..loop.thinking import build_think


class Timing(NamedTuple):
    """decide, learn: `[N T]` seconds, in order; think: the same between events, empty where an
    agent does not. compile: seconds. retraces: after warm-up."""

    decide: np.ndarray
    learn: np.ndarray
    think: np.ndarray
    compile: float
    retraces: int


class Lived(NamedTuple):
    """Its timing, with the actions `[N, T, size]` and observations `[N, T]` of the runs."""

    timing: Timing
    actions: np.ndarray
    observations: np.ndarray


def calls(world: World) -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
    """A world's part of a run, compiled: begin(seed, run) -> (the agent's key, truth, context's
    key, answers' key); context(key, index, truth); answer(key, index, truth, action, now)."""

    def begin(seed: Array, run: Array) -> Any:
        key = seed_key(seed, run)
        agent_key, truth_key, context_key, answer_key = (
            jax.random.fold_in(key, purpose) for purpose in (AGENT, TRUTH, CONTEXT, ANSWER)
        )
        return agent_key, world.init(truth_key), context_key, answer_key

    def context(key: Array, index: Array, truth: Any) -> Array:
        return world.context(jax.random.fold_in(key, index), truth)

    def answer(key: Array, index: Array, truth: Any, action: Array, now: Array) -> Any:
        return world.answer(jax.random.fold_in(key, index), truth, action, now)

    parts = {"begin": begin, "context": context, "answer": answer}
    found = [
        jax.jit(kept(part, f"{name} {world.name}" if world.name else None))
        for name, part in parts.items()
    ]
    return found[0], found[1], found[2]


def live_runs(
    agent: Agent, world: World, steps: int, seed: int, runs: int, first: int = 0
) -> Lived:
    """Runs `first` to `first + runs` of the rollout's own seeds, live.

    The first is repeated as a warm-up.
    """
    live = build_live(agent)
    before = live.traces()
    blank = jax.tree.map(np.asarray, blank_request(agent))
    begin, context, answer = calls(world)
    think = build_think(agent) if agent.think else None
    decide, learn, thought, actions, observations = [], [], [], [], []
    with quiet():
        for run in [first, *range(first, first + runs)]:
            agent_key, truth, context_key, answer_key = begin(np.asarray(seed), run)
            packed = live.init(agent_key)
            for index in range(steps):
                now = float(index)
                seen = np.asarray(context(context_key, index, truth))
                request = live.write_request(blank._replace(now=now, context=seen))
                flat, spent = timed_decide(live, packed, request)
                decision = live.read_decision(flat)
                action = decision.action
                if index < len(world.opening):
                    action = decision.features[world.opening[index]]
                truth, y = answer(answer_key, index, truth, action, now)
                y = np.asarray(y)
                event = live.write_event(host_event(action, y, now, index))
                packed, _, learnt = timed_learn(live, packed, event)
                if think is not None:
                    began = time.perf_counter_ns()
                    packed = jax.block_until_ready(think(packed, 0))
                    thought.append(time.perf_counter_ns() - began)
                decide.append(spent)
                learn.append(learnt)
                actions.append(action)
                observations.append(y)
    timing = Timing(
        np.asarray(decide[steps:]) / 1e9,
        np.asarray(learn[steps:]) / 1e9,
        np.asarray(thought[steps:]) / 1e9,
        live.compile,
        live.traces() - before,
    )
    shape = (runs, steps)
    return Lived(
        timing,
        np.asarray(actions[steps:]).reshape(*shape, -1),
        np.asarray(observations[steps:]).reshape(*shape, *np.shape(observations[0])),
    )
