"""A bench: quality of every cell in worker processes, then latency of each, alone.

Quality runs one process a core; latency is taken in this process once they have all finished, so
that nothing competes with what is being timed. Not here: reading options, or showing results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np

from ...posteriors.base import UsageError
from ...streams.worlds.registry import believed, build_world
from ..loop.cores import cores
from .crew import crew
from .experiment import Cell, Experiment
from .latency import Lived, live_runs
from .punctual import punctual
from .quality import Wanted, agent_and_world, quality
from .record import mark_frontier, record
from .reference import kind

Judged = TypeVar("Judged")
Progress = Callable[[str, float], None]
"""Called with what is being done and the share of the whole bench that is finished."""
Measure = Callable[[Cell, int, int, Wanted], dict[str, Any]]
"""`quality`, or what does the same."""
FEW = 400
"""Events, over all cells and runs, that are judged before a worker process has started."""
QUALITY_SHARE = 0.85
"""Roughly how much of a bench's time goes into quality."""


def crew_size(cells: list[Cell]) -> int:
    """Processes for quality unless told: one a core, none beside this where they hardly pay."""
    return cores() if sum(cell.seeds * cell.steps for cell in cells) > FEW else 1


def baseline_of(cell: Cell) -> Cell:
    """Random actions in the same world: what `above_random` is measured against."""
    still = replace(cell, refine=0, think=0)
    return replace(still, posterior="smc", rule="random", proposer=None, particles=1)


def compared(cell: Cell, runs: Mapping[Cell, Judged]) -> tuple[Judged | None, Judged | None]:
    """Quality of a cell, and of the random actions it is compared with, as far as they are there.

    Random actions of its own are better than others.
    """
    own = runs.get(cell)
    if cell.rule == "random" and own is not None:
        return own, own
    return own, runs.get(baseline_of(cell))


def plan(cells: list[Cell], gain: bool = True, live: bool = False) -> list[Cell]:
    """Cells whose quality is needed: the given ones, and a random baseline for each world.

    gain: whether it is measured at all; nothing else is compared with random actions. live: the
    given ones are judged by live runs, so that only baselines are left.
    """
    wanted = {} if live else dict.fromkeys(cells)
    for cell in cells:
        if gain and gains(cell):
            wanted.setdefault(baseline_of(cell))
    return list(wanted)


def gains(cell: Cell) -> bool:
    """Whether gain can be measured in a cell's world; elsewhere nothing is above random."""
    model = build_world(cell.world).model
    return model is not None and kind(model) != "none"


def settled(experiment: Experiment) -> list[Cell]:
    """The cells with their models as they are in the cells' worlds."""
    found = [replace(c, model=believed(c.world, c.model)) for c in experiment.resolved()]
    return list(dict.fromkeys(found))


