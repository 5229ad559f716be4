"""Native events as Parquet: the fields of NDJSON as columns, lists for vectors.

Files are read by batches and written by groups of rows, so they may be larger than memory. A row's
number stands for its line.
See also: ../ndjson.py for the meaning and the rules of the fields.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any, BinaryIO

from ....posteriors.archives import FREE, RATIO, find_twice
from ....posteriors.errors import UsageError
from ....posteriors.specs import first_line, nearest
from ....posteriors.units import SECONDS_BY_UNIT
from ..columns_needed import (
    LARGEST,
    NUMBER,
    OBJECT,
    TEXT,
    VECTOR,
    ColumnTypes,
    column_error,
    value_type,
)
from ..files import Source
from ..log import LOOKAHEAD, Log, NoOptions, infer_log, map_valid, read_ahead
from ..ndjson import FIELDS, record_from_fields
from ..record import ErrorHandler, Record, Where, raise_error
from . import cells
from .arrow import import_pyarrow

if TYPE_CHECKING:
    import pyarrow as pa

BATCH = 4096
"""Rows decoded at a time."""
VALUES = 1 << 22
"""Numbers or texts of a column decoded at a time, and in a list."""
GROUP = LOOKAHEAD
"""Rows written at a time."""
BUFFER = 1 << 20
"""Bytes read ahead in each column, in place of the whole column of a group."""


def read_parquet(source: Source, config: NoOptions, on_error: ErrorHandler = raise_error) -> Log:
    """Read a log of events; its arms or vector size are those of its first rows.

    source: opened input.
    config: no options.
    on_error: receives wrong rows.
    Raises: UsageError if the file or its schema is wrong.
    """
    rows = _batches(source)
    names = next(rows)
    if (twice := find_twice(names)) is not None:
        raise UsageError(f'{source.name}: two columns called "{twice}"; leave one of them out')
    for name in names:
        if name not in FIELDS:
            known = nearest(str(name), FIELDS)
            raise UsageError(f'{source.name}: no field called "{name}"{known}')

    def record(numbered: tuple[int, tuple[Any, ...]]) -> Record:
        number, row = numbered
        where = Where(source.name, number)
        fields = {n: value for n, value in zip(names, row, strict=True) if value is not None}
        if isinstance(fields.get("actions"), str):
            fields["actions"] = cells.parse_list(where, "actions", fields["actions"])
        return record_from_fields(fields, where)

    return infer_log(map_valid(enumerate(rows, 1), record, on_error), on_error)


def _batches(source: Source) -> Iterator[Any]:
    """The columns' names, then the values of each row."""
    pa = import_pyarrow(source.name, "use CSV")
    try:
        with source.open_seekable() as file:
            # A text may stand for many rows.
            schema = pa.parquet.read_metadata(file).schema
            columns = [schema.column(i) for i in range(len(schema))]
            texts = [one.path for one in columns if one.physical_type == "BYTE_ARRAY"]
            file.seek(0)
            parquet = pa.parquet.ParquetFile(
                file, buffer_size=BUFFER, pre_buffer=False, read_dictionary=texts
            )
            yield parquet.schema_arrow.names
            for number in range(parquet.num_row_groups):
                batch = _rows_at_a_time(parquet, number, source.name)
                for part in parquet.iter_batches(batch, [number], use_threads=False):
                    yield from zip(*(_listed(pa, column) for column in part.columns), strict=True)
    except UsageError:
        raise
    except Exception as error:  # a damaged file fails in any way at all
        reason = first_line(error)
        raise UsageError(f"{source.name}: cannot be read ({reason}); check the file") from error


