"""Rows of results as NDJSON, CSV or Markdown, in files that an interrupted command leaves whole.

Not here: tables for people (bench_table.py).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from gzip import GzipFile
from typing import Any, BinaryIO

import msgspec

from ...streams.formats.files import open_output
from ..commands.bench import BenchOptions
from ..commands.parity import ParityOptions
from ..environment import Environment
from .bench_table import markdown

Records = list[Any]
Exports = list[tuple[BinaryIO, Callable[[Records], bytes]]]


def open_exports(
    options: BenchOptions | ParityOptions,
    environment: Environment,
    table: Callable[[Records], str] | None = None,
) -> Exports:
    """The files asked for, opened before any work, with what writes them.

    table: makes Markdown, that of a bench unless given.
    """

    made = table or markdown
    wanted = (
        (options.export_json, ndjson),
        (options.export_csv, comma_separated),
        (options.export_markdown, lambda rows: made(rows).encode()),
    )
    return [(open_output(path, environment.data), make) for path, make in wanted if path]


def write_exports(exports: Exports, rows: Records, environment: Environment) -> None:
    """Rewrite every file, so that an interrupted bench keeps what it has.

    Standard output is never rewound, whatever it is connected to: there a row is added.
    """
    for file, make in exports:
        if file is environment.data:
            file.write(ndjson(rows[-1:]) if make is ndjson else b"")
        elif not isinstance(file, GzipFile):
            file.seek(0)
            file.truncate()
            file.write(make(rows))
        file.flush()


def finish_exports(exports: Exports, rows: Records, environment: Environment) -> None:
    """What could not be written row by row: standard output's tables, compressed files."""
    for file, make in exports:
        if isinstance(file, GzipFile) or (file is environment.data and make is not ndjson):
            file.write(make(rows))
            file.flush()


def ndjson(rows: Records) -> bytes:
    """One JSON object a line."""

    return b"".join(msgspec.json.encode(row) + b"\n" for row in rows)


def flat(row: Any, prefix: str = "") -> dict[str, Any]:
    """Nested fields under dotted names, those of a list under its positions."""

    if isinstance(row, msgspec.Struct):
        row = msgspec.json.decode(msgspec.json.encode(row))
    found: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, list):
            value = {str(place): part for place, part in enumerate(value)}
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def comma_separated(rows: Records) -> bytes:
    """CSV with the union of the rows' dotted columns."""
    flattened = [flat(row) for row in rows]
    columns = list(dict.fromkeys(name for row in flattened for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(flattened)
    return text.getvalue().encode()
