"""Named columns of a CSV or Parquet file, each of numbers or of texts, with the place of every row.

Not here: what the columns mean.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..posteriors.base import UsageError
from ..posteriors.loading import first_line
from .csvrows import rows
from .files import Source
from .record import Where

PARQUET = (".parquet", ".pq")


class Columns(NamedTuple):
    """values: name -> `[N]` float64 where every cell is a finite number, else texts.

    where(row) -> its place. A row's number in a Parquet file stands for its line.
    """

    file: str
    values: dict[str, np.ndarray]
    where: Callable[[int], Where]


def read_columns(path: str) -> Columns:
    """All columns of a file; UsageError for one that cannot be read or holds nothing."""
    found = parquet(path) if path.lower().endswith(PARQUET) else comma_separated(path)
    if not found.values or not len(next(iter(found.values.values()))):
        raise UsageError(f"{found.file}: no rows; it needs a line of names and a line for each row")
    return found


def comma_separated(path: str) -> Columns:
    """A CSV, plain or gzipped, that starts with a line of names."""
    source = Source(path)
    try:
        header, lines = rows(source)
        every = list(lines)
    finally:
        source.close()
    places = [where for where, _ in every]
    texts = {name: np.array([row[i].strip() for _, row in every]) for i, name in enumerate(header)}
    values = {name: numbers(text) for name, text in texts.items()}
    return Columns(source.name, values, lambda row: places[row])


def numbers(texts: np.ndarray) -> np.ndarray:
    """The texts as finite numbers where all are, else as they are."""
    try:
        # float() also takes 1_000, which no CSV means as a number.
        made = np.array([float(t if "_" not in t else "") for t in texts])
    except ValueError:
        return texts
    return made if np.all(np.isfinite(made)) else texts


def parquet(path: str) -> Columns:
    """A Parquet file of numbers, texts and truth values, without gaps."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise UsageError(
            f"{path}: Parquet needs pyarrow: pip install 'uncertain[parquet]', or write CSV"
        ) from error
    try:
        table = pq.read_table(path)
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
