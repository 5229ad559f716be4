"""Native NDJSON: one JSON object a line, requests, observations and logged events alike.

See also: log.py for joining late observations to decisions, encoding.py for arrays.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, BinaryIO

import msgspec
import numpy as np

from .field_errors import find_field_error
from .files import Source
from .json_errors import find_non_finite
from .line_errors import check_line, not_json_error, unfit_error
from .log import Log, NoOptions, infer_log
from .record import (
    CandidateLike,
    ErrorHandler,
    LineError,
    Positive,
    Record,
    Where,
    raise_error,
)
from .repeated_keys import refuse_repeated_keys

NotNegative = Annotated[float, msgspec.Meta(ge=0)]


class LineFields(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """Fields of a line as written; `Record` says their meaning."""

    id: str | int
    t: float | None = None
    x: list[float] | None = None
    actions: list[CandidateLike] | None = None
    action: str | int | list[float] | None = None
    propensity: Positive | None = None
    y: bool | float | list[float] | msgspec.UnsetType | None = msgspec.UNSET
    r: float | None = None
    deadline: Positive | None = None
    weight: NotNegative = 1.0
    cost: list[Positive] | None = None


NOT_A_NUMBER = "not a number"
ABSENT = "leave the event out, or the field if optional"
"""Remedy for a number that is none."""
FIELDS = list(LineFields.__struct_fields__)

_decoder = msgspec.json.Decoder(LineFields)


def decode_line(line: bytes, where: Where) -> Record:
    """Decode one line.

    line: bytes, without or with the line end.
    where: place of the line.
    Raises: LineError with file, line, field and remedy.
    """
    return make_record(decode_fields(_decoder, line, where), where)


def decode_fields(
    decoder: msgspec.json.Decoder[LineFields],
    line: bytes,
    where: Where,
    kind: type[LineFields] = LineFields,
) -> LineFields:
    """Decode the fields of a line.

    decoder: decoder of `kind`.
    line: bytes.
    where: place of the line.
    kind: class of the fields.
    Raises: LineError with file, line, field and remedy.
    """
    try:
        fields = decoder.decode(line)
    except Exception as error:  # that it refuses is all that is read from it
        raise explain_refusal(line, where, kind) from error
    refuse_repeated_keys(fields, line, where)
    return fields


def make_record(f: LineFields, where: Where) -> Record:
    """Make a record of decoded fields.

    f: decoded fields.
    where: place of the line.
    Raises: LineError if a probability exceeds 1.
    """
    if f.propensity is not None and f.propensity > 1 and not _continuous(f):
        raise where.error("propensity", "expected float <= 1.0", "correct the line")
    y = None if f.y is msgspec.UNSET else float(f.y) if isinstance(f.y, bool) else f.y
    withdrawn = f.y is None and f.action is None and f.actions is None and f.x is None
    return Record(
        f.id, where, f.t, f.x, f.actions, f.action, f.propensity, y, f.r, f.deadline, f.weight,
        f.cost, withdrawn=withdrawn,
    )  # fmt: skip


def _continuous(f: LineFields) -> bool:
    """Whether the action is a point chosen out of all, so that its propensity is a density."""
    return isinstance(f.action, list) and f.actions is None


def record_from_fields(fields: dict[str, Any], where: Where) -> Record:
    """Make a record of fields that another format wrote, by the rules of a JSON line.

    fields: values by name; absent ones are left out.
    where: place of the row.
    Raises: LineError naming the field.
    """
    for name, value in fields.items():
        for number in _flat(value):
            if isinstance(number, float) and not math.isfinite(number):
                raise where.error(name, f"{number} is no number", ABSENT, NOT_A_NUMBER)
    try:
        line = msgspec.convert(fields, LineFields)
    except Exception as error:  # that it refuses is all that is read from it
        raise unfit_error(find_field_error(fields, LineFields), where) from error
    return make_record(line, where)


def _flat(value: Any) -> Iterator[Any]:
    """The single values of a list of lists."""
    if isinstance(value, list):
        for one in value:
            yield from _flat(one)
    else:
        yield value


def explain_refusal(line: bytes, where: Where, kind: type[LineFields] = LineFields) -> LineError:
    """Find the error of a line that a decoder has refused, by the tool's own reading of its bytes.

    line: bytes as received.
    where: place of the line.
    kind: class of the fields that it should have.
    """
    try:
        found = check_line(line, where)
    except LineError as error:
        return error
    if found.flaw:
        return not_json_error(found.flaw, where)
    if none := find_non_finite(found.value):
        field, value = none
        return where.error(field, f"{value} is no number", ABSENT, NOT_A_NUMBER)
    return unfit_error(find_field_error(found.value, kind), where)


def read_ndjson(source: Source, config: NoOptions, on_error: ErrorHandler = raise_error) -> Log:
    """Read a log of events; its arms or vector size are those of its first lines.

    source: opened input.
    config: no options.
    on_error: receives wrong lines.
    """
    return infer_log(_records(source, on_error), on_error)


def _records(source: Source, on_error: ErrorHandler = raise_error) -> Iterator[Record]:
    """Decode every line that is not blank."""
    for number, line in enumerate(source, 1):
        if line.strip():
            try:
                made = decode_line(line, Where(source.name, number))
            except LineError as error:
                on_error(error)
            else:
                yield made


def _default(value: Any) -> Any:
    """NumPy (and anything array-like) for the encoder."""
    if isinstance(value, np.generic):
        return value.item()
    if hasattr(value, "__array__"):
        return np.asarray(value).tolist()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


_encoder = msgspec.json.Encoder(enc_hook=_default)


def encode_line(fields: dict[str, Any] | msgspec.Struct) -> bytes:
    """Encode one line with its end; NaN and infinity become null, as JSON has no such numbers.

    fields: values by name, or a record; NumPy values are allowed.
    """
    return _encoder.encode(fields) + b"\n"


def event_fields(
    id: str | int,
    t: float,
    action: Any,
    propensity: float,
    y: Any,
    x: Any = None,
    actions: Any = None,
    r: float | None = None,
) -> dict[str, Any]:
    """Return the fields of one complete logged event, absent ones left out.

    id: the event's own id.
    t: seconds.
    action: index or name of an arm, or a vector.
    propensity: probability of the action when it was chosen.
    y: observation.
    x: context numbers.
    actions: candidates.
    r: reward.
    """
    fields = {
        "id": id, "t": t, "x": x, "actions": actions, "action": action,
        "propensity": propensity, "y": y, "r": r,
    }  # fmt: skip
    return {name: value for name, value in fields.items() if value is not None}


def record_fields(record: Record) -> dict[str, Any]:
    """Return the fields of a line that holds a record, absent ones left out.

    An empty context and a weight of 1 are left out too.

    record: the record.
    """
    named = ((name, getattr(record, name)) for name in FIELDS)
    fields = {name: value for name, value in named if value is not None}
    if not record.x:
        fields.pop("x", None)
    if record.weight == 1:
        del fields["weight"]
    return fields


def write_ndjson(records: Iterable[Record], file: BinaryIO) -> None:
    """Write a log, one line a record.

    records: records in order.
    file: output opened for writing.
    """
    for one in records:
        file.write(encode_line(record_fields(one)))


class LineWriter:
    """Writes lines to a file.

    file: output opened for writing.
    live: whether to flush after each line, for a reader that waits for it.
    """

    def __init__(self, file: BinaryIO, live: bool = False) -> None:
        self._file, self._live = file, live

    def write(self, fields: dict[str, Any] | msgspec.Struct) -> None:
        """Append one line.

        fields: values by name, or a record.
        """
        self._file.write(encode_line(fields))
        if self._live:
            self._file.flush()
