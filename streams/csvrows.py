"""Rows of a CSV file with their line numbers, and numbers read strictly from them.

Not here: which columns mean what.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator

from ..posteriors.base import UsageError, printable
from ..posteriors.loading import nearest
from .files import LONGEST_LINE, Source
from .record import Errors, LineError, Where, stop

Row = tuple[Where, list[str]]
NOT_CSV = "not CSV"


def rows(source: Source, errors: Errors = stop) -> tuple[list[str], Iterator[Row]]:
    """The header's names, and every further row, which must be as long as the header.

    A header that is wrong is raised whatever is done with wrong rows.
    """
    # A list of candidates is one cell, which may be longer than the 128 KiB allowed otherwise.
    csv.field_size_limit(LONGEST_LINE)
    header: list[str] = []

    def wrong(error: LineError) -> None:
        try:
            (errors if header else stop)(error)
        finally:
            del error  # as in `stop`

    reader = csv.reader(source.text(wrong), strict=True)

    def strict() -> Iterator[Row]:
        while True:
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                where = Where(source.name, reader.line_num)
                wrong(where.error("", f"not CSV ({error})", "correct the line", NOT_CSV))
                continue
            if row:
                yield Where(source.name, reader.line_num), row

    every = strict()
    _, first = next(every, (None, []))
    if not first:
        raise UsageError(f"{source.name}: empty; a CSV log starts with a line of column names")
    header += [printable(name.strip()) for name in first]
    for name in header:
        if header.count(name) > 1:
            raise UsageError(f'{source.name}:1: column "{name}" occurs twice; rename one')

    def checked() -> Iterator[Row]:
        for where, row in every:
            if len(row) != len(header):
                what = f"{len(row)} columns, the header has {len(header)}"
                errors(where.error("", what, "correct the line", NOT_CSV))
                continue
            yield where, row

    return header, checked()


def column(source: Source, header: list[str], *spellings: str) -> int:
    """The position of a column that may be spelt in several ways."""
    for name in spellings:
        if name in header:
            return header.index(name)
    named = [name for name in header if name]
    raise UsageError(f'{source.name}:1: no column "{spellings[0]}"{nearest(spellings[0], named)}')


def number(where: Where, field: str, text: str, remedy: str) -> float:
    """A finite number, or UsageError naming the cell."""
    try:
        # float() also takes 1_000, which no CSV means as a number.
        value = float(text if "_" not in text else "")
    except ValueError as error:
        what = f"{text!r} is no number" if text else "empty"
        raise where.error(field, what, remedy) from error
    if not math.isfinite(value):
        raise where.error(field, f"{text} is not finite", remedy)
    return value
