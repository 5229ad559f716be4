"""Native events as npz: an array for each field, `[N]` or a row of numbers each, all in memory.

What is absent is NaN in an array of numbers, -1 in one of whole numbers, "" in one of texts; rows
that are shorter end in NaN. Candidates and costs are JSON texts. Not here: the fields' meaning and
rules (ndjson.py).
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from ..posteriors.base import UsageError
from ..posteriors.loading import first_line, nearest
from . import cells
from .files import Source
from .log import Log, each, infer
from .ndjson import FIELDS, checked
from .record import Errors, Record, Where, stop
from .shape import ELEMENTS, NUMBER, TEXT, VECTOR, Shape, misfit

LISTS = ("actions", "cost")
WHOLE = ("id", "action")
ABSENT = -1


@dataclass(frozen=True)
class Npz:
    """No options: the arrays' names say everything."""


def read(source: Source, config: Npz, errors: Errors = stop) -> Log:
    """A log of events, its arms or vector size taken from its first rows."""
    arrays = load(source)
    fields = {name: plain(name, array, source.name) for name, array in arrays.items()}
    count = {name: len(values) for name, values in fields.items()}
    for name, length in count.items():
        if length != count["id"]:
            raise UsageError(f"{source.name}: {name}: {length} rows, id has {count['id']}")

    def record(row: int) -> Record:
        where = Where(source.name, row + 1)
        made = {name: values[row] for name, values in fields.items() if values[row] is not None}
        for name in LISTS:
            if name in made:
                made[name] = cells.items(where, name, made[name])
        return checked(made, where)

    return infer(each(range(count["id"]), record, errors), errors)


def load(source: Source) -> dict[str, np.ndarray]:
    """The arrays by name, or UsageError."""
    try:
        with (
            warnings.catch_warnings(action="ignore"),
            source.seekable() as file,
            np.load(file, allow_pickle=False) as archive,
        ):
            arrays = dict(archive)
    except UsageError:
        raise
    except Exception as error:  # a damaged archive fails in any way at all
        reason = first_line(error)
        raise UsageError(f"{source.name}: no npz archive ({reason}); check the file") from error
    for name, array in arrays.items():
        if name not in FIELDS:
            raise UsageError(f'{source.name}: no field called "{name}"{nearest(name, FIELDS)}')
        shape = np.shape(array)
        wide = name == "x" or (name in ELEMENTS and len(shape) == 2)
        kind = array.dtype.kind if isinstance(array, np.ndarray) else ""
        if len(shape) != 1 + wide or not kind or kind not in ("biuf" if wide else "biufU"):
            wanted = "numbers [N, C]" if wide else "numbers or texts [N]"
            raise UsageError(f"{source.name}: {name}: its shape is {shape}; it must be {wanted}")
    if "id" not in arrays:
        raise UsageError(f"{source.name}: no id; give every row one, for example np.arange(N)")
    return arrays


def plain(name: str, array: np.ndarray, file: str) -> list[Any]:
    """An array as Python's own values, None where they are absent."""
    kind = array.dtype.kind
    if array.ndim == 2:
        return [shortened(row) for row in array.astype(float).tolist()]
    if kind == "U":
        return [text or None for text in array.tolist()]
    if name in WHOLE and kind in "iu":
        return [None if value == ABSENT and name != "id" else value for value in array.tolist()]
    if name in WHOLE and np.all(array == np.floor(array)):
        return [int(value) for value in array.tolist()]
    return [None if value != value else value for value in array.astype(float).tolist()]


def shortened(row: list[float]) -> list[float | None] | None:
    """A row up to its last number; None where it has none."""
    made: list[float | None] = [None if value != value else value for value in row]
    while made and made[-1] is None:
        made.pop()
    return made or None


def write(records: Iterator[Record], file: BinaryIO) -> None:
    """Write a log. Raises LineError for a record that an array cannot hold."""
    every = list(records)
    shape = Shape(every)
    for record in every:
        shape.check(record)
        for name in ("id", "action", "y"):
            value = getattr(record, name)
            if value in ("", []) or (name == "action" and value == ABSENT):
                raise misfit(record, name, f"{value!r} stands for nothing in npz")
            if isinstance(value, str) and value.endswith("\0"):
                raise misfit(record, name, "ends in a zero byte, which npz cuts off")
    arrays: dict[str, Any] = {}
    for name in FIELDS:
        values = [getattr(record, name) for record in every]
        if name == "x":
            values = [x or None for x in values]
        if name == "id" or any(value != (1 if name == "weight" else None) for value in values):
            arrays[name] = column(name, values, shape)
    # An archive is written back and forth, which a pipe or a gzipped file does not allow.
    made = io.BytesIO()
    np.savez_compressed(made, **arrays)
    file.write(made.getbuffer())


def column(name: str, values: list[Any], shape: Shape) -> np.ndarray:
    """The array of one field."""
    if name in LISTS:
        return np.array(["" if value is None else cells.written(value) for value in values])
    if name == "x" or shape.sorts.get(name) == {VECTOR}:
        rows = np.full((len(values), shape.widths[name]), np.nan)
        for row, value in zip(rows, values, strict=True):
            row[: len(value or ())] = value or ()
        return rows
    if name in WHOLE and shape.sort(name) == TEXT:
        return np.array(["" if value is None else value for value in values])
    if name in WHOLE and shape.sort(name) == NUMBER:
        return np.array([ABSENT if value is None else value for value in values], np.int64)
    return np.array([np.nan if value is None else value for value in values], float)
