"""Rows of a CSV file with their line numbers, and numbers read strictly from them.

See also: csv.py, table.py and ../openbandit.py for the meaning of columns.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence

from ....posteriors.errors import UsageError, printable
from ....posteriors.specs import nearest
from ..files import LONGEST_LINE, Source
from ..record import ErrorHandler, LineError, Where, raise_error
from .dialect import Decimals, detect_dialect

Row = tuple[Where, list[str]]
NOT_CSV = "not CSV"
NAME_IT = "name it or leave it out (pandas: index=False)"


def read_csv_rows(
    source: Source, on_error: ErrorHandler = raise_error
) -> tuple[list[str], Iterator[Row]]:
    """Return the names of the header, and an iterator over the rows, each as long as the header.

    Decimal commas are read as points (dialect.py).

    source: opened input.
    on_error: receives wrong rows; a wrong header is raised in any case.
    Raises: UsageError for a wrong header.
    """
    # A list of candidates is one cell, which may be longer than the 128 KiB allowed otherwise.
    csv.field_size_limit(LONGEST_LINE)
    header: list[str] = []

    def wrong(error: LineError) -> None:
        try:
            (on_error if header else raise_error)(error)
        finally:
            del error  # as in `stop`

    dialect = detect_dialect(source.head)
    decimals = Decimals() if dialect.delimiter != "," else None
    lines = source.text_lines(wrong)
    reader = csv.reader(lines, delimiter=dialect.delimiter, strict=True)

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
    if dialect.hinted:
        next(every)
    _, first = next(every, (None, []))
    if not first:
        raise UsageError(f"{source.name}: empty; a CSV log starts with a line of column names")
    header += [printable(name.strip()) for name in first]
    for name in header:
        if name and header.count(name) > 1:
            raise UsageError(f'{source.name}:1: column "{name}" occurs twice; rename one')

    def checked() -> Iterator[Row]:
        for where, row in every:
            if len(row) != len(header):
                what = f"{len(row)} columns, the header has {len(header)}"
                on_error(where.error("", what, "correct the line", NOT_CSV))
                continue
            if decimals is not None:
                try:
                    row = decimals.rewrite(where, header, row)
                except LineError as error:
                    on_error(error)
                    continue
            yield where, row

    return header, checked()


def find_nameless(file: str, header: list[str], rows: Sequence[Row]) -> list[int]:
    """Find the columns without a name, as a comma at the end of each line makes one.

    file: name for the message.
    header: names of all columns.
    rows: the first rows, or all.
    Returns: their positions; they are empty in all `rows`.
    Raises: UsageError for one that is not.
    """
    nameless = [i for i, name in enumerate(header) if not name]
    for i in nameless:
        for where, row in rows:
            if row[i].strip():
                raise UsageError(
                    f"{file}:1: column {i + 1} has no name, and line {where.line} has "
                    f"{row[i].strip()!r} in it; {NAME_IT}"
                )
    return nameless


def check_nameless(where: Where, row: list[str], nameless: Sequence[int]) -> None:
    """Check that the columns without a name are empty.

    where: place of the row.
    row: a cell for each column.
    nameless: positions from `find_nameless`.
    Raises: LineError if one is not.
    """
    for i in nameless:
        if row[i].strip():
            raise where.error("", f"column {i + 1} has no name and holds {row[i]!r}", NAME_IT)


def find_column(file: str, header: list[str], *spellings: str) -> int:
    """Find the position of a column that may be spelt in several ways.

    file: name for the message.
    header: names of all columns.
    spellings: names of the column, the usual one first.
    Raises: UsageError if there is no such column.
    """
    for name in spellings:
        if name in header:
            return header.index(name)
    named = [name for name in header if name]
    raise UsageError(f'{file}:1: no column "{spellings[0]}"{nearest(spellings[0], named)}')


def parse_number(where: Where, field: str, text: str, remedy: str) -> float:
    """Return the finite number of a cell.

    where: place of the row.
    field: name of the column.
    text: the cell.
    remedy: a short phrase for the error.
    Raises: LineError if it is none.
    """
    try:
        value = strict_float(text)
    except ValueError as error:
        what = f"{text!r} is no number" if text else "empty"
        raise where.error(field, what, remedy) from error
    if not math.isfinite(value):
        raise where.error(field, f"{text} is not finite", remedy)
    return value


def strict_float(text: str) -> float:
    """Read a number; `float` alone also takes 1_000, which no log means as a number.

    text: the number as written.
    Returns: the number, which may be NaN or infinite.
    Raises: ValueError if it is none.
    """
    return float(text if "_" not in text else "")


def load_csv(path: str, columns: Sequence[str] = ()) -> tuple[str, list[str], list[Row]]:
    """Read all rows of a CSV file and close it.

    path: plain or gzipped file.
    columns: names that the header must have.
    Returns: the file's name for messages, the header's names, and every row with its place.
    Raises: UsageError if the file is no CSV or lacks a column.
    """
    source = Source(path)
    try:
        header, rows = read_csv_rows(source)
        for name in columns:
            find_column(source.name, header, name)
        return source.name, header, list(rows)
    finally:
        source.close()
