"""Quality of cells in local workers that may fail or die, each cell's trouble being its own.

A worker is given one piece of a cell at a time, of the shape that it worked at last where there is
one, so that its programs serve again; if it dies, a fresh one is given the piece. Not here: what
quality is (quality.py), or starting a worker (crew.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, NamedTuple

from .bench import QUALITY_SHARE, Progress, describe, gathered, pieces
from .crew import Workers
from .experiment import Cell, shape_of
from .failing import LOST, TRIES, Failed, explained
from .programs import hold
from .quality import Wanted, quality

Runs = dict[str, Any]
Measure = Callable[[Cell, int, int, Wanted], Runs | Failed]
LOOK = 0.5
"""Seconds between signs of life."""


def safely(cell: Cell, first: int, count: int, wanted: Wanted) -> Runs | Failed:
    """Quality, or why there is none: as a value, since not every exception can be sent."""
    try:
        return quality(cell, first, count, wanted)
    except Exception as error:  # a user's code may fail in any way at all
        return Failed(cell, explained(error, cell))


def once(cell: Cell, first: int, count: int, wanted: Wanted) -> Runs | Failed:
    """What a worker does: it keeps its programs for as long as cells of one shape come."""
    hold(cell)
    return safely(cell, first, count, wanted)


class Piece(NamedTuple):
    """Runs `first` to `first + runs` of a cell."""

    cell: Cell
    first: int
    runs: int
    shape: Cell


def choose(waiting: list[Piece], held: Cell | None, others: Collection[Cell | None]) -> Piece:
    """Take the next piece for a worker: of the shape it holds, else of one that nobody holds."""
    for fits in (lambda s: s == held, lambda s: s not in others, lambda s: True):
        for place, piece in enumerate(waiting):
            if fits(piece.shape):
                return waiting.pop(place)
    raise IndexError("nothing is waiting")


def each_quality(
    cells: list[Cell],
    wanted: Wanted,
    workers: Workers,
    progress: Progress,
    measure: Measure = once,
    skip: Callable[[Cell], bool] = lambda cell: False,
) -> Iterator[tuple[Cell, Runs | Failed]]:
    """Quality of every cell as soon as it is there, its runs in order, or why there is none.

    Cells are begun in the order given but for those of one shape. skip: asked before a cell is
    begun whether it is to be left out.
    """
    if workers.count > 1:
        yield from Handing(cells, wanted, workers, progress, measure, skip)
        return
    for done, cell in enumerate(cells):
        if not skip(cell):
            progress(describe(cell), QUALITY_SHARE * done / len(cells))
            yield cell, measure(cell, 0, cell.seeds, wanted)


class Handing:
    """Pieces handed out, and what is made of what comes back, or does not."""

    def __init__(
        self,
        cells: list[Cell],
        wanted: Wanted,
        workers: Workers,
        progress: Progress,
        measure: Measure,
        skip: Callable[[Cell], bool],
    ) -> None:
        self._workers, self._progress, self._skip = workers, progress, skip
        self._measure, self._wanted = measure, wanted
        work = pieces(cells, workers.count) if cells else []
        self._waiting = [Piece(*one, shape_of(one[0])) for one in work]
        self._total = len(work)
        self._parts = Counter(piece.cell for piece in self._waiting)
        self._results: dict[Cell, dict[tuple[Cell, int], Runs]] = {cell: {} for cell in cells}
        self._running: dict[Future, tuple[int, Piece]] = {}
        self._shapes: list[Cell | None] = [None] * workers.count
        self._tries: Counter[Cell] = Counter()

    def __iter__(self) -> Iterator[tuple[Cell, Runs | Failed]]:
        while True:
            self._hand_out()
            if not self._running:
                return
            done, _ = wait(self._running, LOOK, FIRST_COMPLETED)
            self._say("gain")
            for future in done:
                number, piece = self._running.pop(future)
                found = self._reply(number, piece, future)
                # Of a cell that has failed another piece may still come back.
                if found is not None and piece.cell in self._results:
                    yield from self._put(piece, found)

    def _hand_out(self) -> None:
        """Give every worker that has nothing to do a piece, as long as there are any."""
        working = {number for number, _ in self._running.values()}
        for number in range(self._workers.count):
            while self._waiting and number not in working:
                others = [s for n, s in enumerate(self._shapes) if n != number]
                piece = choose(self._waiting, self._shapes[number], others)
                if piece.first == 0 and not self._tries[piece.cell] and self._skip(piece.cell):
                    self._drop(piece.cell)
                    continue
                job = self._measure, piece.cell, piece.first, piece.runs, self._wanted
                self._running[self._workers.submit(number, *job)] = number, piece
                self._shapes[number] = piece.shape
                working.add(number)

    def _reply(self, number: int, piece: Piece, future: Future) -> Runs | Failed | None:
        """What a worker has to say; None where it died and the piece is to be tried again."""
        try:
            return future.result()
        except BrokenProcessPool:
            self._workers.renew(number)
            self._shapes[number] = None
            self._tries[piece.cell] += 1
            if self._tries[piece.cell] >= TRIES:
                return Failed(piece.cell, LOST)
            if piece.cell in self._results:
                self._say("a worker died, trying again: " + describe(piece.cell))
                self._waiting.insert(0, piece)
            return None
        except Exception as error:  # what could not be sent there or back
            return Failed(piece.cell, explained(error, piece.cell))

    def _say(self, text: str) -> None:
        left = len(self._waiting) + len(self._running)
        self._progress(text, QUALITY_SHARE * (1 - left / self._total))

    def _put(self, piece: Piece, found: Runs | Failed) -> Iterator[tuple[Cell, Runs | Failed]]:
        """A cell, if that was the last piece of it or it has failed."""
        cell = piece.cell
        if isinstance(found, Failed):
            self._drop(cell)
            yield cell, found
            return
        results = self._results[cell]
        results[cell, piece.first] = found
        if len(results) == self._parts[cell]:
            self._drop(cell)
            yield cell, gathered([cell], results)[cell]

    def _drop(self, cell: Cell) -> None:
        """Nothing more is wanted of a cell."""
        del self._results[cell]
        self._waiting = [piece for piece in self._waiting if piece.cell != cell]
