"""The decoded record: the content of one line of any log or live stream.

See also: ndjson.py for its spelling, encoding.py for its arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, NamedTuple

import msgspec

from ...posteriors.errors import UsageError

WRONG_VALUE = "wrong value"
"""Reason of a line whose fields are readable but do not fit."""


class LineError(UsageError):
    """One wrong line, after which the next may be right.

    reason: one of few categories, to count by.
    """

    def __init__(self, message: str, reason: str = WRONG_VALUE) -> None:
        super().__init__(message)
        self.reason = reason


ErrorHandler = Callable[[LineError], None]
"""Receives the error of a wrong line; reading goes on if it returns."""


def raise_error(error: LineError) -> None:
    """Raise the error: the handler of a log to learn from, where a missing line would go unseen.

    error: error of the line.
    """
    try:
        raise error
    finally:
        # The error knows this frame: it would keep its file open until garbage is collected.
        del error


class Where(NamedTuple):
    """A place in an input.

    file: name as the user wrote it.
    line: number from 1; 0 if the file's name says all, as for an entry of a Redis stream.
    """

    file: str
    line: int

    def error(self, field: str, problem: str, remedy: str, reason: str = WRONG_VALUE) -> LineError:
        """Return an error of this place: file, line, field, problem; remedy.

        field: name of the field, may be empty.
        problem: a short phrase.
        remedy: a short phrase.
        reason: category to count by.
        """
        place = f"{self.file}:{self.line}" if self.line else self.file
        parts = [place, field, f"{problem}; {remedy}"]
        return LineError(": ".join(part for part in parts if part), reason)


Positive = Annotated[float, msgspec.Meta(gt=0)]


class Candidate(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """One action on offer.

    id: name or index of an arm, or a label.
    x: its own features.
    cost: in the user's units; 1 by default.
    """

    id: str | int | None = None
    x: list[float] | None = None
    cost: Positive | None = None


CandidateLike = str | int | Candidate | list[float]
"""A candidate as a line may give it: an arm's name or index, an object, or a plain vector."""


def candidate_id(candidate: CandidateLike) -> str | int | None:
    """Return the name or index of a candidate; None if it has none.

    candidate: as written.
    """
    if isinstance(candidate, Candidate):
        return candidate.id
    return None if isinstance(candidate, list) else candidate


def candidate_features(candidate: CandidateLike) -> list[float] | None:
    """Return a candidate's own numbers; None if it has none.

    candidate: as written.
    """
    if isinstance(candidate, Candidate):
        return candidate.x
    return candidate if isinstance(candidate, list) else None


LEAST_PROPENSITY = 1e-100
"""Smallest propensity of a decision that a value is estimated from."""
REQUEST, DECISION, OBSERVATION, EVENT = "request", "decision", "observation", "event"
WITHDRAWAL = "withdrawal"


class Record(msgspec.Struct, gc=False):
    """One decoded line; absent fields are None.

    id: the user's own.
    where: place of the line.
    t: seconds, any origin.
    x: context numbers.
    actions: candidates.
    action: name or index of an arm, or a vector.
    propensity: probability of the action when it was chosen; a density if it is a vector and no
        candidates are listed.
    y: observation.
    r: reward; the model's own if absent.
    deadline: seconds allowed for the decision.
    weight: number of times that the event counts.
    cost: cost of each candidate, or of each arm if none are listed.
    key: key of the stream, if lines belong to many.
    withdrawn: whether the line takes back the decision of its id: no observation will follow.
    """

    id: str | int
    where: Where
    t: float | None = None
    x: list[float] | None = None
    actions: list[CandidateLike] | None = None
    action: str | int | list[float] | None = None
    propensity: float | None = None
    y: float | list[float] | None = None
    r: float | None = None
    deadline: float | None = None
    weight: float = 1.0
    cost: list[float] | None = None
    key: str | int | None = None
    withdrawn: bool = False

    @property
    def kind(self) -> str:
        """Kind of the line.

        `request` asks for an action; `decision` is an action whose observation will follow;
        `observation` answers an earlier id; `event` is complete; `withdrawal` takes back the
        decision of its id.
        """
        if self.withdrawn:
            return WITHDRAWAL
        if self.action is None:
            return REQUEST if self.y is None else OBSERVATION
        return DECISION if self.y is None else EVENT


def check_propensity(record: Record) -> None:
    """Refuse a propensity so small that the square of its importance weight overflows.

    record: any record.

    Raises: LineError if the propensity is below `LEAST_PROPENSITY`.
    """
    if record.propensity is not None and record.propensity < LEAST_PROPENSITY:
        raise record.where.error(
            "propensity",
            f"{record.propensity:g} is below {LEAST_PROPENSITY:g}, too rare for any estimate",
            "correct the line or leave it out",
        )
