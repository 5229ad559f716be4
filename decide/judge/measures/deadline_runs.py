"""Live runs under a deadline: the quality of decisions that were made in time, and their cost.

The clock chooses how much each decision uses, so these runs cannot be rolled out: histories come
from live runs and are measured like any other.

See also: ../../loop/server/ladder.py for the ladder, quality.py for the measures.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import numpy as np

from ....posteriors.units import NS_PER_S
from ....streams.worlds.base import World
from ...loop.core.compiled import build_live, pause_gc
from ...loop.core.host_arrays import host_event
from ...loop.core.rollout import Trace
from ...loop.core.step import Agent, blank_request
from ...loop.server.background_refine import BackgroundRefine
from ...loop.server.deadline import DeadlineControl
from ...rules.registry import build_rule
from ..records.record import RungShare
from .experiment import Cell
from .latency import Timing, compile_world
from .quality import PROMISES, Wanted, agent_and_world, measure_runs

SPIN = 300_000
"""Nanoseconds before an arrival from which the clock is watched: sleep wakes up late."""


class DeadlineRuns(NamedTuple):
    """Live runs of a cell under a deadline."""

    runs: dict[str, Any]
    """Measures by name, as from `quality`."""
    timing: Timing
    """Seconds from arrival to reply, waiting included."""
    missed: float
    """Share of decisions later than the deadline."""
    fallback: float
    """Share of decisions for which no rung was expected to fit."""
    rungs: list[RungShare]
    """Rungs used."""
    slices: float | None
    """Mean number of refine steps between two events; None if there were to be none."""


def run_under_deadline(
    cell: Cell, deadline: float, rate: float | None, wanted: Wanted
) -> DeadlineRuns:
    """Run a cell live, each decision due a fixed time after its event arrives.

    An observation comes with the decision; learning may take as long again, but no longer than
    until the next arrival. The time left before that is used for up to `cell.think` refine steps,
    one at a time.

    cell: specs and sizes.
    deadline: seconds a decision.
    rate: events a second, by the clock; None: each event when the last one is finished.
    wanted: measures to take.
    Returns: measures, times, and use of the ladder.
    """
    agent, world = agent_and_world(replace(cell, think=min(cell.think, 1)))
    live = build_live(agent)
    began = time.perf_counter()
    pace = DeadlineControl(
        agent, live, {live: 0}, deadline,
        lambda draws: build_rule(cell.rule, agent.model, cell.explore, draws),
    )  # fmt: skip
    thoughts = BackgroundRefine(agent, cell.think, deadline) if cell.think else None
    compiled = live.compile + time.perf_counter() - began
    before = pace.traces()
    driver = Driver(agent, world, pace, deadline, rate, thoughts)
    with pause_gc():
        driver.run(cell.seed, 0, cell.steps)
        driver.forget()
        lived = [driver.run(cell.seed, run, cell.steps) for run in range(cell.seeds)]
    trace = Trace(*(np.stack(column) for column in zip(*lived, strict=True)))
    decide, learn, thought = (
        np.asarray(x) / NS_PER_S for x in (driver.decided, driver.learnt, driver.thought)
    )
    timing = Timing(decide, learn, thought, compiled, pace.traces() - before)
    total = sum(driver.rungs.values())
    rungs = [
        RungShare(number, draws, candidates, count / total)
        for (number, draws, candidates), count in sorted(driver.rungs.items())
    ]
    runs = measure_runs(agent, world, cell, None, trace, 0, wanted)
    # Nobody has the time to ask what a decision promises.
    runs = {name: runs[name] for name in runs if name not in PROMISES}
    missed = float(np.mean(decide > deadline))
    slices = len(thought) / len(decide) if cell.think else None
    return DeadlineRuns(runs, timing, missed, driver.fallbacks / total, rungs, slices)


class Driver:
    """Plays a world against an agent by the clock."""

    def __init__(
        self,
        agent: Agent,
        world: World,
        pace: DeadlineControl,
        deadline: float,
        rate: float | None,
        thoughts: BackgroundRefine | None = None,
    ) -> None:
        self.world, self.pace = world, pace
        self.allowed = deadline
        self.interval = None if rate is None else int(NS_PER_S / rate)
        self.live, self.thoughts = build_live(agent), thoughts
        self.blank = jax.tree.map(np.asarray, blank_request(agent))
        self.calls = compile_world(world)
        self.truth = jax.jit(world.truth) if world.truth else lambda truth: np.zeros(0)
        self.pays = jax.jit(world.pays) if world.pays else None
        self.forget()

    def forget(self) -> None:
        """Clear all times and counts."""
        self.decided: list[int] = []
        self.learnt: list[int] = []
        self.thought: list[int] = []
        self.rungs: Counter[tuple[int, int, int]] = Counter()
        self.fallbacks = 0

    def run(self, seed: int, run: int, steps: int) -> tuple[Any, ...]:
        """Play one run.

        seed: of all runs.
        run: its number.
        steps: events.
        Returns: the fields of its trace, `[T, ...]` each.
        """
        begin, context, answer = self.calls
        world, live = self.world, self.live
        agent_key, truth, context_key, answer_key = begin(np.asarray(seed), run)
        packed = live.init(agent_key)
        happened = []
        due = time.perf_counter_ns()
        for index in range(steps):
            now = float(index)
            # The world's own work is nobody's latency: it is done before the event arrives.
            seen = np.asarray(context(context_key, index, truth))
            if self.interval is None:
                due = time.perf_counter_ns()
            else:
                _wait_until(due)
            self.pace.begin(arrived=due)
            request = self.blank._replace(now=now, context=seen)
            decision, _, how = self.pace.decide(live, packed, request, live.write_request(request))
            self.pace.answered_in_time()
            self.decided.append(time.perf_counter_ns() - due)
            rung = how["rung"]
            self.rungs[rung["number"], rung["draws"], rung["candidates"]] += 1
            self.fallbacks += how["fallback"]
            action, features = decision.action, decision.features
            if index < len(world.opening):
                action = features[world.opening[index]]
            after, y = answer(answer_key, index, truth, action, now)
            y = np.asarray(y)
            arrived = time.perf_counter_ns()
            following = None if self.interval is None else due + self.interval
            self.pace.begin(self._to_learn(arrived, following), arrived)
            event = live.write_event(host_event(action, y, now, index))
            packed, learned, _, _ = self.pace.learn(packed, event)
            self.pace.answered_in_time()
            self.learnt.append(time.perf_counter_ns() - arrived)
            happened.append((truth, after, decision, action, y, seen, learned))
            truth = after
            if following is not None:
                packed = self._think(packed, following)
                due = following
        # Told only now: in the loop it would make the next decision late.
        rows = [self._row(*one) for one in happened]
        return tuple(np.stack(column) for column in zip(*rows, strict=True))

    def _think(self, packed: Any, following: int) -> Any:
        """Refine while a slice should end before the next event arrives."""
        thoughts = self.thoughts
        if thoughts is None:
            return packed
        thoughts.restart()
        slice = int(thoughts.seconds * NS_PER_S)
        while thoughts.has_work and (began := time.perf_counter_ns()) + slice + SPIN < following:
            packed = thoughts.refine_slice(packed)
            self.thought.append(time.perf_counter_ns() - began)
        return packed

    def _to_learn(self, arrived: int, following: int | None) -> float:
        """Seconds that learning may take."""
        if following is None:
            return self.allowed
        return min(self.allowed, (following - arrived) / NS_PER_S)

    def _row(
        self, before: Any, after: Any, decision: Any, action: Any, y: Any, seen: Any, learned: Any
    ) -> tuple[Any, ...]:
        """One event as the fields of a trace."""
        features = np.asarray(decision.features)
        pays = np.zeros(len(features))
        if self.pays is not None:
            pays = np.asarray(self.pays(before, features))
        # A cheap rung offers fewer candidates: the rest are the chosen one again.
        missing = len(self.blank.valid) - len(features)
        offered = np.concatenate([features, np.repeat(action[None], missing, axis=0)])
        zero = np.zeros(())
        index = int(decision.index)
        return (
            action, y, seen, offered, decision.propensity[index], zero,
            np.asarray(self.truth(after)), learned.work, learned.healthy, action, zero, y,
            pays[index], pays.max(), pays.mean(), np.full((), np.nan),
        )  # fmt: skip


def _wait_until(due: int) -> None:
    """Sleep until shortly before, then watch the clock."""
    left = due - time.perf_counter_ns() - SPIN
    if left > 0:
        time.sleep(left / NS_PER_S)
    while time.perf_counter_ns() < due:
        pass
