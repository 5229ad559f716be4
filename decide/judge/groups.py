"""Cells group by group: the quality of a group in worker processes, then each one's latency, alone.

A cell is finished when both are known, so an interrupted sweep loses one group and no more; one
that fails takes nothing of its group with it. Not here: what becomes of finished cells (sweep.py).
"""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import nullcontext

import numpy as np

from ..loop.cores import cores
from .bench import (
    QUALITY_SHARE,
    Progress,
    baseline_of,
    compared,
    dearest_first,
    describe,
    plan,
    timed,
    wanted_of,
)
from .experiment import Cell
from .failing import Failed, explained
from .latency import Lived
from .ledger import Finished, Ledger
from .programs import by_shape, hold
from .retrying import Runs, Workers, each_quality
from .turns import alone, busy

Yielded = Generator[Finished | Failed, None, None]
EACH = 2
"""Cells a worker in one group: with one, all would wait for the slowest."""
UNTIMED = 64
"""The same where no latency is taken; then groups are only for whoever waits to take one."""


def in_groups(cells: list[Cell], ledger: Ledger, progress: Progress) -> Yielded:
    """Cells finished or failed, one by one; what another process finishes first is left out."""
    count = ledger.experiment.workers or cores()
    each = EACH if ledger.experiment.timed else UNTIMED
    size = 1 if count == 1 and ledger.experiment.timed else each * count
    cells = by_shape(cells)
    groups = [cells[start : start + size] for start in range(0, len(cells), size)]
    with Workers(count) as workers:
        for number, group in enumerate(groups):

            def part(text: str, share: float, number: int = number) -> None:
                progress(text, (number + share) / len(groups))

            waiting = [cell for cell in group if not ledger.done(cell)]
            if waiting:
                yield from finish(waiting, ledger, workers, part)


def finish(group: list[Cell], ledger: Ledger, workers: Workers, progress: Progress) -> Yielded:
    """One group's cells, each yielded as soon as all is known of it, or its failure."""
    began = time.perf_counter()
    experiment = ledger.experiment
    wanted = plan(group, experiment.gain, experiment.deadline is not None)
    baselines = {baseline_of(cell) for cell in group if cell.rule != "random"}
    # Random actions may have been judged already, for another group, shard or day.
    kept = {cell: ledger.baseline(cell) for cell in wanted if cell not in group}
    runs: dict[Cell, Runs | Failed] = {c: found for c, found in kept.items() if found is not None}
    missing = [cell for cell in wanted if cell not in runs]
    left = dict.fromkeys(group)

    def elsewhere(cell: Cell) -> bool:
        """Whether another process has finished a cell meanwhile, which nothing here waits for."""
        if cell not in left or cell in baselines or not ledger.done(cell):
            return False
        del left[cell]
        return True

    with busy(lambda: progress("waiting for a sweep that is timing", 0.0)):
        # Where nothing is timed there is nothing to wait for: a cell is done once it and the random
        # actions that it is compared with are known, so those come first.
        order = [cell for cell in missing if cell not in left]
        order += dearest_first(cell for cell in missing if cell in left)
        asked = wanted_of(experiment)
        for one, found in each_quality(order, asked, workers, progress, skip=elsewhere):
            runs[one] = found
            if one in kept and not isinstance(found, Failed):
                ledger.keep_baseline(one, found)
            whole = [] if experiment.timed else [cell for cell in left if known(cell, wanted, runs)]
            for cell in whole:
                del left[cell]
                each = (time.perf_counter() - began) / (len(group) - len(left))
                yield finished(cell, runs, ledger, workers.count, each)
    each = (time.perf_counter() - began) / len(group)
    clear = alone(lambda: progress("waiting for other sweeps", QUALITY_SHARE))
    with clear if experiment.timed else nullcontext():
        for done, cell in enumerate(left):
            progress(
                "latency, " + describe(cell),
                QUALITY_SHARE + (1 - QUALITY_SHARE) * done / len(group),
            )
            yield finished(cell, runs, ledger, workers.count, each)


def known(cell: Cell, wanted: list[Cell], runs: dict[Cell, Runs | Failed]) -> bool:
    """Whether all of a cell's quality is there, and that of random actions if it is compared."""
    return all(one in runs for one in (cell, baseline_of(cell)) if one in wanted)


def finished(
    cell: Cell, runs: dict[Cell, Runs | Failed], ledger: Ledger, workers: int, spent: float
) -> Finished | Failed:
    """A cell whose quality is known, its latency taken now. spent: seconds that it took so far."""
    began = time.perf_counter()
    own, baseline = compared(cell, runs)
    if isinstance(own, Failed):
        return own
    if isinstance(baseline, Failed):
        return Failed(cell, f"random actions, to compare it with: {baseline.error}")
    try:
        if ledger.experiment.timed:
            hold(cell)
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
