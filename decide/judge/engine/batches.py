"""Compute cells of a sweep in batches: quality in worker processes, then each one's latency, alone.

A cell is finished when both are known, so an interrupted sweep loses one batch at most. A cell that
fails leaves the others alone.

See also: sweep.py for the storing of results, timing_lock.py for other sweeps on this machine.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import nullcontext

import numpy as np

from ...loop.core.cores import count_cores
from ..measures.experiment import Cell
from ..measures.latency import LiveRuns
from .bench import TIMING, baseline_of, cells_to_judge, own_and_baseline, time_cell, wanted_by
from .failures import Failure, explain_failure
from .local_pool import QUALITY_SHARE, Runs, describe_cell, judge_cells, sort_dearest_first
from .program_memory import hold_programs, sort_by_shape
from .result_index import Finished, ResultIndex
from .scheduler import Progress
from .timing_lock import hold_scoring, hold_timing
from .worker_process import WorkerPool

Results = Generator[Finished | Failure, None, None]
EACH = 2
"""Cells a worker in one batch: with one, all workers would wait for the slowest."""
UNTIMED = 64
"""The same if no latency is taken: then a batch need not end before the next one begins."""


def compute_in_batches(cells: list[Cell], index: ResultIndex, progress: Progress) -> Results:
    """Compute cells, leaving out those that another process finishes first.

    cells: to compute.
    index: results of the experiment.
    progress: called with the present activity and the share that is finished.
    Returns: cells finished or failed, one by one.
    """
    count = index.experiment.workers or count_cores()
    each = EACH if index.experiment.timed else UNTIMED
    size = 1 if count == 1 and index.experiment.timed else each * count
    cells = sort_by_shape(cells)
    batches = [cells[start : start + size] for start in range(0, len(cells), size)]
    with WorkerPool(count) as pool:
        for number, batch in enumerate(batches):

            def part(text: str, share: float, number: int = number) -> None:
                progress(text, (number + share) / len(batches))

            missing = [cell for cell in batch if not index.is_finished(cell)]
            if missing:
                yield from compute_batch(missing, index, pool, part)


def compute_batch(
    batch: list[Cell], index: ResultIndex, pool: WorkerPool, progress: Progress
) -> Results:
    """Compute the cells of one batch.

    batch: cells to compute.
    index: results of the experiment.
    pool: worker processes.
    progress: called with the present activity and the share of the batch that is finished.
    Returns: cells finished or failed, each as soon as its result is known.
    """
    began = time.perf_counter()
    experiment = index.experiment
    needed = cells_to_judge(batch, experiment.gain, experiment.deadline is not None)
    baselines = {baseline_of(cell) for cell in batch if not cell.is_baseline}
    # Random actions may have been judged already, for another batch, shard or day.
    stored = {cell: index.baseline(cell) for cell in needed if cell not in batch}
    runs: dict[Cell, Runs | Failure] = {c: old for c, old in stored.items() if old is not None}
    missing = [cell for cell in needed if cell not in runs]
    left = dict.fromkeys(batch)

    def finished_elsewhere(cell: Cell) -> bool:
        """Whether another process has finished a cell that nothing here waits for."""
        if cell not in left or cell in baselines or not index.is_finished(cell):
            return False
        del left[cell]
        return True

    with hold_scoring(lambda: progress("waiting for a sweep that is timing", 0.0)):
        # Without timing a cell is finished when it and the random actions that it is compared with
        # are known, so those come first.
        order = [cell for cell in missing if cell not in left]
        order += sort_dearest_first(cell for cell in missing if cell in left)
        wanted = wanted_by(experiment)
        for judged, reply in judge_cells(order, wanted, pool, progress, skip=finished_elsewhere):
            runs[judged] = reply
            if judged in stored and not isinstance(reply, Failure):
                index.store_baseline(judged, reply)
            known = [c for c in left if not experiment.timed and _is_known(c, needed, runs)]
            for cell in known:
                del left[cell]
                each = (time.perf_counter() - began) / (len(batch) - len(left))
                yield _finish(cell, runs, index, pool.count, each)
    each = (time.perf_counter() - began) / len(batch)
    lock = hold_timing(lambda: progress("waiting for other sweeps", QUALITY_SHARE))
    with lock if experiment.timed else nullcontext():
        for done, cell in enumerate(left):
            share = QUALITY_SHARE + (1 - QUALITY_SHARE) * done / len(batch)
            progress(f"{TIMING}{describe_cell(cell)}, {done + 1} of {len(batch)}", share)
            yield _finish(cell, runs, index, pool.count, each)


def _is_known(cell: Cell, needed: list[Cell], runs: dict[Cell, Runs | Failure]) -> bool:
    """Whether all of a cell's quality is there, and that of random actions if it is compared."""
    return all(one in runs for one in (cell, baseline_of(cell)) if one in needed)


def _finish(
    cell: Cell, runs: dict[Cell, Runs | Failure], index: ResultIndex, workers: int, spent: float
) -> Finished | Failure:
    """Take the latency of a cell whose quality is known. spent: seconds it took so far."""
    began = time.perf_counter()
    own, baseline = own_and_baseline(cell, runs)
    if isinstance(own, Failure):
        return own
    if isinstance(baseline, Failure):
        return Failure(cell, f"random actions, to compare it with: {baseline.error}")
    try:
        if index.experiment.timed:
            hold_programs(cell)
        record, judged, lived = time_cell(cell, own, baseline, index.experiment, workers)
    except Exception as error:  # a user's code may fail in any way at all
        return explain_failure(error, cell)
    seconds = spent + time.perf_counter() - began
    return Finished(cell, record, judged | live_arrays(lived), seconds)


def live_arrays(lived: LiveRuns | None) -> dict[str, np.ndarray]:
    """Return the arrays of live runs that a store keeps.

    lived: the runs; None if there are none.
    Returns: decide, learn `[N, T]` seconds, actions and observations, runs leading.
    """
    if lived is None:
        return {}
    shape = lived.actions.shape[:2]
    return {
        "decide": lived.timing.decide.reshape(shape),
        "learn": lived.timing.learn.reshape(shape),
        "actions": lived.actions,
        "observations": lived.observations,
    }