def pieces(cells: list[Cell], workers: int) -> list[tuple[Cell, int, int]]:
    """(cell, first run, number of runs): cells are cut up only where workers would be idle."""
    parts = max(1, -(-workers // len(cells))) if workers > 1 else 1
    found = []
    for cell in cells:
        edges = np.linspace(0, cell.seeds, min(parts, cell.seeds) + 1).astype(int)
        found += [(cell, int(a), int(b - a)) for a, b in pairwise(edges)]
    return found


def dearest_first(cells: Iterable[Cell]) -> list[Cell]:
    """Cells so ordered that no core waits long for the last one."""
    return sorted(cells, key=lambda c: -(c.particles or 1) * max(c.refine + c.think, 1))


def run_quality(
    cells: list[Cell],
    wanted: Wanted,
    workers: int,
    progress: Progress,
    pool: ProcessPoolExecutor | None = None,
    measure: Measure = quality,
) -> dict[Cell, dict[str, Any]]:
    """Quality of every cell, its runs in order. pool: workers to use, its own unless given."""
    if workers > 1 and pool is None:
        with crew(workers) as pool:
            return run_quality(cells, wanted, workers, progress, pool, measure)
    work = pieces(dearest_first(cells), workers)
    results: dict[tuple[Cell, int], dict[str, Any]] = {}
    if pool is None:
        for done, (cell, first, count) in enumerate(work):
            progress(describe(cell), QUALITY_SHARE * done / len(work))
            results[cell, first] = measure(cell, first, count, wanted)
        return gathered(cells, results)
    try:
        jobs: dict[Future, tuple[Cell, int]] = {
            pool.submit(measure, cell, first, count, wanted): (cell, first)
            for cell, first, count in work
        }
        for done, future in enumerate(as_finished(jobs, progress, len(work)), start=1):
            results[jobs[future]] = future.result()
            progress("gain", QUALITY_SHARE * done / len(work))
    except BrokenProcessPool as error:
        raise UsageError(
            "a worker process died, perhaps for want of memory; try --workers 1 or fewer "
            "--particles"
        ) from error
    return gathered(cells, results)


def as_finished(jobs: dict[Future, Any], progress: Progress, total: int) -> Iterator[Future]:
    """Futures as they finish; the bar is kept alive meanwhile."""
    from concurrent.futures import FIRST_COMPLETED, wait

    waiting = set(jobs)
    while waiting:
        done, waiting = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
        if not done:
            progress("gain", QUALITY_SHARE * (total - len(waiting)) / total)
        yield from done


def gathered(
    cells: list[Cell], results: dict[tuple[Cell, int], dict[str, Any]]
) -> dict[Cell, dict[str, Any]]:
    """Pieces put together again, in the order of the runs."""
    whole = {}
    for cell in cells:
        parts = [
            results[key] for key in sorted((k for k in results if k[0] == cell), key=lambda k: k[1])
        ]
        whole[cell] = {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
    return whole


def bench(
    experiment: Experiment,
    finished: Callable[[list[dict[str, Any]]], None],
    progress: Progress,
) -> list[dict[str, Any]]:
    """Run an experiment; `finished` gets all records so far after every cell.

    Everything that can be wrong with a cell is found before any work starts.
    """
    cells = settled(experiment)
    for cell in cells:
        agent_and_world(cell)
    hurried = experiment.deadline is not None
    planned = plan(cells, experiment.gain, hurried)
    workers = experiment.workers or crew_size(planned)
    runs = run_quality(planned, wanted_of(experiment), workers, progress) if planned else {}
    records: list[dict[str, Any]] = []
    for done, cell in enumerate(cells):
        progress(
            "latency, " + describe(cell), QUALITY_SHARE + (1 - QUALITY_SHARE) * done / len(cells)
        )
        own, baseline = compared(cell, runs)
        records.append(timed(cell, own, baseline, experiment, workers)[0])
        mark_frontier(records)
        finished(records)
    progress("done", 1.0)
    return records


def wanted_of(experiment: Experiment) -> Wanted:
    """What an experiment asks of the quality of each cell."""
    return Wanted(
        experiment.samples,
        experiment.reference,
        experiment.spce,
        experiment.taus,
        experiment.fidelity,
        experiment.gain,
        experiment.settle,
    )


def timed(
    cell: Cell,
    runs: dict[str, Any] | None,
    baseline: dict[str, Any] | None,
    experiment: Experiment,
    workers: int,
) -> tuple[dict[str, Any], dict[str, Any], Lived | None]:
    """A cell's record, its quality, and its live runs, None where none are wanted.

    runs: its quality, None where only live runs under the deadline can tell.
    """
    if experiment.deadline is not None:
        one = punctual(cell, experiment.deadline, experiment.rate, wanted_of(experiment))
        row = record(cell, one.runs, baseline, one.timing, experiment.spce, (), workers)
        row |= {"deadline": experiment.deadline, "rate": experiment.rate, "missed": one.missed}
        row |= {"fallback": one.fallback, "rungs": one.rungs, "slices": one.slices}
        return row, one.runs, None
    assert runs is not None
    agent, world = agent_and_world(cell)
    lived = None
    if experiment.live:
        lived = live_runs(agent, world, cell.steps, cell.seed, experiment.live)
    timing = lived.timing if lived else None
    row = record(cell, runs, baseline, timing, experiment.spce, experiment.taus, workers)
    return row, runs, lived


def describe(cell: Cell) -> str:
    """A cell in a few words."""
    size = f" S={cell.particles}" if cell.particles else ""
    more = f"+{cell.think}" if cell.think else ""
    return f"{cell.posterior}{size} k={cell.refine}{more} {cell.rule}"
