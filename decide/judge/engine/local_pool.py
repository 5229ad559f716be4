"""Quality of cells in worker processes of this machine; a cell that fails leaves the others alone.

Cells are cut into pieces of several runs. A worker gets pieces of the shape it worked at last if
there are any, so that its compiled programs serve again.

See also: scheduler.py for the queue, worker_process.py for the processes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from ..measures.experiment import Cell, shape_of
from ..measures.quality import Wanted, quality
from .failures import LOST, Failure, explain_failure
from .own_process import ProcessLost, owner_of, run_apart
from .program_memory import hold_programs
from .scheduler import Lost, Progress, Scheduler
from .worker_process import WorkerPool

Runs = dict[str, Any]
Measure = Callable[[Cell, int, int, Wanted], Any]
"""`quality`, or a function with its arguments."""
QUALITY_SHARE = 0.85
"""Roughly the share of a bench's time that quality takes."""


class Piece(NamedTuple):
    """Runs `first` to `first + runs` of a cell."""

    cell: Cell
    first: int
    runs: int
    shape: Cell


def quality_or_failure(cell: Cell, first: int, count: int, wanted: Wanted) -> Runs | Failure:
    """Measure runs of a cell, keeping compiled programs while cells of one shape come.

    cell: the cell.
    first: number of the first run.
    count: number of runs.
    wanted: measures to take.
    Returns: measures by name, or the failure: not every exception can be sent to another process.
    """
    hold_programs(cell)
    try:
        return quality(cell, first, count, wanted)
    except Exception as error:  # a user's code may fail in any way at all
        return explain_failure(error, cell)


def describe_cell(cell: Cell) -> str:
    """Describe a cell in a few words.

    cell: the cell.
    Returns: posterior, sizes and rule.
    """
    size = f" S={cell.particles}" if cell.particles else ""
    more = f"+{cell.think}" if cell.think else ""
    return f"{cell.posterior}{size} k={cell.refine}{more} {cell.rule}"


