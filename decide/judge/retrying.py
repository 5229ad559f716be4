"""Quality of cells in local workers that may fail or die, each cell's trouble being its own.

A dead worker takes all that its crew was at with it, whoever killed it; a fresh crew then tries
those cells one at a time, so that a cell that ends its workers takes nobody with it. Not here:
what quality is (quality.py), or starting a crew (crew.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from typing import Any

from .bench import QUALITY_SHARE, Progress, as_finished, describe, gathered, pieces
from .crew import crew
from .experiment import Cell
from .failing import LOST, TRIES, Failed, explained
from .quality import Wanted, quality
from .trials import forget

Runs = dict[str, Any]
Measure = Callable[[Cell, int, int, Wanted], Runs | Failed]


class Workers:
    """A crew, replaced once one of it has died; none where one worker is asked for."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.pool: ProcessPoolExecutor | None = None
        self._held = ExitStack()

    def __enter__(self) -> Workers:
        self.renew()
        return self

    def __exit__(self, *error: object) -> None:
        self._held.close()

    def renew(self) -> None:
        """End the crew there is and start another."""
        self._held.close()
        self.pool = self._held.enter_context(crew(self.count)) if self.count > 1 else None

    def ready(self) -> ProcessPoolExecutor | None:
        """The crew, a fresh one if one of it died while nobody was looking."""
        processes = (self.pool and self.pool._processes) or {}
        if not all(process.is_alive() for process in processes.values()):
            self.renew()
        return self.pool


def safely(cell: Cell, first: int, count: int, wanted: Wanted) -> Runs | Failed:
    """Quality, or why there is none: as a value, since not every exception can be sent."""
    try:
        return quality(cell, first, count, wanted)
    except Exception as error:  # a user's code may fail in any way at all
        return Failed(cell, explained(error, cell))


def once(cell: Cell, first: int, count: int, wanted: Wanted) -> Runs | Failed:
    """What a worker does: it will not see the cell again, so it keeps no program of it."""
    found = safely(cell, first, count, wanted)
    forget()
    return found


def qualities(
    cells: list[Cell],
    wanted: Wanted,
    workers: Workers,
    progress: Progress,
    measure: Measure = once,
) -> dict[Cell, Runs | Failed]:
    """Quality of every cell, its runs in order, or why there is none."""
    return dict(each_quality(cells, wanted, workers, progress, measure))


def each_quality(
    cells: list[Cell],
    wanted: Wanted,
    workers: Workers,
    progress: Progress,
    measure: Measure = once,
) -> Iterator[tuple[Cell, Runs | Failed]]:
    """The same, each cell as soon as it is there."""
    if workers.count == 1:
        for done, cell in enumerate(cells):
            progress(describe(cell), QUALITY_SHARE * done / len(cells))
            yield cell, safely(cell, 0, cell.seeds, wanted)
        return
    left = dict.fromkeys(cells)
    for cell, runs in together(cells, wanted, workers, progress, measure):
        del left[cell]
        yield cell, runs
    for cell in left:
        for _ in range(TRIES - 1):
            progress("a worker died, trying again: " + describe(cell), 0.0)
            again = list(together([cell], wanted, workers, progress, measure))
            if again:
                yield from again
                break
        else:
            yield cell, Failed(cell, LOST)


def together(
    cells: list[Cell], wanted: Wanted, workers: Workers, progress: Progress, measure: Measure
) -> Iterator[tuple[Cell, Runs | Failed]]:
    """Of cells computed side by side, those that no dying worker took with it, as they come."""
    pool = workers.ready()
    assert pool is not None
    work = pieces(cells, workers.count) if cells else []
    jobs: dict[Future, tuple[Cell, int]] = {}
    results: dict[tuple[Cell, int], Any] = {}
    parts: dict[Cell, list[tuple[Cell, int]]] = {}
    for cell, first, _ in work:
        parts.setdefault(cell, []).append((cell, first))
    died = False
    try:
        for cell, first, count in work:
            jobs[pool.submit(measure, cell, first, count, wanted)] = cell, first
    except BrokenProcessPool:
        died = True
    for done, future in enumerate(as_finished(jobs, progress, len(work)), start=1):
        cell = jobs[future][0]
        try:
            results[jobs[future]] = future.result()
        except BrokenProcessPool:
            died = True
        except Exception as error:  # what could not be sent there or back
            results[jobs[future]] = Failed(cell, explained(error, cell))
        progress("gain", QUALITY_SHARE * done / len(work))
        keys = parts.get(cell, [])
        if keys and all(key in results for key in keys):
            del parts[cell]
            failed = [results[key] for key in keys if isinstance(results[key], Failed)]
            yield cell, failed[0] if failed else gathered([cell], results)[cell]
            for key in keys:
                del results[key]
    if died:
        workers.renew()
    # What a dying worker left of a cell may still say that the cell itself is at fault.
    for cell, keys in parts.items():
        failed = [results[key] for key in keys if isinstance(results.get(key), Failed)]
        if failed:
            yield cell, failed[0]
