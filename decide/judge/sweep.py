"""A sweep: the cells of a grid that a store does not hold yet, each kept as soon as it is finished.

Any number of processes may sweep into one store: none writes another's keys, and what is damaged
or half written is computed again. A cell that fails stays unfinished and stops no other. Not here:
how cells are computed (an engine does: groups.py on this machine, cluster.py on Ray).
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from statistics import median
from typing import NamedTuple

from ...posteriors.loading import parse
from .bench import Progress, settled
from .experiment import Cell
from .failing import Failed
from .groups import in_groups
from .ledger import CELLS, Finished, Ledger
from .quality import agent_and_world

Engine = Callable[[list[Cell], Ledger, Progress], Generator[Finished | Failed, None, None]]
"""Yields the cells finished or failed, in any order, from wherever they were computed."""

COMPILING, EVENT = 5.0, 0.01
"""Seconds a cell and a simulated event, of the order seen on two cores: for a first guess only."""


class Planned(NamedTuple):
    """A cell of the grid. seconds: it took, or may take; measured: whether any cell was timed."""

    cell: Cell
    key: str
    finished: bool
    seconds: float
    measured: bool


class Shard(NamedTuple):
    """Part `part` (from 1) of `parts`."""

    part: int
    parts: int


WHOLE = Shard(1, 1)


def survey(ledger: Ledger, shard: Shard = WHOLE) -> list[Planned]:
    """The shard's cells with whether the store has them whole, and how long they may take.

    Cells are dealt out in turn, so that shards are alike. An estimate is the median of what cells
    with the same posterior took, else of all, else a guess.
    """
    found = ledger.store.attempts(CELLS)
    spent: dict[str, list[float]] = {}
    seen: list[tuple[Cell, str, float | None]] = []
    for cell in settled(ledger.experiment)[shard.part - 1 :: shard.parts]:
        key = ledger.key(cell)
        entry = ledger.store.read(CELLS, key, found.get(key, []))
        if entry:
            spent.setdefault(kind_of(cell), []).append(entry.seconds)
        seen.append((cell, key, entry.seconds if entry else None))
    together = [seconds for some in spent.values() for seconds in some]
    planned = []
    for cell, key, took in seen:
        known = spent.get(kind_of(cell)) or together
        guess = median(known) if known else COMPILING + EVENT * cell.seeds * cell.steps
        seconds = guess if took is None else took
        planned.append(Planned(cell, key, took is not None, seconds, bool(known)))
    return planned


def kind_of(cell: Cell) -> str:
    """What cells that take about as long have in common."""
    return parse(cell.posterior).target


def sweep(
    ledger: Ledger,
    shard: Shard,
    ended: Callable[[Finished | Failed, int, int], None],
    progress: Progress,
    engine: Engine = in_groups,
) -> list[Planned]:
    """Compute and keep what is missing; the plan it followed.

    ended: called with a cell once it is kept or has failed, how many are now and of how many
    missing ones. What is wrong with a cell as such is found before any work starts.
    """
    planned = survey(ledger, shard)
    missing = [one.cell for one in planned if not one.finished]
    for cell in missing:
        agent_and_world(cell)
    if missing:
        # Closed at once, so that an interrupt leaves no worker and no lock behind.
        with closing(engine(missing, ledger, progress)) as cells:
            for done, one in enumerate(cells, start=1):
                if isinstance(one, Finished) and not one.kept:
                    ledger.keep(one)
                ended(one, done, len(missing))
        progress("done", 1.0)
    return planned