def _rows_at_a_time(parquet: Any, number: int, name: str) -> int:
    """Rows of a group to decode at a time: few bytes can stand for a great many numbers."""
    # Arrow ends the process where it describes a damaged group that it has not read from.
    if next(parquet.iter_batches(1, [number], use_threads=False), None) is None:
        return BATCH
    group, most = parquet.metadata.row_group(number), 1
    for index in range(group.num_columns):
        chunk = group.column(index)
        size, held = chunk.total_uncompressed_size, chunk.total_compressed_size
        if size > FREE and size > RATIO * held:
            raise UsageError(
                f"{name}: {chunk.path_in_schema}: {held} bytes unpack to {size}, which is more "
                f"than {RATIO} times as many; if that is meant, write it without compression"
            )
        most = max(most, chunk.num_values // max(group.num_rows, 1))
    return max(min(BATCH, VALUES // most), 1)


def _listed(pa: Any, column: pa.Array) -> list[Any]:
    """The values of a column; dates and times are seconds since 1970."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        # A text that many rows share is one text here, too; others of the file are left alone.
        used = column.indices.unique()
        values = dict(zip(used.to_pylist(), column.dictionary.take(used).to_pylist(), strict=True))
        return [values[index] for index in column.indices.to_pylist()]
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _lists(pa, column)
    if not pa.types.is_timestamp(kind):
        return column.to_pylist()
    ticks = column.cast(pa.int64()).to_pylist()
    return [None if tick is None else tick * SECONDS_BY_UNIT[kind.unit] for tick in ticks]


def _lists(pa: Any, column: Any) -> list[Any]:
    """The values of a column of lists."""
    ends = column.offsets.to_pylist()
    longest = max((end - start for start, end in pairwise(ends)), default=0)
    if longest > VALUES:
        raise ValueError(f"a list of {longest} values, at most {VALUES} are read")
    flat = _listed(pa, column.values.slice(ends[0], ends[-1] - ends[0]))
    rows = [flat[start - ends[0] : end - ends[0]] for start, end in pairwise(ends)]
    return [row if known else None
            for row, known in zip(rows, column.is_valid().to_pylist(), strict=True)]  # fmt: skip


def write_parquet(records: Iterator[Record], file: BinaryIO) -> None:
    """Write a log; its schema is the one that its first `LOOKAHEAD` records need.

    records: records in order.
    file: output opened for writing.
    Raises: LineError for a record that needs another schema.
    """
    ahead, records = read_ahead(records, LOOKAHEAD)
    shape = ColumnTypes(ahead)
    pa = import_pyarrow("output", "use CSV")
    schema = pa.schema(list(_types(pa, shape).items()))
    with pa.parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        while group := list(islice(records, GROUP)):
            rows = [_values(record, shape) for record in group]
            arrays = [pa.array([r[field.name] for r in rows], field.type) for field in schema]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def _types(pa: Any, shape: ColumnTypes) -> dict[str, pa.DataType]:
    """The type of every column. Candidates of several sorts in one log are JSON texts."""
    number, vector = pa.float64(), pa.list_(pa.float64())
    of = {NUMBER: pa.int64(), TEXT: pa.string(), VECTOR: vector}
    candidates = {None: pa.string(), OBJECT: pa.string()}
    candidates |= {sort: pa.list_(kind) for sort, kind in of.items()}
    return {
        "id": of[shape.column_type("id")],
        "t": number,
        "x": vector,
        "actions": candidates[shape.single_type("actions")],
        "action": of[shape.column_type("action")],
        "propensity": number,
        "y": vector if shape.column_type("y") == VECTOR else number,
        "r": number,
        "deadline": number,
        "weight": number,
        "cost": vector,
    }


def _values(record: Record, shape: ColumnTypes) -> dict[str, Any]:
    """A record's value in each column, None where it is absent."""
    shape.check_record(record)
    made = {name: getattr(record, name) for name in FIELDS}
    made["x"] = record.x or None
    if record.actions is not None:
        made["actions"] = _offered(record, shape)
    return made


def _offered(record: Record, shape: ColumnTypes) -> Any:
    """The candidates as their column holds them."""
    only = shape.single_type("actions")
    if only in (None, OBJECT):
        return cells.format_cell(record.actions)
    for place, offer in enumerate(record.actions or ()):
        if value_type(offer) != only:
            what = f"is {value_type(offer)}, in {shape.describe_sample()} {only}"
            raise column_error(record, f"actions[{place}]", what)
        if isinstance(offer, int) and not -LARGEST <= offer < LARGEST:
            raise column_error(record, f"actions[{place}]", f"{offer} is too large for Parquet")
    return record.actions
