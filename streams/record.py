"""The decoded record: what one line of any log or live stream says.

Not here: how any format spells it, or how a model wants it (encode.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, NamedTuple

import msgspec

from ..posteriors.base import UsageError

WRONG_VALUE = "wrong value"
"""The reason for refusing a line whose fields are readable but do not fit."""


class LineError(UsageError):
    """One line that is wrong, where the next may be right. reason: which sort of wrong, out of
    few, to count by."""

    def __init__(self, message: str, reason: str = WRONG_VALUE) -> None:
        super().__init__(message)
        self.reason = reason


Errors = Callable[[LineError], None]
"""What is done with a wrong line; the next is read if it returns."""


def stop(error: LineError) -> None:
    """Read no further: what a log to learn from wants, for a missing line would go unseen."""
    try:
        raise error
    finally:
        # The error knows this frame: it would keep its file open until garbage is collected.
        del error


class Where(NamedTuple):
    """A place in an input: file as the user named it, line from 1; 0 where the file's name says
    all, as that of an entry of a Redis stream does."""

    file: str
    line: int

    def error(self, field: str, problem: str, remedy: str, reason: str = WRONG_VALUE) -> LineError:
        """One line: file, line, field, what is wrong; what to do."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        parts = [place, field, f"{problem}; {remedy}"]
        return LineError(": ".join(part for part in parts if part), reason)


Positive = Annotated[float, msgspec.Meta(gt=0)]


class Candidate(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """One action on offer. id: arm or label; x: its own features; cost: in the user's units, 1
    where nobody says."""

    id: str | int | None = None
    x: list[float] | None = None
    cost: Positive | None = None


Offer = str | int | Candidate | list[float]
"""A candidate as it may be written: an arm's name or index, an object, or a plain vector."""

REQUEST, DECISION, OBSERVATION, EVENT = "request", "decision", "observation", "event"


class Record(msgspec.Struct, gc=False):
    """One line, decoded. Absent fields are None.

    id: the user's own. where: its place. t: seconds, any origin. x: context numbers. actions:
    candidates. action: an arm's name or index, or a vector. propensity: probability with which
    the action was chosen; a density where it is a vector and no candidates are listed. y:
    observation. r: reward; where absent the model's own. deadline: seconds allowed for the
    decision. weight: how many times the event counts. cost: of each candidate, or of each arm
    where none are listed. key: of the stream, where lines of many are told apart.
    """

    id: str | int
    where: Where
    t: float | None = None
    x: list[float] | None = None
    actions: list[Offer] | None = None
    action: str | int | list[float] | None = None
    propensity: float | None = None
    y: float | list[float] | None = None
    r: float | None = None
    deadline: float | None = None
    weight: float = 1.0
    cost: list[float] | None = None
    key: str | int | None = None

    @property
    def kind(self) -> str:
        """`request` asks for an action; `decision` is an action whose observation will follow;
        `observation` answers an earlier id; `event` is complete."""
        if self.action is None:
            return REQUEST if self.y is None else OBSERVATION
        return DECISION if self.y is None else EVENT
