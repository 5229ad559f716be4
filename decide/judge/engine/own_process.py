"""Cells with a user's own code, each in a process of its own.

All cells of an experiment have the same seeds, so that they can be compared run by run: what code
saw of a truth in one cell would be worth something in the next. So no process that measures gain
runs such code of two cells.

See also: local_pool.py for workers, which are replaced between cells.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from ....posteriors.errors import UsageError
from ....posteriors.registry import MODELS, POSTERIORS
from ....posteriors.specs import parse_spec
from ...rules.registry import PROPOSERS, RULES
from ..measures.experiment import Cell
from .worker_process import start_processes

Result = TypeVar("Result")


class ProcessLost(UsageError):
    """The process of a cell died."""


_here: Cell | None = None
"""The cell whose own code this process measures."""


def owner_of(cell: Cell) -> Cell | None:
    """Return the cell if it holds a user's own code that could remember, else None.

    A model that is also the world is true by definition: it is not judged.

    cell: any cell.
    """
    parts = (
        (cell.posterior, POSTERIORS),
        (cell.rule, RULES),
        (cell.proposer, PROPOSERS),
        (None if cell.model == cell.world else cell.model, MODELS),
    )
    own = any(spec and parse_spec(spec).target not in known for spec, known in parts)
    return cell if own else None


def run_apart(cell: Cell, work: Callable[..., Result], *given: object) -> Result:
    """Run work on a cell here, or in a process of its own if this one ran another's own code.

    cell: any cell.
    work: function that can be sent to another process.
    given: its arguments.
    Returns: its result.
    Raises: ProcessLost if the process dies; any exception of `work`.
    """
    global _here
    owner = owner_of(cell)
    if owner is None or _here in (None, owner):
        _here = owner or _here
        return work(*given)
    with start_processes(1) as pool:
        try:
            return pool.submit(work, *given).result()
        except BrokenProcessPool as error:
            raise ProcessLost("its process died, perhaps for want of memory") from error
