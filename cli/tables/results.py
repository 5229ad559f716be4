"""Results from a store or NDJSON file: reading, filtering, sorting, columns.

See also: ../jobs/show.py for showing, ../jobs/compare.py for comparing them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from ...decide.judge.engine.result_index import CELLS
from ...decide.judge.records.read_record import record_of
from ...decide.judge.records.record import Record
from ...posteriors.errors import UsageError
from ...posteriors.specs import nearest
from ...streams.formats.files import Source
from ...streams.formats.line_errors import check_line
from ...streams.formats.record import Where
from ...streams.storage.results import Entry, Store
from ..environment import Environment
from .exports import flatten_record

CONDITION = re.compile(r"\s*([\w.]+)\s*(!=|>=|<=|=|>|<)\s*(.*?)\s*")
REQUIRED = ("world", "model", "posterior", "rule", "steps", "seeds")
MEASURES = ("gain", "total", "work")
"""Every record of a bench has at least one of these fields, though its value may be null."""
RANKS = {"lower": 1, "decide": 2, "learn": 2, "realised": 2, "predicted": 2}
"""Axes of the arrays that are shown."""
PAIRS = {"decide": "learn", "learn": "decide", "realised": "predicted", "predicted": "realised"}
"""Arrays of one shape."""
NOTHING = ("", "none", "null")
"""Spellings of a missing value in a condition."""


def _no_arrays() -> dict[str, np.ndarray]:
    return {}


@dataclass(frozen=True)
class Result:
    """Result of one cell.

    record: of the cell.
    arrays: reads its arrays; without any if the result is from a file.
    identity: key of the cell in the store; empty if the result is from a file.
    """

    record: Record
    arrays: Callable[[], dict[str, np.ndarray]] = _no_arrays
    identity: dict[str, Any] = field(default_factory=dict)


def load_results(place: str, environment: Environment) -> list[Result]:
    """Read all results of a store or an NDJSON file.

    place: folder or URL of a store, or path of a file; `-` is standard input.
    environment: for standard input and messages.
    Raises: UsageError if there are none, or a line is no result.
    """
    stored = "://" in place or os.path.isdir(place)
    results = _of_store(place, environment) if stored else _of_file(place, environment)
    if not results:
        raise UsageError(
            f"{place}: no finished cell in it; fill it with uncertain sweep … --out {place}"
            if stored
            else f"{place}: no result in it; uncertain bench … --export-json {place} writes some"
        )
    return results


def _of_store(place: str, environment: Environment) -> list[Result]:
    """Read the results of a store, sorted."""
    store = Store(place)
    entries = [entry for _, entry in store.entries(CELLS)]
    found = [
        (entry.attempt, _stored(entry, record_of(entry.record, entry.place))) for entry in entries
    ]
    if damaged := len(store.attempts(CELLS)) - len(entries):
        if not entries:
            raise UsageError(
                f"{place}: all {damaged} cells are damaged; uncertain sweep mends them"
            )
        environment.say(f"{place}: left out {damaged} damaged cells; uncertain sweep mends them")
    found.sort(key=lambda one: (_place_of(one[1].record), one[0]))
    return [result for _, result in found]


def _stored(entry: Entry, record: Record) -> Result:
    """A result of a store, whose arrays are checked when they are read."""

    def arrays() -> dict[str, np.ndarray]:
        found = entry.arrays()
        for name, rank in RANKS.items():
            array = found.get(name)
            if array is None:
                continue
            runs = rank > 1 or array.shape == (record.seeds,)
            alike = found.get(PAIRS.get(name, ""), array).shape == array.shape
            filled = array.size and array.ndim == rank and array.dtype.kind in "fiu"
            if not (filled and runs and alike):
                raise UsageError(
                    f"{entry.place}: {name} is {array.dtype} {list(array.shape)}, which fits "
                    "nothing; delete this folder, and uncertain sweep fills it again"
                )
        return found

    return Result(record, arrays, entry.identity)


def _place_of(record: Record) -> list[tuple[bool, Any]]:
    """Return the sort key of a cell; a store has no order of its own."""
    names = ("world", "model", "steps", "seeds", "posterior", "rule", "particles", "refine")
    sizes = [(getattr(record, name) is not None, getattr(record, name)) for name in names]
    return [*sizes, (True, record.think)]


def _of_file(place: str, environment: Environment) -> list[Result]:
    """Read the results of an NDJSON file."""
    source = Source(place, environment.stdin)
    found = []
    for number, line in enumerate(source, 1):
        if not line.strip():
            continue
        try:
            row = msgspec.json.decode(line)
        except Exception as error:  # check_line finds the reason
            found = check_line(line, Where(source.name, number))
            flaw = found.flaw or "cannot be read"
            raise UsageError(f"{source.name}:{number}: not JSON ({flaw})") from error
        if (lacking := _lacking(row)) is not None:
            raise UsageError(
                f"{source.name}:{number}: no result of bench or sweep ({lacking} is missing); "
                "write them with uncertain bench --export-json or show --format ndjson"
            )
        found.append(Result(record_of(row, f"{source.name}:{number}")))
    return found


def _lacking(row: Any) -> str | None:
    """Return a field that a result record needs and the row lacks; None if it has all."""
    if not isinstance(row, dict) or not isinstance(row.get("config"), dict):
        return "config"
    missing = [name for name in REQUIRED if row.get(name) is None]
    if not missing and not any(name in row for name in MEASURES):
        return " or ".join(MEASURES)
    return missing[0] if missing else None


def list_columns(rows: Iterable[Record | dict[str, Any]]) -> list[str]:
    """Return the dotted columns of all rows.

    rows: records; a field that is null in one and has parts in another counts as its parts only.
    """
    seen: dict[str, bool] = {}
    for row in rows:
        for name, value in flatten_record(row).items():
            seen[name] = seen.get(name, False) or value is not None
    parents = {name[:at] for name in seen for at, character in enumerate(name) if character == "."}
    return [name for name, filled in seen.items() if filled or name not in parents]


def match_column(name: str, columns: list[str]) -> str:
    """Return the name of a column that exists.

    name: column to look for.
    columns: names that exist.
    Raises: UsageError, with the nearest name, if it does not exist.
    """
    if name not in columns:
        raise UsageError(f'no column "{name}"{nearest(name, columns)}')
    return name


def filter_rows(rows: list[Record], conditions: Iterable[str]) -> list[Record]:
    """Return the rows that meet all conditions.

    rows: records.
    conditions: texts like `posterior=smc` or `particles>=32`.
    Raises: UsageError if a condition cannot be read or has an unknown column.
    """
    columns = list_columns(rows)
    for text in conditions:
        found = CONDITION.fullmatch(text)
        if not found:
            raise UsageError(f"--where {text!r}: write column=value, or one of != >= <= > <")
        name = match_column(found[1], columns)
        rows = [
            row for row in rows if _holds(name, flatten_record(row).get(name), found[2], found[3])
        ]
    return rows


def _holds(name: str, value: Any, operator: str, text: str) -> bool:
    """Check whether a value meets a condition; a spec also equals its name without options."""
    if operator in ("=", "!="):
        return _equal(name, value, text) == (operator == "=")
    if value is None:
        return False
    if isinstance(value, str | bool | list):
        raise UsageError(f"--where {name}{operator}{text}: {name} is no number; use = or !=")
    bound = _number(name, text)
    return {">=": value >= bound, "<=": value <= bound, ">": value > bound, "<": value < bound}[
        operator
    ]


def _equal(name: str, value: Any, text: str) -> bool:
    if value is None or text.lower() in NOTHING:
        return value is None and text.lower() in NOTHING
    if isinstance(value, bool):
        return str(value).lower() == text.lower()
    if isinstance(value, int | float):
        return value == _number(name, text)
    return text in (str(value), str(value).partition(":")[0])


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise UsageError(f"--where: {name} is a number, {text!r} is none") from error


def sort_rows(rows: list[Record], names: Iterable[str]) -> list[Record]:
    """Return rows sorted by columns; rows without a value come last.

    rows: records.
    names: columns, the most important first; `-name` sorts in descending order.
    Raises: UsageError if a column does not exist.
    """
    columns = list_columns(rows)
    for name in reversed(list(names)):
        column = match_column(name.removeprefix("-"), columns)
        filled = [row for row in rows if flatten_record(row).get(column) is not None]
        empty = [row for row in rows if flatten_record(row).get(column) is None]
        filled.sort(
            key=lambda row, column=column: flatten_record(row)[column], reverse=name[0] == "-"
        )
        rows = filled + empty
    return rows
