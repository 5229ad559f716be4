"""What columns a log needs: which sorts of value its records hold, and how many numbers.

Not here: the columns themselves (csvlog.py, parquetlog.py, npzlog.py).
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


def sort_of(value: Any) -> str:
    """Which sort of thing an id, an action, a candidate or an observation is."""
    if isinstance(value, list):
        return VECTOR
    if isinstance(value, Candidate):
        return OBJECT
    return TEXT if isinstance(value, str) else NUMBER


class Shape:
    """Of some records: sorts, for `id`, `action`, `actions` (each candidate) and `y`; widths, the
    most numbers in `x`, `action` and `y`; used, the fields that any of them has. count: how many
    records that was."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.sorts: dict[str, set[str]] = {n: set() for n in ("id", "action", "actions", "y")}
        self.widths: dict[str, int] = dict.fromkeys(ELEMENTS, 0)
        self.used: set[str] = set()
        self.count = 0
        for record in records:
            self.count += 1
            self.sorts["id"].add(sort_of(record.id))
            for name in ("action", "y"):
                if (value := getattr(record, name)) is not None:
                    self.sorts[name].add(sort_of(value))
            self.sorts["actions"].update(map(sort_of, record.actions or ()))
            for name in ELEMENTS:
                value = getattr(record, name)
                if isinstance(value, list):
                    self.widths[name] = max(self.widths[name], len(value))
            for name in ("actions", "cost", "deadline"):
                if getattr(record, name) is not None:
                    self.used.add(name)

    def only(self, field: str) -> str | None:
        """The one sort that a field has; None where it has none or several."""
        return next(iter(self.sorts[field])) if len(self.sorts[field]) == 1 else None

    def sort(self, field: str) -> str:
        """What a column of one sort holds: the field's only one, else a text, of y a number."""
        return self.only(field) or (NUMBER if field == "y" else TEXT)

    def check(self, record: Record) -> None:
        """Refuse a record whose id, action or y is of another sort, or a number beyond 64 bits."""
        for field in ("id", "action", "y"):
            value, wanted = getattr(record, field), self.sort(field)
            if value is None:
                continue
            if sort_of(value) != wanted:
                raise misfit(record, field, f"is {sort_of(value)}, in {self.first()} {wanted}")
            if isinstance(value, int) and not -LARGEST <= value < LARGEST:
                raise misfit(record, field, f"{value} is too large for a column of numbers")

    def first(self) -> str:
        """The records it was made from, for a message."""
        return f"the first {self.count} lines"


def misfit(record: Record, field: str, problem: str) -> LineError:
    """The error of a value that the columns cannot hold."""
    return record.where.error(field, problem, REMEDY)
