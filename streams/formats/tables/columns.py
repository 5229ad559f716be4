"""Named columns of a CSV or Parquet file, each of numbers or of texts, with the place of every row.

See also: ../../worlds/rows.py for features and classes made of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ....posteriors.errors import UsageError
from ....posteriors.specs import first_line
from ..record import Where
from .arrow import import_pyarrow
from .csv_rows import find_nameless, load_csv, strict_float

PARQUET = (".parquet", ".pq")


class Columns(NamedTuple):
    """All columns of a file.

    file: name for messages.
    values: `[N]` by name; float64 if every cell is a finite number, else texts.
    where: row index to its place; in a Parquet file the row's number stands for a line.
    """

    file: str
    values: dict[str, np.ndarray]
    where: Callable[[int], Where]


def read_columns(path: str) -> Columns:
    """Read all columns of a file.

    path: CSV, gzipped CSV or Parquet.
    Raises: UsageError if it cannot be read or has no rows.
    """
    found = _parquet(path) if path.lower().endswith(PARQUET) else _comma_separated(path)
    if not found.values or not len(next(iter(found.values.values()))):
        raise UsageError(f"{found.file}: no rows; it needs a line of names and a line for each row")
    return found


def _comma_separated(path: str) -> Columns:
    """A CSV, plain or gzipped, that starts with a line of names."""
    file, header, every = load_csv(path)
    places = [where for where, _ in every]
    find_nameless(file, header, every)
    named = [(i, name) for i, name in enumerate(header) if name]
    texts = {name: np.array([row[i].strip() for _, row in every]) for i, name in named}
    values = {name: _numbers(text) for name, text in texts.items()}
    return Columns(file, values, lambda row: places[row])


def _numbers(texts: np.ndarray) -> np.ndarray:
    """The texts as finite numbers where all are, else as they are."""
    try:
        made = np.array([strict_float(text) for text in texts])
    except ValueError:
        return texts
    return made if np.all(np.isfinite(made)) else texts


def _parquet(path: str) -> Columns:
    """A Parquet file of numbers, texts and truth values, without gaps."""
    pa = import_pyarrow(path, "write CSV")
    try:
        table = pa.parquet.read_table(path)
    except Exception as error:  # a damaged file fails in any way at all
        reason = first_line(error)
        raise UsageError(f"{path}: cannot be read ({reason}); check the path") from error

    def where(row: int) -> Where:
        return Where(path, row + 1)

    values = {}
    for name in table.column_names:
        column = table.column(name)
        if column.null_count:
            gap = int(np.argmax(np.asarray(column.is_null())))
            raise where(gap).error(name, "empty", "fill it in")
        kind = column.type
        numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind)
        cells: list[Any] = column.to_pylist()
        made = np.array(cells, float) if numeric else np.array([str(cell) for cell in cells])
        if numeric and not np.all(np.isfinite(made)):
            gap = int(np.argmin(np.isfinite(made)))
            raise where(gap).error(name, f"{made[gap]} is not finite", "fill it in")
        values[name] = made
    return Columns(path, values, where)
