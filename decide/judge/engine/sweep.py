"""Compute the cells of a grid that a store does not hold, and store each as soon as it is finished.

Any number of processes may sweep into one store: none writes another's keys, and damaged or half
written results are computed again. A cell that fails stays unfinished and stops no other.

See also: batches.py and ray_engine.py for the engines, which compute cells.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from statistics import median
from typing import NamedTuple

from ....posteriors.specs import parse_spec
from ..measures.experiment import Cell
from ..measures.quality import agent_and_world
from .batches import compute_in_batches
from .bench import resolve_cells
from .failures import Failure
from .result_index import CELLS, Finished, ResultIndex
from .scheduler import Progress

Engine = Callable[[list[Cell], ResultIndex, Progress], Generator[Finished | Failure, None, None]]
"""Yields cells finished or failed, in any order, wherever they are computed."""

COMPILING, EVENT = 5.0, 0.01
"""Seconds a cell and a simulated event on two cores; for the first estimate only."""


class PlannedCell(NamedTuple):
    """A cell of the grid."""

    cell: Cell
    key: str
    """Its key in the store."""
    finished: bool
    """Whether the store has its result."""
    seconds: float
    """Time that it took, or an estimate."""
    measured: bool
    """Whether the estimate is based on finished cells."""


class Shard(NamedTuple):
    """Part `part` (from 1) of `parts`."""

    part: int
    parts: int


WHOLE = Shard(1, 1)


def plan_sweep(index: ResultIndex, shard: Shard = WHOLE) -> list[PlannedCell]:
    """List the cells of a shard, which of them the store has, and how long the others may take.

    Cells are dealt out in turn, so that shards are alike.

    index: results of the experiment.
    shard: part of the cells.
    Returns: the cells; an estimate is the median over finished cells with the same posterior, else
        over all, else a guess.
    """
    attempts = index.store.attempts(CELLS)
    spent: dict[str, list[float]] = {}
    seen: list[tuple[Cell, str, float | None]] = []
    for cell in resolve_cells(index.experiment)[shard.part - 1 :: shard.parts]:
        key = index.key(cell)
        entry = index.store.read(CELLS, key, attempts.get(key, []))
        if entry:
            spent.setdefault(_posterior_name(cell), []).append(entry.seconds)
        seen.append((cell, key, entry.seconds if entry else None))
    together = [seconds for some in spent.values() for seconds in some]
    planned = []
    for cell, key, took in seen:
        known = spent.get(_posterior_name(cell)) or together
        guess = median(known) if known else COMPILING + EVENT * cell.seeds * cell.steps
        seconds = guess if took is None else took
        planned.append(PlannedCell(cell, key, took is not None, seconds, bool(known)))
    return planned


def _posterior_name(cell: Cell) -> str:
    """Name of the posterior: cells with the same one take about as long."""
    return parse_spec(cell.posterior).target


def run_sweep(
    index: ResultIndex,
    shard: Shard,
    on_end: Callable[[Finished | Failure, int, int], None],
    progress: Progress,
    engine: Engine = compute_in_batches,
) -> list[PlannedCell]:
    """Compute and store the missing cells; errors in any cell are found before work starts.

    index: results of the experiment.
    shard: part of the cells.
    on_end: called with each cell that is stored or has failed, the number of these so far, and the
        number of missing cells.
    progress: called with the present activity and the share that is finished.
    engine: computes cells.
    Returns: the plan as it was before the sweep.
    Raises: UsageError if a cell cannot be built.
    """
    planned = plan_sweep(index, shard)
    missing = [one.cell for one in planned if not one.finished]
    for cell in missing:
        agent_and_world(cell)
    if missing:
        # Closed at once, so that an interrupt leaves no worker and no lock behind.
        with closing(engine(missing, index, progress)) as results:
            for done, result in enumerate(results, start=1):
                if isinstance(result, Finished) and not result.stored:
                    index.store_result(result)
                on_end(result, done, len(missing))
        progress("done", 1.0)
    return planned
