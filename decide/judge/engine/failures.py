"""A cell that could not be computed: which, and why in one line.

Other cells go on, and a later sweep tries it again.
"""

from __future__ import annotations

from typing import NamedTuple

from ....posteriors.errors import UsageError
from ....posteriors.specs import describe_error, own_line, parse_spec
from ..measures.experiment import Cell

TRIES = 3
"""Times that a task may lose its worker before it counts as the cause."""
LOST = f"its worker died {TRIES} times, perhaps for want of memory"
NAMED = ("world", "model", "posterior", "rule", "proposer")
"""Parts of a cell that may name the user's own code."""


class Failure(NamedTuple):
    """A cell without a result."""

    cell: Cell
    error: str
    """Reason, one line."""


def explain_failure(error: Exception, cell: Cell) -> Failure:
    """Describe an exception, after the line of the user's own file that raised it.

    error: any exception.
    cell: the cell that was computed.
    Returns: the failure.
    """
    return Failure(cell, _reason(error, cell))


def _reason(error: Exception, cell: Cell) -> str:
    """The reason in one line."""
    if isinstance(error, UsageError):
        return " ".join(str(error).split())
    for name in NAMED:
        path = parse_spec(getattr(cell, name) or "").target.rpartition(":")[0]
        if path.endswith(".py") and (line := own_line(error, path)):
            return f"{path}{line}: {describe_error(error)}"
    return describe_error(error)
