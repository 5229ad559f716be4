"""A cell that could not be computed: which, and why in one line.

Its trouble is its own: the cells beside it go on, and a later sweep tries it again. Not here: what
computes cells (groups.py, cluster.py), or what is said of them (cli/sweep.py).
"""

from __future__ import annotations

from typing import NamedTuple

from ...posteriors.base import UsageError
from ...posteriors.loading import describe, own_line, parse
from .experiment import Cell
from .ledger import NAMED

TRIES = 3
"""Times that a cell may lose its worker before it counts as what ends them."""
LOST = f"its worker died {TRIES} times, perhaps for want of memory"


class Failed(NamedTuple):
    """A cell without a result. error: one line."""

    cell: Cell
    error: str


def explained(error: Exception, cell: Cell) -> str:
    """What went wrong, after the line of the user's own file where it did."""
    if isinstance(error, UsageError):
        return " ".join(str(error).split())
    for name in NAMED:
        path = parse(getattr(cell, name) or "").target.rpartition(":")[0]
        if path.endswith(".py") and (line := own_line(error, path)):
            return f"{path}{line}: {describe(error)}"
    return describe(error)
