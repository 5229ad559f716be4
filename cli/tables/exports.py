"""Rows of results as NDJSON, CSV or Markdown, in files that an interrupted command leaves whole.

See also: bench_table.py for the table of a terminal.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from gzip import GzipFile
from typing import Any, BinaryIO

import msgspec

from ...decide.judge.records.read_record import to_dict
from ...decide.judge.records.record import Record
from ...streams.formats.files import open_output
from ..commands.bench import BenchOptions
from ..commands.parity import ParityOptions
from ..environment import Environment
from .bench_table import render_bench_markdown

Rows = Sequence[Any]
"""Records, or rows of columns as dictionaries."""
Exports = list[tuple[BinaryIO, Callable[[Any], bytes]]]


def open_exports(
    options: BenchOptions | ParityOptions,
    environment: Environment,
    table: Callable[[Any], str] | None = None,
) -> Exports:
    """Open the files that the options name, before any work is done.

    options: of the command; `export_json`, `export_csv` and `export_markdown` are paths.
    environment: for standard output.
    table: renders records as Markdown; by default the table of a bench.
    Returns: pairs of an open file and the function that encodes records for it.
    Raises: UsageError if a file cannot be written.
    """
    made = table or render_bench_markdown
    wanted = (
        (options.export_json, encode_ndjson),
        (options.export_csv, encode_csv),
        (options.export_markdown, lambda rows: made(rows).encode()),
    )
    return [(open_output(path, environment.data), make) for path, make in wanted if path]


def write_exports(exports: Exports, rows: Rows, environment: Environment) -> None:
    """Rewrite every file, so that an interrupted bench keeps its rows.

    Standard output is never rewound; it gets the last row only, and only as NDJSON.

    exports: from `open_exports`.
    rows: records until now.
    environment: for standard output.
    """
    for file, make in exports:
        if file is environment.data:
            file.write(encode_ndjson(rows[-1:]) if make is encode_ndjson else b"")
        elif not isinstance(file, GzipFile):
            file.seek(0)
            file.truncate()
            file.write(make(rows))
        file.flush()


def finish_exports(exports: Exports, rows: Rows, environment: Environment) -> None:
    """Write the exports that cannot be written row by row: compressed files, tables on stdout.

    exports: from `open_exports`.
    rows: all records.
    environment: for standard output.
    """
    for file, make in exports:
        if isinstance(file, GzipFile) or (file is environment.data and make is not encode_ndjson):
            file.write(make(rows))
            file.flush()


def encode_ndjson(rows: Rows) -> bytes:
    """Encode records as NDJSON, one JSON object a line.

    rows: records or rows of columns.
    """
    return b"".join(msgspec.json.encode(row) + b"\n" for row in rows)


def flatten_record(row: Any, prefix: str = "") -> dict[str, Any]:
    """Return nested fields under dotted names, list items under their positions.

    row: record or nested dict. In a record of a bench, NaN becomes None.
    prefix: text in front of every name.
    """
    if isinstance(row, Record):
        row = to_dict(row)
    elif isinstance(row, msgspec.Struct):
        row = msgspec.to_builtins(row)
    found: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, list):
            value = {str(place): part for place, part in enumerate(value)}
        if isinstance(value, dict):
            found |= flatten_record(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def encode_csv(rows: Rows) -> bytes:
    """Encode records as CSV with the union of their dotted columns.

    rows: records or rows of columns.
    """
    flattened = [flatten_record(row) for row in rows]
    columns = list(dict.fromkeys(name for row in flattened for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(flattened)
    return text.getvalue().encode()
