"""Native events as Parquet: the fields of NDJSON as columns, lists for what is a list.

Read by batches of rows and written by groups of rows, so files may be larger than memory. A row's
number stands for its line. Not here: the fields' meaning and rules (ndjson.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO

from ..posteriors.base import UsageError
from ..posteriors.loading import first_line, nearest
from . import cells
from .files import Source
from .log import LOOKAHEAD, Log, each, infer, peek
from .ndjson import FIELDS, checked
from .record import Errors, Record, Where, stop
from .shape import LARGEST, NUMBER, OBJECT, TEXT, VECTOR, Shape, misfit, sort_of

if TYPE_CHECKING:
    import pyarrow as pa

BATCH = 4096
"""Rows decoded at a time."""
GROUP = LOOKAHEAD
"""Rows written at a time."""
BUFFER = 1 << 20
"""Bytes read ahead in each column, in place of the whole column of a group."""
UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
"""Seconds of a tick."""


@dataclass(frozen=True)
class Parquet:
    """No options: the file's schema says everything."""


def library(path: str) -> Any:
    """`pyarrow` with its Parquet part, or UsageError."""
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ImportError as error:
        raise UsageError(
            f"{path}: Parquet needs pyarrow: pip install 'uncertain[parquet]', or use CSV"
        ) from error
    return pa


def read(source: Source, config: Parquet, errors: Errors = stop) -> Log:
    """A log of events, its arms or vector size taken from its first rows."""
    rows = batches(source)
    names = next(rows)
    for name in names:
        if name not in FIELDS:
            known = nearest(str(name), FIELDS)
            raise UsageError(f'{source.name}: no field called "{name}"{known}')

    def record(numbered: tuple[int, tuple[Any, ...]]) -> Record:
        number, row = numbered
        where = Where(source.name, number)
        fields = {n: value for n, value in zip(names, row, strict=True) if value is not None}
        if isinstance(fields.get("actions"), str):
            fields["actions"] = cells.items(where, "actions", fields["actions"])
        return checked(fields, where)

    return infer(each(enumerate(rows, 1), record, errors), errors)


def batches(source: Source) -> Iterator[Any]:
    """The columns' names, then the values of each row."""
    pa = library(source.name)
    try:
        with source.seekable() as file:
            parquet = pa.parquet.ParquetFile(file, buffer_size=BUFFER, pre_buffer=False)
            yield parquet.schema_arrow.names
            for batch in parquet.iter_batches(BATCH, use_threads=False):
                yield from zip(*(listed(pa, column) for column in batch.columns), strict=True)
    except UsageError:
        raise
    except Exception as error:  # a damaged file fails in any way at all
        reason = first_line(error)
        raise UsageError(f"{source.name}: cannot be read ({reason}); check the file") from error


def listed(pa: Any, column: pa.Array) -> list[Any]:
    """The values of a column; dates and times are seconds since 1970."""
    if not pa.types.is_timestamp(column.type):
        return column.to_pylist()
    ticks = column.cast(pa.int64()).to_pylist()
    return [None if tick is None else tick * UNITS[column.type.unit] for tick in ticks]


def write(records: Iterator[Record], file: BinaryIO) -> None:
    """Write a log; its schema is what its first `LOOKAHEAD` records need.

    Raises LineError for a record that needs another.
    """
    ahead, records = peek(records, LOOKAHEAD)
    shape = Shape(ahead)
    pa = library("output")
    schema = pa.schema(list(types(pa, shape).items()))
    with pa.parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        while group := list(islice(records, GROUP)):
            rows = [values(record, shape) for record in group]
            arrays = [pa.array([r[field.name] for r in rows], field.type) for field in schema]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def types(pa: Any, shape: Shape) -> dict[str, pa.DataType]:
    """The type of every column. Candidates of several sorts in one log are JSON texts."""
    number, vector = pa.float64(), pa.list_(pa.float64())
    of = {NUMBER: pa.int64(), TEXT: pa.string(), VECTOR: vector}
    candidates = {None: pa.string(), OBJECT: pa.string()}
    candidates |= {sort: pa.list_(kind) for sort, kind in of.items()}
    return {
        "id": of[shape.sort("id")],
        "t": number,
        "x": vector,
        "actions": candidates[shape.only("actions")],
        "action": of[shape.sort("action")],
        "propensity": number,
        "y": vector if shape.sort("y") == VECTOR else number,
        "r": number,
        "deadline": number,
        "weight": number,
        "cost": vector,
    }


def values(record: Record, shape: Shape) -> dict[str, Any]:
    """What a record has in each column, None for what is absent."""
    shape.check(record)
    made = {name: getattr(record, name) for name in FIELDS}
    made["x"] = record.x or None
    if record.actions is not None:
        made["actions"] = offered(record, shape)
    return made


def offered(record: Record, shape: Shape) -> Any:
    """The candidates as their column holds them."""
    only = shape.only("actions")
    if only in (None, OBJECT):
        return cells.written(record.actions)
    for place, offer in enumerate(record.actions or ()):
        if sort_of(offer) != only:
            what = f"is {sort_of(offer)}, in {shape.first()} {only}"
            raise misfit(record, f"actions[{place}]", what)
        if isinstance(offer, int) and not -LARGEST <= offer < LARGEST:
            raise misfit(record, f"actions[{place}]", f"{offer} is too large for Parquet")
    return record.actions
