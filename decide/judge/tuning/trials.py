"""What one tuning trial scores: an agent's quality on runs that no bench ever scores.

Not here: which options are tried (tuning.py, space.py), or the measures themselves (quality.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import jax
import msgspec
import numpy as np

from ....posteriors.base import provides
from ....posteriors.errors import UsageError
from ....streams.worlds.base import World
from ....streams.worlds.registry import build_world
from ...loop.core import program_cache
from ..engine.bench import baseline_of
from ..measures.experiment import Cell, Experiment, Row
from ..measures.latency import live_runs
from ..measures.quality import Wanted, agent_and_world, quality
from ..reference.online import reference_kind
from .search import CHUNK

TUNING = 2_000_000
"""The first run of a seed that tuning uses: a bench scores runs from 0 up and never so many, and
the judge's own draws (quality.JUDGE) are not among them either."""
TIMED = 200
"""Events at least behind a trial's p99."""


class Goal(StrEnum):
    """What tuning is for."""

    GAIN = "gain"
    REGRET = "regret"
    JOINT = "joint"


@dataclass(frozen=True)
class Measure:
    """field: of `quality`. unit, name: for people."""

    field: str
    maximise: bool
    name: str
    unit: str


MEASURES = {
    Goal.GAIN: Measure("lower", True, "gain (its lower bound where not exact)", "nats"),
    Goal.REGRET: Measure("regret", False, "regret", "units of reward"),
    Goal.JOINT: Measure("joint", False, "joint KL", "nats a block"),
}


def choose_goal(name: str, world: World, wanted: Goal | None) -> Goal:
    """What to tune for; raises UsageError for what cannot be judged in this world."""
    known = world.model is not None and world.truth is not None
    rewarding = world.model is not None and provides(world.model, "reward")
    possible = {
        Goal.GAIN: known and world.model is not None and reference_kind(world.model) != "none",
        Goal.REGRET: world.pays is not None or (known and rewarding),
        Goal.JOINT: known,
    }
    found = [goal for goal, can in possible.items() if can]
    if wanted is None and found:
        return found[0]
    if wanted in found and wanted is not None:
        return wanted
    if not found:
        raise UsageError(f"world {name}: neither gain nor regret can be judged in it")
    why = {
        Goal.GAIN: "has no model that a reference can follow",
        Goal.REGRET: "pays no reward",
        Goal.JOINT: "has no model",
    }
    assert wanted is not None
    raise UsageError(
        f"world {name} {why[wanted]}, so it cannot be tuned for {wanted}; "
        f"it can be for {' or '.join(found)}"
    )


class Trials:
    """Scores specs in one experiment, whose own cells are ignored.

    experiment.joint: tau, where the goal is joint. Its seed is the bench's, its runs are not.
    """

    def __init__(self, experiment: Experiment, goal: Goal | None = None) -> None:
        self.experiment = experiment
        self.goal = choose_goal(experiment.world, build_world(experiment.world), goal)
        self.measure = MEASURES[self.goal]
        self.wanted = Wanted(
            experiment.samples,
            experiment.reference,
            experiment.spce,
            experiment.taus if self.goal is Goal.JOINT else (),
            gain=self.goal is Goal.GAIN,
        )

    def cell(self, spec: str) -> Cell:
        """The bench's cell of a spec."""
        rows = [Row(spec)]
        return msgspec.structs.replace(self.experiment, cells=rows, grid=None).resolved()[0]

    def check(self, spec: str) -> None:
        """Refuse a posterior, rule or model that cannot be, before any work."""
        agent_and_world(self.cell(spec))

    def warm(self, spec: str) -> None:
        """Compile what all backends share, the judge, by scoring random actions."""
        self._quality(baseline_of(self.cell(spec)), 0)

    def scores(self, spec: str, first: int, count: int) -> np.ndarray:
        """`[count]`: the measure of tuning runs `first` on."""
        found = self._quality(self.cell(spec), first)[self.measure.field][:count]
        # Joint prediction has a column a tau.
        return found.reshape(len(found), -1).mean(1)

    def _quality(self, cell: Cell, first: int) -> dict[str, Any]:
        # Always as many runs, so that one program serves all; the judge would fill them up anyway.
        return quality(cell, TUNING + first, min(CHUNK, self.experiment.seeds), self.wanted)

    def latency(self, spec: str) -> float:
        """Seconds of decide + learn at p99, live, alone."""
        cell = self.cell(spec)
        agent, world = agent_and_world(cell)
        runs = math.ceil(TIMED / cell.steps)
        timing = live_runs(agent, world, cell.steps, cell.seed, runs, TUNING).timing
        return float(np.quantile(timing.decide + timing.learn, 0.99))


@contextmanager
def without_program_cache() -> Iterator[None]:
    """No trial's program goes into the folder of compiled ones: its options hardly come again."""
    name = "jax_persistent_cache_min_compile_time_secs"
    before, place = getattr(jax.config, name), program_cache.cache_folder()
    jax.config.update(name, math.inf)
    program_cache.set_cache_folder(None)
    try:
        yield
    finally:
        jax.config.update(name, before)
        program_cache.set_cache_folder(place)
