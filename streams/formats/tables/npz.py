"""Native events as npz: an array for each field, `[N]` or a row of numbers each, all in memory.

An absent value is NaN in an array of numbers, -1 in one of whole numbers, "" in one of texts;
shorter rows end in NaN. Candidates and costs are JSON texts.
See also: ../ndjson.py for the meaning and the rules of the fields.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

from ....posteriors.archives import ArchiveError, load_archive
from ....posteriors.errors import UsageError
from ....posteriors.specs import nearest
from ..columns_needed import ELEMENTS, NUMBER, TEXT, VECTOR, ColumnTypes, column_error
from ..files import Source
from ..log import Log, NoOptions, infer_log, map_valid
from ..ndjson import FIELDS, record_from_fields
from ..record import ErrorHandler, Record, Where, raise_error
from . import cells

LISTS = ("actions", "cost")
WHOLE = ("id", "action")
ABSENT = -1
BLOCK = 4096
"""Rows turned into Python's values at a time."""


def read_npz(source: Source, config: NoOptions, on_error: ErrorHandler = raise_error) -> Log:
    """Read a log of events; its arms or vector size are those of its first rows.

    source: opened input.
    config: no options.
    on_error: receives wrong rows.
    Raises: UsageError if it is no such archive.
    """
    arrays = _load(source)
    count = {name: len(array) for name, array in arrays.items()}
    for name, length in count.items():
        if length != count["id"]:
            raise UsageError(f"{source.name}: {name}: {length} rows, id has {count['id']}")

    def record(numbered: tuple[int, dict[str, Any]]) -> Record:
        row, made = numbered
        where = Where(source.name, row)
        for name in LISTS:
            if isinstance(made.get(name), str):
                made[name] = cells.parse_list(where, name, made[name])
        return record_from_fields(made, where)

    return infer_log(map_valid(enumerate(_rows(arrays), 1), record, on_error), on_error)


def _rows(arrays: dict[str, np.ndarray]) -> Iterator[dict[str, Any]]:
    """The fields that each row has; Python's own values take four times the room of an array."""
    whole = {name: _is_whole(name, array) for name, array in arrays.items()}
    for start in range(0, len(arrays["id"]), BLOCK):
        part = {n: _plain(n, a[start : start + BLOCK], whole[n]) for n, a in arrays.items()}
        for row in range(len(part["id"])):
            yield {n: values[row] for n, values in part.items() if values[row] is not None}


def _load(source: Source) -> dict[str, np.ndarray]:
    """The arrays by name, or UsageError."""
    try:
        with source.open_seekable() as file:
            arrays = load_archive(file)
    except ArchiveError as error:
        raise UsageError(f"{source.name}: no npz archive ({error}); check the file") from error
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


def _is_whole(name: str, array: np.ndarray) -> bool:
    """Whether numbers that are not of a whole type are whole, all of them."""
    counted = name in WHOLE and array.ndim == 1 and array.dtype.kind in "bf"
    return counted and bool(np.all(array == np.floor(array)))


def _plain(name: str, array: np.ndarray, is_whole: bool) -> list[Any]:
    """An array as Python's own values, None where they are absent."""
    kind = array.dtype.kind
    if array.ndim == 2:
        return [_shortened(row) for row in array.astype(float).tolist()]
    if kind == "U":
        return [text or None for text in array.tolist()]
    if name in WHOLE and kind in "iu":
        return [None if value == ABSENT and name != "id" else value for value in array.tolist()]
    if is_whole:
        return [int(value) for value in array.tolist()]
    return [None if value != value else value for value in array.astype(float).tolist()]


def _shortened(row: list[float]) -> list[float | None] | None:
    """A row up to its last number; None where it has none."""
    made: list[float | None] = [None if value != value else value for value in row]
    while made and made[-1] is None:
        made.pop()
    return made or None


def write_npz(records: Iterator[Record], file: BinaryIO) -> None:
    """Write a log.

    records: records in order.
    file: output opened for writing.
    Raises: LineError for a record that an array cannot hold.
    """
    every = list(records)
    shape = ColumnTypes(every)
    for record in every:
        shape.check_record(record)
        for name in ("id", "action", "y"):
            value = getattr(record, name)
            if value in ("", []) or (name == "action" and value == ABSENT):
                raise column_error(record, name, f"{value!r} stands for nothing in npz")
            if isinstance(value, str) and value.endswith("\0"):
                raise column_error(record, name, "ends in a zero byte, which npz cuts off")
    arrays: dict[str, Any] = {}
    for name in FIELDS:
        values = [getattr(record, name) for record in every]
        if name == "x":
            values = [x or None for x in values]
        if name == "id" or any(value != (1 if name == "weight" else None) for value in values):
            arrays[name] = _column(name, values, shape)
    # An archive is written back and forth, which a pipe or a gzipped file does not allow.
    made = io.BytesIO()
    np.savez_compressed(made, **arrays)
    file.write(made.getbuffer())


def _column(name: str, values: list[Any], shape: ColumnTypes) -> np.ndarray:
    """The array of one field."""
    if name in LISTS:
        return np.array(["" if value is None else cells.format_cell(value) for value in values])
    if name == "x" or shape.types.get(name) == {VECTOR}:
        rows = np.full((len(values), shape.widths[name]), np.nan)
        for row, value in zip(rows, values, strict=True):
            row[: len(value or ())] = value or ()
        return rows
    if name in WHOLE and shape.column_type(name) == TEXT:
        return np.array(["" if value is None else value for value in values])
    if name in WHOLE and shape.column_type(name) == NUMBER:
        return np.array([ABSENT if value is None else value for value in values], np.int64)
    return np.array([np.nan if value is None else value for value in values], float)
