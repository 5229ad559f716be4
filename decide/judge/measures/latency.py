"""Latency: the agent of a cell run live against its world, one event at a time, alone.

See also: quality.py for gain, which rolls the same arithmetic out over many seeds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from ....posteriors.base import Array
from ....posteriors.units import NS_PER_S
from ....streams.worlds.base import World
from ...loop.core.compiled import build_live, pause_gc, timed_decide, timed_learn
from ...loop.core.host_arrays import host_event
from ...loop.core.program_cache import cached_program
from ...loop.core.rollout import AGENT, ANSWER, CONTEXT, TRUTH, seed_key
from ...loop.core.step import Agent, blank_request
from ...loop.server.background_refine import build_background_refine


class Timing(NamedTuple):
    """Times of live runs."""

    decide: np.ndarray
    """`[N T]` seconds, in order."""
    learn: np.ndarray
    """`[N T]` seconds."""
    think: np.ndarray
    """`[N T]` seconds between events; empty without."""
    compile: float
    """Seconds."""
    retraces: int
    """Compilations after the warm-up."""


class LiveRuns(NamedTuple):
    """Live runs."""

    timing: Timing
    actions: np.ndarray
    """`[N, T, size]`."""
    observations: np.ndarray
    """`[N, T]`."""


def compile_world(
    world: World,
) -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
    """Compile a world's part of a run.

    world: that answers.
    Returns: begin(seed, run) -> (the agent's key, truth, context's key, answers' key);
        context(key, index, truth); answer(key, index, truth, action, now).
    """

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
        jax.jit(cached_program(part, f"{name} {world.name}" if world.name else None))
        for name, part in parts.items()
    ]
    return found[0], found[1], found[2]


def live_runs(
    agent: Agent, world: World, steps: int, seed: int, runs: int, first: int = 0
) -> LiveRuns:
    """Run an agent live, on the seeds of the rollout; the first run is repeated as a warm-up.

    agent: that acts.
    world: that answers.
    steps: events a run.
    seed: of all runs.
    runs: number of runs.
    first: number of the first run.
    Returns: times, actions and observations.
    """
    live = build_live(agent)
    before = live.traces()
    blank = jax.tree.map(np.asarray, blank_request(agent))
    begin, context, answer = compile_world(world)
    think = build_background_refine(agent) if agent.think else None
    decide, learn, thought, actions, observations = [], [], [], [], []
    with pause_gc():
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
        np.asarray(decide[steps:]) / NS_PER_S,
        np.asarray(learn[steps:]) / NS_PER_S,
        np.asarray(thought[steps:]) / NS_PER_S,
        live.compile,
        live.traces() - before,
    )
    shape = (runs, steps)
    return LiveRuns(
        timing,
        np.asarray(actions[steps:]).reshape(*shape, -1),
        np.asarray(observations[steps:]).reshape(*shape, *np.shape(observations[0])),
    )
