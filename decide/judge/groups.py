"""Cells group by group: the quality of a group in worker processes, then each one's latency, alone.

A cell is finished when both are known, so an interrupted sweep loses one group and no more. Not
here: what becomes of finished cells (sweep.py).
"""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import nullcontext
from typing import Any

import numpy as np

from .bench import (
    QUALITY_SHARE,
    Progress,
    baseline_of,
    cores,
    crew,
    describe,
    plan,
    run_quality,
    timed,
    wanted_of,
)
from .experiment import Cell
from .latency import Lived
from .ledger import Finished, Ledger
from .quality import Wanted, quality
from .trials import forget
from .turns import alone, busy

Yielded = Generator[Finished, None, None]
EACH = 2
"""Cells a worker in one group: with one, all would wait for the slowest."""


def in_groups(cells: list[Cell], ledger: Ledger, progress: Progress) -> Yielded:
    """Finished cells, one by one; those that another process finishes first are left out."""
    workers = ledger.experiment.workers or cores()
    size = EACH * workers if workers > 1 else 1
    groups = [cells[start : start + size] for start in range(0, len(cells), size)]
    with crew(workers) if workers > 1 else nullcontext() as pool:
        for number, group in enumerate(groups):

            def part(text: str, share: float, number: int = number) -> None:
                progress(text, (number + share) / len(groups))

            waiting = [cell for cell in group if not ledger.done(cell)]
            if waiting:
                yield from finish(waiting, ledger, workers, pool, part)
                forget()


def once(cell: Cell, first: int, count: int, wanted: Wanted) -> dict[str, Any]:
    """A worker's quality: it will not see the cell again, so it keeps no program of it."""
    found = quality(cell, first, count, wanted)
    forget()
    return found


def finish(
    group: list[Cell], ledger: Ledger, workers: int, pool: Any, progress: Progress
) -> Yielded:
    """One group's cells, each yielded as soon as its latency is known."""
    began = time.perf_counter()
    experiment = ledger.experiment
    wanted = plan(group, experiment.gain)
    # Random actions may have been judged already, for another group, shard or day.
    kept = {cell: ledger.baseline(cell) for cell in wanted if cell not in group}
    runs = {cell: found for cell, found in kept.items() if found is not None}
    with busy(lambda: progress("waiting for a sweep that is timing", 0.0)):
        missing = [cell for cell in wanted if cell not in runs]
        measure = once if pool is not None else quality
        runs |= run_quality(missing, wanted_of(experiment), workers, progress, pool, measure)
    for cell in kept:
        if cell in missing:
            ledger.keep_baseline(cell, runs[cell])
    each = (time.perf_counter() - began) / len(group)
    clear = alone(lambda: progress("waiting for other sweeps", QUALITY_SHARE))
    with clear if experiment.live else nullcontext():
        for done, cell in enumerate(group):
            progress(
                "latency, " + describe(cell),
                QUALITY_SHARE + (1 - QUALITY_SHARE) * done / len(group),
            )
            began = time.perf_counter()
            baseline = runs[cell] if cell.rule == "random" else runs.get(baseline_of(cell))
            record, lived = timed(cell, runs[cell], baseline, experiment, workers)
            spent = each + time.perf_counter() - began
            yield Finished(cell, record, runs[cell] | live_arrays(lived), spent)


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
