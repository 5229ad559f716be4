"""Native NDJSON: one JSON object a line, requests, observations and logged events alike.

Not here: joining late observations to their decisions (log.py), or arrays (encode.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, BinaryIO

import msgspec
import numpy as np

from ..posteriors.loading import nearest
from .files import Source
from .log import Log, infer
from .record import LineError, Offer, Positive, Record, Where

Probability = Annotated[float, msgspec.Meta(gt=0, le=1)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]


class Line(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The fields of a line as written; see `Record` for what they mean."""

    id: str | int
    t: float | None = None
    x: list[float] | None = None
    actions: list[Offer] | None = None
    action: str | int | list[float] | None = None
    propensity: Probability | None = None
    y: bool | float | list[float] | None = None
    r: float | None = None
    deadline: Positive | None = None
    weight: NotNegative = 1.0
    cost: list[Positive] | None = None


@dataclass(frozen=True)
class Native:
    """No options: the format says everything itself."""


NOT_JSON = "not JSON"
FIELDS = list(Line.__struct_fields__)
NOT_A_NUMBER = re.compile(rb'"(\w+)"\s*:\s*\[?[^"\]}]*?(-?(?:NaN|Infinity|nan|inf)\b)')
UNKNOWN = re.compile(r"unknown field `(.*)`", re.DOTALL)
MISSING = re.compile(r"required field `(\w+)`")
PLACE = re.compile(r" - at `\$\.?(.*)`$")

_decoder = msgspec.json.Decoder(Line)


def decode(line: bytes, where: Where) -> Record:
    """One line -> `Record`, or LineError naming file, line, field and remedy."""
    try:
        f = _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise explain(error, line, where) from error
    y = float(f.y) if isinstance(f.y, bool) else f.y
    return Record(
        f.id, where, f.t, f.x, f.actions, f.action, f.propensity, y, f.r, f.deadline, f.weight,
        f.cost,
    )  # fmt: skip


def explain(error: Exception, line: bytes, where: Where) -> LineError:
    """What msgspec found wrong, as one line about the user's own words."""
    if not isinstance(error, msgspec.ValidationError):
        if isinstance(error, UnicodeDecodeError):
            return where.error("", "not UTF-8 text", "write the file as UTF-8", "not UTF-8")
        if found := NOT_A_NUMBER.search(line):
            field, value = found[1].decode(), found[2].decode()
            return where.error(
                field, f"{value} is no number", "leave the event out, or the field if optional",
                "not a number",
            )  # fmt: skip
        return where.error("", f"not JSON ({error})", "write one JSON object a line", NOT_JSON)
    message = str(error)
    place = PLACE.search(message)
    field = place[1] if place else ""
    message = PLACE.sub("", message)
    if unknown := UNKNOWN.search(message):
        known = ["id", "x", "cost"] if field.startswith("actions") else FIELDS
        what = f'no field called "{unknown[1]}"'
        return where.error(field, what, nearest(unknown[1], known)[2:], "unknown field")
    if missing := MISSING.search(message):
        return where.error(missing[1], "missing", "every line needs it", "missing field")
    if "out of range" in message:
        return where.error(field, "too large for a number", "keep it finite", "too large")
    wanted = message[0].lower() + message[1:].replace("`", "")
    return where.error(field, wanted, "correct the line")


def read(source: Source, config: Native) -> Log:
    """A log of events, its arms or vector size taken from its first lines."""
    return infer(records(source))


def records(source: Source) -> Iterator[Record]:
    """Decode every line that is not blank."""
    for number, line in enumerate(source, 1):
        if line.strip():
            yield decode(line, Where(source.name, number))


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


class Writer:
    """Lines to a file; live, each is flushed so that whoever waits for it gets it."""

    def __init__(self, file: BinaryIO, live: bool = False) -> None:
        self._file, self._live = file, live

    def write(self, fields: dict[str, Any]) -> None:
        """Append one line."""
        self._file.write(encode(fields))
        if self._live:
            self._file.flush()
