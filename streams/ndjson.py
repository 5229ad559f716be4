"""Native NDJSON: one JSON object a line, requests, observations and logged events alike.

Not here: joining late observations to their decisions (log.py), or arrays (encode.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, BinaryIO

import msgspec
import numpy as np

from ..posteriors.loading import nearest
from .files import Source
from .fitting import MISSING, TOO_LARGE, UNKNOWN, Misfit, misfit
from .log import Log, infer
from .looking import Look, inner, look, no_number
from .record import Errors, LineError, Offer, Positive, Record, Where, stop

NotNegative = Annotated[float, msgspec.Meta(ge=0)]


class Line(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The fields of a line as written; see `Record` for what they mean."""

    id: str | int
    t: float | None = None
    x: list[float] | None = None
    actions: list[Offer] | None = None
    action: str | int | list[float] | None = None
    propensity: Positive | None = None
    y: bool | float | list[float] | None = None
    r: float | None = None
    deadline: Positive | None = None
    weight: NotNegative = 1.0
    cost: list[Positive] | None = None


@dataclass(frozen=True)
class Native:
    """No options: the format says everything itself."""


NOT_JSON, NOT_UTF8, NOT_A_NUMBER = "not JSON", "not UTF-8", "not a number"
ABSENT = "leave the event out, or the field if optional"
"""What to do about a number that is none."""
FIELDS = list(Line.__struct_fields__)

_decoder = msgspec.json.Decoder(Line)


def decode(line: bytes, where: Where) -> Record:
    """One line -> `Record`, or LineError naming file, line, field and remedy."""
    return record(decoded(_decoder, line, where), where)


def decoded(
    decoder: msgspec.json.Decoder[Line], line: bytes, where: Where, kind: type[Line] = Line
) -> Line:
    """The fields of a line. kind: the class that `decoder` makes."""
    try:
        return decoder.decode(line)
    except Exception as error:  # that it refuses is all that is read from it
        raise explain(line, where, kind) from error


def record(f: Line, where: Where) -> Record:
    """What a decoded line says."""
    if f.propensity is not None and f.propensity > 1 and not continuous(f):
        raise where.error("propensity", "expected float <= 1.0", "correct the line")
    y = float(f.y) if isinstance(f.y, bool) else f.y
    return Record(
        f.id, where, f.t, f.x, f.actions, f.action, f.propensity, y, f.r, f.deadline, f.weight,
        f.cost,
    )  # fmt: skip


def continuous(f: Line) -> bool:
    """Whether the action is a point chosen out of all, so that its propensity is a density."""
    return isinstance(f.action, list) and f.actions is None


def checked(fields: dict[str, Any], where: Where) -> Record:
    """A record of fields that another format wrote, held to the same rules as a line of JSON."""
    for name, value in fields.items():
        for number in flat(value):
            if isinstance(number, float) and not math.isfinite(number):
                raise where.error(name, f"{number} is no number", ABSENT, NOT_A_NUMBER)
    try:
        line = msgspec.convert(fields, Line)
    except Exception as error:  # that it refuses is all that is read from it
        raise unfit(misfit(fields, Line), where) from error
    return record(line, where)


def flat(value: Any) -> Iterator[Any]:
    """The single values of a list of lists."""
    if isinstance(value, list):
        for one in value:
            yield from flat(one)
    else:
        yield value


def explain(line: bytes, where: Where, kind: type[Line] = Line) -> LineError:
    """The error of a line that no `kind` can be made of, by a look of our own at its bytes.

    line: as it came.
    where: its place.
    kind: the fields it should have.
    """
    try:
        found = looked(line, where)
    except LineError as error:
        return error
    if found.flaw:
        return not_json(found.flaw, where)
    if none := no_number(found.value):
        field, value = none
        return where.error(field, f"{value} is no number", ABSENT, NOT_A_NUMBER)
    return unfit(misfit(found.value, kind), where)


def looked(line: bytes, where: Where) -> Look:
    """The look at a line. Raises LineError where it is not UTF-8."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        remedy = "write the file as UTF-8"
        raise where.error("", "not UTF-8 text", remedy, NOT_UTF8) from error
    return look(text)


def not_json(flaw: str, where: Where) -> LineError:
    """The error of a line that is not JSON."""
    return where.error("", f"not JSON ({flaw})", "write one JSON object a line", NOT_JSON)


def unfit(wrong: Misfit | None, where: Where) -> LineError:
    """The error of a value that does not fit its field."""
    if wrong is None:
        return where.error("", "cannot be read", "correct the line")
    if wrong.reason == UNKNOWN:
        what, remedy = f'no field called "{wrong.name}"', nearest(wrong.name, [*wrong.known])[2:]
        return where.error(wrong.field, what, remedy, UNKNOWN)
    if wrong.reason == MISSING:
        return where.error(
            inner(wrong.field, wrong.name), "missing", "every line needs it", MISSING
        )
    if wrong.reason == TOO_LARGE:
        return where.error(wrong.field, "too large for a number", "keep it finite", TOO_LARGE)
    return where.error(wrong.field, wrong.wanted, "correct the line")


def read(source: Source, config: Native, errors: Errors = stop) -> Log:
    """A log of events, its arms or vector size taken from its first lines."""
    return infer(records(source, errors), errors)


def records(source: Source, errors: Errors = stop) -> Iterator[Record]:
    """Decode every line that is not blank."""
    for number, line in enumerate(source, 1):
        if line.strip():
            try:
                made = decode(line, Where(source.name, number))
            except LineError as error:
                errors(error)
            else:
                yield made


def default(value: Any) -> Any:
    """NumPy (and anything array-like) for the encoder."""
    if isinstance(value, np.generic):
        return value.item()
    if hasattr(value, "__array__"):
        return np.asarray(value).tolist()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


_encoder = msgspec.json.Encoder(enc_hook=default)


def encode(fields: dict[str, Any]) -> bytes:
    """One line with its end. NaN and infinity become null: JSON has no word for them."""
    return _encoder.encode(fields) + b"\n"


def event_line(
    id: str | int,
    t: float,
    action: Any,
    propensity: float,
    y: Any,
    x: Any = None,
    actions: Any = None,
    r: float | None = None,
) -> dict[str, Any]:
    """The fields of one complete logged event, absent ones left out."""
    fields = {
        "id": id, "t": t, "x": x, "actions": actions, "action": action,
        "propensity": propensity, "y": y, "r": r,
    }  # fmt: skip
    return {name: value for name, value in fields.items() if value is not None}


def fields_of(record: Record) -> dict[str, Any]:
    """The fields of a line that says what the record does, absent ones left out.

    An empty context is none, and a weight of 1 goes without saying.
    """
    named = ((name, getattr(record, name)) for name in FIELDS)
    fields = {name: value for name, value in named if value is not None}
    if not record.x:
        fields.pop("x", None)
    if record.weight == 1:
        del fields["weight"]
    return fields


def write(records: Iterable[Record], file: BinaryIO) -> None:
    """Write a log, a line each."""
    for one in records:
        file.write(encode(fields_of(one)))


class Writer:
    """Lines to a file; live, each is flushed so that whoever waits for it gets it."""

    def __init__(self, file: BinaryIO, live: bool = False) -> None:
        self._file, self._live = file, live

    def write(self, fields: dict[str, Any]) -> None:
        """Append one line."""
        self._file.write(encode(fields))
        if self._live:
            self._file.flush()
