"""A log opened for learning: its arms, and its complete events in order.

A format either knows its arms from a header or lets `infer_log` read ahead.
See also: registry.py for the formats.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any, TypeVar

from ...posteriors.base import Arms, Vector
from ...posteriors.errors import UsageError
from .record import (
    DECISION,
    EVENT,
    OBSERVATION,
    REQUEST,
    WITHDRAWAL,
    ErrorHandler,
    LineError,
    Record,
    Where,
    candidate_features,
    candidate_id,
    raise_error,
)
from .vw.example import Example

Item = TypeVar("Item")
Made = TypeVar("Made")

LOOKAHEAD = 10_000
"""Records read ahead to learn a log's arms; an arm first seen later is an error that says so."""
NUMBERS = 1 << 22
"""Numbers and candidates in these records, about, after which no more are read ahead."""
MOST_ARMS = 1_000_000
"""A larger number is no index from 0 but a name."""


@dataclass(frozen=True)
class NoOptions:
    """The options of a format that has none."""


@dataclass
class Log:
    """An opened log; of its iterators one can be read, once.

    names: names of the arms, empty if actions are vectors.
    context: count of context numbers that come with an arm.
    size: numbers of a vector action, 0 if actions are arms.
    most_candidates: most candidates listed on one line, 0 if none are.
    records: complete events in the order in which their observations arrived.
    left_out: counts of lines that gave no event, by kind.
    all_records: records as written, requests and late observations included; None if `records` is
        that.
    examples: the same with features by name, if the format has them.
    notes: remarks for the user on how the log is read.
    problem: the error that `actions` raises if the arms are not known.
    format_name: name of the format.
    column_names: names of the numbers, of the context and then of a vector, if the format knows
        them.
    """

    names: tuple[str, ...]
    context: int
    size: int
    most_candidates: int
    records: Iterator[Record]
    left_out: Counter[str] = field(default_factory=Counter)
    all_records: Iterator[Record] | None = None
    examples: Iterator[Example] | None = None
    notes: tuple[str, ...] = ()
    problem: LineError | None = None
    format_name: str = ""
    column_names: tuple[str, ...] = ()

    @property
    def written(self) -> Iterator[Record]:
        """Every record as it is written."""
        return self.records if self.all_records is None else self.all_records

    @property
    def actions(self) -> Arms | Vector:
        """Space of the logged actions; raises `problem` if there is one."""
        if self.problem is not None:
            raise self.problem
        return Arms(len(self.names), self.context) if self.names else Vector(self.size)


def require_same_actions(file: str, log: Log, name: str, space: Arms | Vector) -> None:
    """Check that the actions of a model and of a log are both arms or both vectors.

    file: name of the log, for the message.
    log: opened log.
    name: name of the model, for the message.
    space: actions of the model.
    Raises: UsageError if they differ.
    """
    kinds = {True: "arms", False: "vectors"}
    own, its = isinstance(log.actions, Arms), isinstance(space, Arms)
    if own != its:
        raise UsageError(
            f"{file}: its actions are {kinds[own]}, those of model {name} are {kinds[its]}; name "
            "another --model"
        )


def map_valid(
    items: Iterable[Item], make: Callable[[Item], Made], on_error: ErrorHandler = raise_error
) -> Iterator[Made]:
    """Yield `make(item)` for every item that is not wrong.

    items: any items.
    make: raises LineError for a wrong item.
    on_error: receives these errors.
    """
    for item in items:
        try:
            made = make(item)
        except LineError as error:
            on_error(error)
        else:
            yield made


def join_observations(
    records: Iterator[Record], left_out: Counter[str], on_error: ErrorHandler = raise_error
) -> Iterator[Record]:
    """Yield complete events; each decision waits for its observation, which may come late.

    records: as written.
    left_out: counts requests, decisions never answered and observations of unknown ids.
    on_error: receives the error of a decision whose id already waits.
    """
    waiting: dict[str | int, Record] = {}
    for record in records:
        kind = record.kind
        if kind == EVENT:
            yield record
        elif kind == DECISION:
            if record.id in waiting:
                on_error(repeated_id_error(record))
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
        elif kind == WITHDRAWAL:
            known = waiting.pop(record.id, None) is not None
            left_out["decisions withdrawn" if known else "withdrawals of an id not waiting"] += 1
        elif kind == REQUEST:
            left_out["requests without an action"] += 1
    if waiting:
        left_out["decisions without an observation"] += len(waiting)


def repeated_id_error(record: Record) -> LineError:
    """Return the error of a decision whose id already waits for its observation.

    record: the second decision.
    """
    problem = f"{record.id!r} is already waiting for its observation"
    return record.where.error("id", problem, "use a new id")


def read_ahead(records: Iterator[Any], count: int) -> tuple[list[Any], Iterator[Any]]:
    """Return the first `count` items, and an iterator that still yields everything.

    records: any iterator.
    count: most items to take.
    """
    ahead = list(islice(records, count))
    return ahead, chain(ahead, records)


def _first(records: Iterator[Record]) -> Iterator[Record]:
    """The records from which a log's shape is inferred: fewer of them where they are long."""
    room = NUMBERS
    for record in islice(records, LOOKAHEAD):
        yield record
        parts = record.x, record.actions, record.action, record.y
        room -= sum(len(part) for part in parts if isinstance(part, list | tuple))
        if room < 0:
            return


def infer_log(records: Iterator[Record], on_error: ErrorHandler = raise_error) -> Log:
    """Open a log whose arms, context and vector size are those of its first `LOOKAHEAD` records.

    records: as written.
    on_error: receives wrong lines.
    """
    ahead = list(_first(records))
    records = chain(ahead, records)
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
            own, name = candidate_features(choice), candidate_id(choice)
            if own is not None:
                size = max(size, shared + len(own))
            elif name is not None:
                arms.setdefault(name, record.where)
    left_out: Counter[str] = Counter()
    events = join_observations(records, left_out, on_error)
    if size:
        return Log((), 0, size, offered, events, left_out, records)
    names, problem = _arm_names(arms, ahead)
    return Log(names, context, 0, offered, events, left_out, records, problem=problem)


def _arm_names(
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
