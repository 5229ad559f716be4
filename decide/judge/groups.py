"""Cells group by group: the quality of a group in worker processes, then each one's latency, alone.

A cell is finished when both are known, so an interrupted sweep loses one group and no more; one
that fails takes nothing of its group with it. Not here: what becomes of finished cells (sweep.py).
"""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import nullcontext

import numpy as np

from .bench import QUALITY_SHARE, Progress, baseline_of, cores, describe, plan, timed, wanted_of
from .experiment import Cell
from .failing import Failed, explained
from .latency import Lived
from .ledger import Finished, Ledger
from .retrying import Runs, Workers, qualities
from .trials import forget
from .turns import alone, busy

Yielded = Generator[Finished | Failed, None, None]
EACH = 2
"""Cells a worker in one group: with one, all would wait for the slowest."""


def in_groups(cells: list[Cell], ledger: Ledger, progress: Progress) -> Yielded:
    """Cells finished or failed, one by one; what another process finishes first is left out."""
    count = ledger.experiment.workers or cores()
    size = EACH * count if count > 1 else 1
    groups = [cells[start : start + size] for start in range(0, len(cells), size)]
    with Workers(count) as workers:
        for number, group in enumerate(groups):

            def part(text: str, share: float, number: int = number) -> None:
                progress(text, (number + share) / len(groups))

            waiting = [cell for cell in group if not ledger.done(cell)]
            if waiting:
                yield from finish(waiting, ledger, workers, part)
                forget()


def finish(group: list[Cell], ledger: Ledger, workers: Workers, progress: Progress) -> Yielded:
    """One group's cells, each yielded as soon as its latency is known, or its failure."""
    began = time.perf_counter()
    experiment = ledger.experiment
    wanted = plan(group, experiment.gain, experiment.deadline is not None)
    # Random actions may have been judged already, for another group, shard or day.
    kept = {cell: ledger.baseline(cell) for cell in wanted if cell not in group}
    runs: dict[Cell, Runs | Failed] = {c: found for c, found in kept.items() if found is not None}
    with busy(lambda: progress("waiting for a sweep that is timing", 0.0)):
        missing = [cell for cell in wanted if cell not in runs]
        runs |= qualities(missing, wanted_of(experiment), workers, progress)
    for cell in kept:
        found = runs[cell]
        if cell in missing and not isinstance(found, Failed):
            ledger.keep_baseline(cell, found)
    each = (time.perf_counter() - began) / len(group)
    clear = alone(lambda: progress("waiting for other sweeps", QUALITY_SHARE))
    with clear if experiment.timed else nullcontext():
        for done, cell in enumerate(group):
            progress(
                "latency, " + describe(cell),
                QUALITY_SHARE + (1 - QUALITY_SHARE) * done / len(group),
            )
            yield finished(cell, runs, ledger, workers.count, each)


def finished(
    cell: Cell, runs: dict[Cell, Runs | Failed], ledger: Ledger, workers: int, spent: float
) -> Finished | Failed:
    """A cell whose quality is known, its latency taken now. spent: seconds that it took so far."""
    began = time.perf_counter()
    own = runs.get(cell)
    baseline = runs.get(baseline_of(cell))
    if cell.rule == "random" and own is not None:
        baseline = own
    if isinstance(own, Failed):
        return own
    if isinstance(baseline, Failed):
        return Failed(cell, f"random actions, to compare it with: {baseline.error}")
    try:
        record, judged, lived = timed(cell, own, baseline, ledger.experiment, workers)
    except Exception as error:  # a user's code may fail in any way at all
        return Failed(cell, explained(error, cell))
    seconds = spent + time.perf_counter() - began
    return Finished(cell, record, judged | live_arrays(lived), seconds)


def live_arrays(lived: Lived | None) -> dict[str, np.ndarray]:
    """What is kept of live runs: seconds and decisions, runs leading."""
    if lived is None:
        return {}
    shape = lived.actions.shape[:2]
    return {
        "decide": lived.timing.decide.reshape(shape),
        "learn": lived.timing.learn.reshape(shape),
        "actions": lived.actions,
        "observations": lived.observations,
    }