def cut_into_pieces(cells: list[Cell], workers: int) -> list[Piece]:
    """Cut cells into pieces, more than one a cell only if workers would be idle otherwise.

    cells: in order.
    workers: number of worker processes.
    Returns: the pieces, those of a cell in the order of its runs.
    """
    parts = max(1, -(-workers // len(cells))) if workers > 1 and cells else 1
    pieces = []
    for cell in cells:
        edges = np.linspace(0, cell.seeds, min(parts, cell.seeds) + 1).astype(int)
        shape = shape_of(cell)
        pieces += [Piece(cell, int(a), int(b - a), shape) for a, b in pairwise(edges)]
    return pieces


def sort_dearest_first(cells: Iterable[Cell]) -> list[Cell]:
    """Sort cells so that no core waits long for the last one.

    cells: in any order.
    Returns: those that cost most first.
    """
    return sorted(cells, key=lambda c: -(c.particles or 1) * max(c.refine + c.think, 1))


def join_pieces(parts: dict[int, Runs]) -> Runs:
    """Join the measures of a cell's pieces in the order of the runs.

    parts: measures of each piece, by its first run.
    Returns: measures by name, arrays with the runs leading.
    """
    ordered = [parts[first] for first in sorted(parts)]
    return {name: np.concatenate([part[name] for part in ordered]) for name in ordered[0]}


def pick_piece(queue: list[Piece], held: Cell | None, others: Collection[Cell | None]) -> int:
    """Pick a piece of the shape that a worker holds, else of one that no other worker holds.

    queue: pieces that wait, at least one.
    held: shape that the worker holds programs of.
    others: shapes that the other workers hold.
    Returns: its position in the queue.
    """
    for fits in (lambda s: s == held, lambda s: s not in others):
        for place, piece in enumerate(queue):
            if fits(piece.shape):
                return place
    return 0


class LocalExecutor:
    """Runs pieces in a pool of worker processes, one piece a worker."""

    def __init__(
        self,
        pool: WorkerPool,
        wanted: Wanted,
        measure: Measure,
        explain: Callable[[Exception, Cell], Failure],
    ) -> None:
        self._pool, self._wanted, self._measure, self._explain = pool, wanted, measure, explain
        self._running: dict[Future, tuple[int, Piece]] = {}
        self._shapes: list[Cell | None] = [None] * pool.count
        self._compiling: set[int] = set()

    def pick(self, queue: list[Piece]) -> int | None:
        """Return the position of the piece for the first free worker; None without one.

        queue: pieces that wait.
        """
        number = self._free_worker()
        if number is None:
            return None
        others = [shape for n, shape in enumerate(self._shapes) if n != number]
        return pick_piece(queue, self._shapes[number], others)

    def submit(self, task: Piece) -> None:
        """Give a piece to the first free worker.

        task: the piece picked.
        """
        number = self._free_worker()
        assert number is not None
        if self._pool.hand_over(number, owner_of(task.cell)):
            self._shapes[number] = None
        job = self._measure, task.cell, task.first, task.runs, self._wanted
        self._running[self._pool.submit(number, *job)] = number, task
        # A worker compiles whenever a piece has not the shape of the one before.
        if self._shapes[number] == task.shape:
            self._compiling.discard(number)
        else:
            self._compiling.add(number)
        self._shapes[number] = task.shape

    def describe(self) -> str:
        """Describe the cells that the workers compile or run now."""
        cells = dict.fromkeys(piece.cell for _, piece in self._running.values())
        fresh = any(number in self._compiling for number, _ in self._running.values())
        return ("compiling and running " if fresh else "running ") + ", ".join(
            describe_cell(cell) for cell in cells
        )

    def running(self) -> int:
        """Return the number of pieces at workers."""
        return len(self._running)

    def collect(self, timeout: float) -> list[tuple[Piece, Any]]:
        """Wait for replies.

        timeout: seconds.
        Returns: pieces with their measures, failure or `Lost`.
        """
        done, _ = wait(self._running, timeout, FIRST_COMPLETED)
        replies = []
        for future in done:
            number, piece = self._running.pop(future)
            replies.append((piece, self._reply(number, piece, future)))
        return replies

    def _free_worker(self) -> int | None:
        """Number of the first worker without a piece."""
        working = {number for number, _ in self._running.values()}
        return next((n for n in range(self._pool.count) if n not in working), None)

    def _reply(self, number: int, piece: Piece, future: Future) -> Any:
        """A worker's reply; a dead worker is replaced."""
        try:
            return future.result()
        except BrokenProcessPool:
            self._pool.restart(number)
            self._shapes[number] = None
            return Lost(LOST)
        except Exception as error:  # raised there, or not to be sent there or back
            return self._explain(error, piece.cell)


def judge_cells(
    cells: list[Cell],
    wanted: Wanted,
    pool: WorkerPool,
    progress: Progress,
    measure: Measure = quality_or_failure,
    skip: Callable[[Cell], bool] = lambda cell: False,
    explain: Callable[[Exception, Cell], Failure] = explain_failure,
) -> Iterator[tuple[Cell, Runs | Failure]]:
    """Measure the quality of cells, each yielded as soon as all of its runs are there.

    cells: begun in this order, but for those of one shape.
    wanted: measures to take.
    pool: worker processes; with one, cells are computed in this process.
    progress: called with the present activity and the share of the bench that is finished.
    measure: function that a worker runs.
    skip: asked before a cell begins whether to leave it out.
    explain: makes a failure of an exception that comes from a worker; it may raise.
    Returns: cells with measures by name, runs in order, or with their failure.
    """
    if pool.count <= 1:
        for done, cell in enumerate(cells):
            if not skip(cell):
                text = f"compiling and running {describe_cell(cell)}, {done + 1} of {len(cells)}"
                progress(text, QUALITY_SHARE * done / len(cells))
                try:
                    reply = run_apart(cell, measure, cell, 0, cell.seeds, wanted)
                except ProcessLost as error:
                    reply = Failure(cell, str(error))
                yield cell, reply
        return
    pieces = cut_into_pieces(cells, pool.count)
    total, parts = len(pieces), Counter(piece.cell for piece in pieces)
    measured: dict[Cell, dict[int, Runs]] = {cell: {} for cell in cells}

    def report(text: str) -> None:
        whole = f"{text}; {len(cells) - len(measured)} of {len(cells)} done"
        progress(whole, QUALITY_SHARE * (1 - scheduler.remaining() / total))

    executor = LocalExecutor(pool, wanted, measure, explain)
    scheduler = Scheduler(
        pieces,
        executor,
        on_look=lambda: report(executor.describe()),
        on_retry=lambda piece: report("a worker died, trying again: " + describe_cell(piece.cell)),
        skip=lambda piece: skip(piece.cell),
        unit=lambda piece: piece.cell,
    )
    for piece, reply in scheduler:
        cell = piece.cell
        if isinstance(reply, Lost):
            reply = Failure(cell, reply.error)
        if isinstance(reply, Failure):
            scheduler.drop(cell)
            yield cell, reply
            continue
        measured[cell][piece.first] = reply
        if len(measured[cell]) == parts[cell]:
            yield cell, join_pieces(measured.pop(cell))
