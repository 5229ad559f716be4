"""A log opened for learning: what its actions are, and its complete events in order.

Not here: any format. A format either knows its arms from a header, or lets `infer` look ahead.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

from ..posteriors.base import Arms, UsageError, Vector
from .record import DECISION, EVENT, OBSERVATION, REQUEST, Candidate, Record

LOOKAHEAD = 10_000
"""Records read ahead to learn a log's arms; an arm first seen later is an error that says so."""


@dataclass
class Log:
    """records: complete events in the order in which their observations arrived.

    names: the arms' names, empty where actions are vectors. context: numbers that come with an
    arm. size: numbers of a vector action, 0 where actions are arms. offered: most candidates
    listed on one line, 0 where none are. left_out: how many lines of which kind gave no event.
    """

    names: tuple[str, ...]
    context: int
    size: int
    offered: int
    records: Iterator[Record]
    left_out: Counter[str] = field(default_factory=Counter)

    @property
    def actions(self) -> Arms | Vector:
        """The space the logged actions live in."""
        return Arms(len(self.names), self.context) if self.names else Vector(self.size)


def joined(records: Iterator[Record], left_out: Counter[str]) -> Iterator[Record]:
    """Complete events, each decision waiting for its observation, which may come late.

    left_out counts requests, decisions never answered and observations of unknown ids.
    """
    waiting: dict[str | int, Record] = {}
    for record in records:
        kind = record.kind
        if kind == EVENT:
            yield record
        elif kind == DECISION:
            if record.id in waiting:
                raise record.where.error(
                    "id", f"{record.id!r} is already waiting for its observation", "use a new id"
                )
            waiting[record.id] = record
        elif kind == OBSERVATION:
            decision = waiting.pop(record.id, None)
            if decision is None:
                left_out["observations of an id that is not waiting"] += 1
                continue
            # What is learnt is learnt when the observation arrives, so its line and time count.
            decision.y, decision.r, decision.where = record.y, record.r, record.where
            decision.t = decision.t if record.t is None else record.t
            yield decision
        elif kind == REQUEST:
            left_out["requests without an action"] += 1
    if waiting:
        left_out["decisions without an observation"] += len(waiting)


def peek(records: Iterator[Any], count: int) -> tuple[list[Any], Iterator[Any]]:
    """The first `count` items, and an iterator that still yields everything."""
    ahead = list(islice(records, count))
    return ahead, chain(ahead, records)


def infer(records: Iterator[Record]) -> Log:
    """Read a log's arms, context and vector size off its first `LOOKAHEAD` records."""
    ahead, records = peek(records, LOOKAHEAD)
    arms: dict[str | int, None] = {}
    context = size = offered = 0
    for record in ahead:
        shared = len(record.x or ())
        choices = list(record.actions or ())
        offered = max(offered, len(choices))
        if record.action is not None:
            choices.append(record.action)
        context = max(context, shared)
        for choice in choices:
            own = choice.x if isinstance(choice, Candidate) else choice
            name = choice.id if isinstance(choice, Candidate) else choice
            if isinstance(own, list):
                size = max(size, shared + len(own))
            elif isinstance(name, str | int):
                arms[name] = None
    left_out: Counter[str] = Counter()
    events = joined(records, left_out)
    if size:
        return Log((), 0, size, offered, events, left_out)
    return Log(arm_names(list(arms), ahead), context, 0, offered, events, left_out)


def arm_names(arms: list[str | int], ahead: list[Record]) -> tuple[str, ...]:
    """Names in order of appearance; where all are whole numbers they are indices from 0."""
    if not arms:
        if not ahead:
            return ()
        raise ahead[0].where.error(
            "action", f"none in the first {len(ahead)} lines", "a log to learn from needs actions"
        )
    indices = [arm for arm in arms if isinstance(arm, int)]
    if len(indices) < len(arms):
        return tuple(dict.fromkeys(str(arm) for arm in arms))
    if min(indices) < 0:
        raise UsageError(f"{ahead[0].where.file}: action {min(indices)}; count arms from 0")
    return tuple(str(i) for i in range(max(indices) + 1))
