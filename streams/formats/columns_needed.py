"""Columns that a log needs: the types of its values and the lengths of its vectors.

See also: tables/csv.py, tables/parquet.py and tables/npz.py for the columns themselves.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .record import Candidate, LineError, Record

NUMBER, TEXT, VECTOR, OBJECT = "a number", "a text", "a vector", "an object"
ELEMENTS = ("x", "action", "y")
"""Fields that may be vectors."""
LARGEST = 1 << 63
"""Beyond any whole number of 64 bits."""
REMEDY = "convert to NDJSON, which takes any"


def value_type(value: Any) -> str:
    """Return the type of an id, an action, a candidate or an observation, in words.

    value: any of these.
    """
    if isinstance(value, list):
        return VECTOR
    if isinstance(value, Candidate):
        return OBJECT
    return TEXT if isinstance(value, str) else NUMBER


class ColumnTypes:
    """Types and widths of the columns that some records need.

    types: types that occur in `id`, `action`, `actions` (each candidate) and `y`.
    widths: most numbers in `x`, `action` and `y`.
    used: optional fields that any record has.
    count: number of records seen.
    """

    def __init__(self, records: Iterable[Record]) -> None:
        self.types: dict[str, set[str]] = {n: set() for n in ("id", "action", "actions", "y")}
        self.widths: dict[str, int] = dict.fromkeys(ELEMENTS, 0)
        self.used: set[str] = set()
        self.count = 0
        for record in records:
            self.count += 1
            self.types["id"].add(value_type(record.id))
            for name in ("action", "y"):
                if (value := getattr(record, name)) is not None:
                    self.types[name].add(value_type(value))
            self.types["actions"].update(map(value_type, record.actions or ()))
            for name in ELEMENTS:
                value = getattr(record, name)
                if isinstance(value, list):
                    self.widths[name] = max(self.widths[name], len(value))
            for name in ("actions", "cost", "deadline"):
                if getattr(record, name) is not None:
                    self.used.add(name)

    def single_type(self, field: str) -> str | None:
        """Return the only type of a field; None if it has none or several.

        field: `id`, `action`, `actions` or `y`.
        """
        return next(iter(self.types[field])) if len(self.types[field]) == 1 else None

    def column_type(self, field: str) -> str:
        """Return the type of a field's column: its only type, else a text, for `y` a number.

        field: `id`, `action`, `actions` or `y`.
        """
        return self.single_type(field) or (NUMBER if field == "y" else TEXT)

    def check_record(self, record: Record) -> None:
        """Check that the id, action and y of a record fit their columns.

        record: any record of the log.
        Raises: LineError for another type, or a whole number beyond 64 bits.
        """
        for field in ("id", "action", "y"):
            value, wanted = getattr(record, field), self.column_type(field)
            if value is None:
                continue
            if value_type(value) != wanted:
                raise column_error(
                    record, field, f"is {value_type(value)}, in {self.describe_sample()} {wanted}"
                )
            if isinstance(value, int) and not -LARGEST <= value < LARGEST:
                raise column_error(record, field, f"{value} is too large for a column of numbers")

    def describe_sample(self) -> str:
        """Describe the records that the types were taken from, for a message."""
        return f"the first {self.count} lines"


def column_error(record: Record, field: str, problem: str) -> LineError:
    """Return the error of a value that no column can hold.

    record: the record.
    field: name of the field, with its index in a list.
    problem: a short phrase.
    """
    return record.where.error(field, problem, REMEDY)
