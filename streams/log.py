"""A log opened for learning: what its actions are, and its complete events in order.

Not here: any format. A format either knows its arms from a header, or lets `infer` look ahead.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, TypeVar

from ..posteriors.base import Arms, UsageError, Vector
from .record import (
    DECISION,
    EVENT,
    OBSERVATION,
    REQUEST,
    Candidate,
    Errors,
    LineError,
    Record,
    Where,
    stop,
)

if TYPE_CHECKING:
    from .examples import Example

Item = TypeVar("Item")
Made = TypeVar("Made")

LOOKAHEAD = 10_000
"""Records read ahead to learn a log's arms; an arm first seen later is an error that says so."""
MOST_ARMS = 1_000_000
"""A larger number is no index from 0 but a name."""


@dataclass
class Log:
    """records: complete events in the order in which their observations arrived.

    names: the arms' names, empty where actions are vectors. context: numbers that come with an
    arm. size: numbers of a vector action, 0 where actions are arms. offered: most candidates
    listed on one line, 0 where none are. left_out: how many lines of which kind gave no event.
    every: the records as they are written, requests and late observations among them, where that
    is not what `records` yields. examples: the same with features by name, where the format has
    them. Of these iterators one can be read, once. notes: what a person should know of how the log
    is read. problem: why its arms are not known, for whoever asks for `actions`. form: the
    format's name. columns: what each number is called, of the context and then of a vector, where
    the format knows.
    """

    names: tuple[str, ...]
    context: int
    size: int
    offered: int
    records: Iterator[Record]
    left_out: Counter[str] = field(default_factory=Counter)
    every: Iterator[Record] | None = None
    examples: Iterator[Example] | None = None
    notes: tuple[str, ...] = ()
    problem: LineError | None = None
    form: str = ""
    columns: tuple[str, ...] = ()

    @property
    def written(self) -> Iterator[Record]:
        """Every record as it is written."""
        return self.records if self.every is None else self.every

    @property
    def actions(self) -> Arms | Vector:
        """The space the logged actions live in; raises what is wrong with them."""
        if self.problem is not None:
            raise self.problem
        return Arms(len(self.names), self.context) if self.names else Vector(self.size)


def agree(file: str, log: Log, name: str, space: Arms | Vector) -> None:
    """Refuse a model, by its name, whose actions are arms where the log's are vectors, or the
    other way round."""
    kinds = {True: "arms", False: "vectors"}
    own, its = isinstance(log.actions, Arms), isinstance(space, Arms)
    if own != its:
        raise UsageError(
            f"{file}: its actions are {kinds[own]}, those of model {name} are {kinds[its]}; name "
            "another --model"
        )


def each(
    items: Iterable[Item], make: Callable[[Item], Made], errors: Errors = stop
) -> Iterator[Made]:
    """What `make` makes of every item that is not wrong; a wrong one is handed to `errors`."""
    for item in items:
        try:
            made = make(item)
        except LineError as error:
            errors(error)
        else:
            yield made


def joined(
    records: Iterator[Record], left_out: Counter[str], errors: Errors = stop
) -> Iterator[Record]:
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
                what = f"{record.id!r} is already waiting for its observation"
                errors(record.where.error("id", what, "use a new id"))
                continue
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


def infer(records: Iterator[Record], errors: Errors = stop) -> Log:
    """Read a log's arms, context and vector size off its first `LOOKAHEAD` records."""
    ahead, records = peek(records, LOOKAHEAD)
    arms: dict[str | int, Where] = {}
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
                arms.setdefault(name, record.where)
    left_out: Counter[str] = Counter()
    events = joined(records, left_out, errors)
    if size:
        return Log((), 0, size, offered, events, left_out, records)
    names, problem = arm_names(arms, ahead)
    return Log(names, context, 0, offered, events, left_out, records, problem=problem)


def arm_names(
    arms: dict[str | int, Where], ahead: list[Record]
) -> tuple[tuple[str, ...], LineError | None]:
    """Names in order of appearance; where all are whole numbers they are indices from 0.

    arms: where each first appears. Also what is wrong with them: not everybody who reads a log
    needs them.
    """
    if not arms:
        if not ahead:
            return (), None
        what = f"none in the first {len(ahead)} lines"
        return (), ahead[0].where.error("action", what, "a log to learn from needs actions")
    indices = [arm for arm in arms if isinstance(arm, int)]
    if len(indices) < len(arms):
        return tuple(dict.fromkeys(str(arm) for arm in arms)), None
    for index in (min(indices), max(indices)):
        if not 0 <= index < MOST_ARMS:
            remedy = "count arms from 0" if index < 0 else "give arms names, in quotes"
            return (), arms[index].error("action", f"{index} is no index of an arm", remedy)
    return tuple(str(i) for i in range(max(indices) + 1)), None
