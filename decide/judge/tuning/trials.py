"""Score of one tuning trial: an agent's quality on runs that no bench ever scores.

See also: search.py and space.py for the options tried, ../measures/quality.py for the measures.
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
    """Measure that is optimised."""

    GAIN = "gain"
    REGRET = "regret"
    JOINT = "joint"


@dataclass(frozen=True)
class Measure:
    """A measure of `quality`."""

    field: str
    """Its name there."""
    maximise: bool
    name: str
    """Its name in tables and messages."""
    unit: str


MEASURES = {
    Goal.GAIN: Measure("lower", True, "gain (its lower bound where not exact)", "nats"),
    Goal.REGRET: Measure("regret", False, "regret", "units of reward"),
    Goal.JOINT: Measure("joint", False, "joint KL", "nats a block"),
}


def choose_goal(name: str, world: World, wanted: Goal | None) -> Goal:
    """Choose the measure to optimise in a world.

    name: spec of the world, for errors.
    world: built from it.
    wanted: the user's choice; None for the first that can be measured, gain before regret.
    Raises: UsageError if it cannot be measured in this world.
    """
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
    """Scores specs in one experiment, whose own cells are ignored."""

    def __init__(self, experiment: Experiment, goal: Goal | None = None) -> None:
        """Choose the measure.

        experiment: its seed is used, but other runs than those of a bench; joint is tau if that is
            the goal.
        goal: measure to optimise; None to choose one.
        Raises: UsageError if the goal cannot be measured in the world.
        """
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
        """Return the cell of a bench for a spec.

        spec: of a posterior.
        """
        rows = [Row(spec)]
        return msgspec.structs.replace(self.experiment, cells=rows, grid=None).resolved()[0]

    def check(self, spec: str) -> None:
        """Check that the posterior, rule and model can be built, before any work.

        spec: of a posterior.
        Raises: UsageError if they cannot.
        """
        agent_and_world(self.cell(spec))

    def warm(self, spec: str) -> None:
        """Compile the judge, which all backends share, by scoring random actions.

        spec: of a posterior.
        """
        self._quality(baseline_of(self.cell(spec)), 0)

    def scores(self, spec: str, first: int, count: int) -> np.ndarray:
        """Measure tuning runs.

        spec: of a posterior.
        first: number of the first run.
        count: number of runs.
        Returns: `[count]`.
        """
        found = self._quality(self.cell(spec), first)[self.measure.field][:count]
        # Joint prediction has a column for each tau.
        return found.reshape(len(found), -1).mean(1)

    def _quality(self, cell: Cell, first: int) -> dict[str, Any]:
        # Always as many runs, so that one program serves all; the judge would fill them up anyway.
        return quality(cell, TUNING + first, min(CHUNK, self.experiment.seeds), self.wanted)

    def latency(self, spec: str) -> float:
        """Measure the p99 of decide + learn in live runs.

        spec: of a posterior.
        Returns: seconds.
        """
        cell = self.cell(spec)
        agent, world = agent_and_world(cell)
        runs = math.ceil(TIMED / cell.steps)
        timing = live_runs(agent, world, cell.steps, cell.seed, runs, TUNING).timing
        return float(np.quantile(timing.decide + timing.learn, 0.99))


@contextmanager
def without_program_cache() -> Iterator[None]:
    """Keep the programs of trials out of the cache folder: their options hardly recur."""
    name = "jax_persistent_cache_min_compile_time_secs"
    before, place = getattr(jax.config, name), program_cache.cache_folder()
    jax.config.update(name, math.inf)
    program_cache.set_cache_folder(None)
    try:
        yield
    finally:
        jax.config.update(name, before)
        program_cache.set_cache_folder(place)
