"""The body of `uncertain show`: results in, a table, CSV, Parquet, NDJSON or Markdown out.

See also: ../tables/results.py for reading and choosing rows.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.table import Table

from ...decide.judge.records.mark_frontier import mark_frontier
from ...decide.judge.records.record import Record
from ...posteriors.errors import UsageError
from ...posteriors.specs import first_line
from ...streams.formats.files import STANDARD, open_output
from ..commands.show import Format, ShowOptions
from ..environment import Environment, ExitStatus
from ..tables.bench_table import bench_table, list_bench_remarks, render_bench_markdown
from ..tables.exports import encode_csv, encode_ndjson, flatten_record
from ..tables.results import filter_rows, list_columns, load_results, match_column, sort_rows

WIDTH = 200
"""Characters of a line of a table in a file."""
ENDINGS = {
    "csv": "csv", "parquet": "parquet", "ndjson": "ndjson", "jsonl": "ndjson", "json": "ndjson",
    "md": "markdown", "txt": "table",
}  # fmt: skip


def show(options: ShowOptions, environment: Environment) -> ExitStatus:
    """Write the rows chosen; the frontier is that of the rows shown.

    options: of the command.
    environment: streams, terminal and clock.
    Returns: exit status.
    Raises: UsageError for wrong options or results.
    """
    rows = [result.record for result in load_results(options.place, environment)]
    rows = filter_rows(rows, options.where)
    if not rows:
        environment.say("no row meets all conditions")
    mark_frontier(rows)
    every = list_columns(rows)
    rows = sort_rows(rows, options.sort) if rows else rows
    names = [match_column(name, every) for name in options.columns] if rows else []
    console = environment.console()
    to_file = options.output not in (None, STANDARD)
    kind = _format_of(options, "table" if console is not None and not to_file else "ndjson")
    if kind == "table" and console is not None and not to_file:
        console.print(_table(rows, names, console.width))
        # The remarks take the setting of all rows from the first.
        alike = len({(row.world, row.steps, row.seeds) for row in rows}) == 1
        for line in list_bench_remarks(rows) if alike and not names else ():
            environment.messages().print(line, style="dim", highlight=False)
        return ExitStatus.DONE
    try:
        text = WRITERS[kind](rows, names)
    except (OverflowError, ValueError, TypeError) as error:
        if kind != Format.PARQUET:
            raise
        # A column has one type there, and whole numbers have 64 bits.
        raise UsageError(
            f"{options.place}: cannot be written as {kind} ({first_line(error)}); write ndjson"
        ) from error
    file = open_output(options.output or STANDARD, environment.data)
    try:
        file.write(text)
        file.flush()
    finally:
        if to_file:
            file.close()
    return ExitStatus.DONE


def _format_of(options: ShowOptions, usual: str) -> str:
    """Return the format asked for, else that of the file's ending."""
    if options.format:
        return options.format
    ending = (options.output or "").removesuffix(".gz").rpartition(".")[2].lower()
    return ENDINGS.get(ending, usual)


def _cut(rows: list[Record], names: list[str]) -> list[dict[str, Any]]:
    """Return flat rows with the columns named, or all."""
    names = names or list_columns(rows)
    flattened = [flatten_record(row) for row in rows]
    return [{name: row.get(name) for name in names} for row in flattened]


def _table(rows: list[Record], names: list[str], width: int) -> Table:
    """Return the table of a bench, or one of the columns named."""
    if not names:
        return bench_table(rows, width)
    grid = Table(box=None, pad_edge=False, header_style="bold")
    chosen = _cut(rows, names)
    for name in names:
        numeric = all(not isinstance(row[name], str) for row in chosen)
        grid.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in chosen:
        grid.add_row(*(_text(value) for value in row.values()))
    return grid


def _text(value: Any) -> str:
    """Return a value as text."""
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _plain_table(rows: list[Record], names: list[str]) -> bytes:
    """Return the table as text."""
    out = io.StringIO()
    Console(file=out, width=WIDTH, no_color=True).print(_table(rows, names, WIDTH))
    return out.getvalue().encode()


def _markdown(rows: list[Record], names: list[str]) -> bytes:
    """Return the rows as Markdown."""
    if not names:
        return render_bench_markdown(rows).encode()
    lines = [names, ["---"] * len(names)]
    lines += [[_text(value) for value in row.values()] for row in _cut(rows, names)]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines).encode()


def _parquet(rows: list[Record], names: list[str]) -> bytes:
    """Encode Parquet with dotted columns and zstd; needs pyarrow."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise UsageError(
            "Parquet needs pyarrow: pip install 'uncertain[parquet]', or write CSV"
        ) from error
    out = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(_cut(rows, names)), out, compression="zstd")
    return out.getvalue().to_pybytes()


WRITERS: dict[str, Callable[[list[Record], list[str]], bytes]] = {
    "table": _plain_table,
    "csv": lambda rows, names: encode_csv(_cut(rows, names)),
    "parquet": _parquet,
    "ndjson": lambda rows, names: encode_ndjson(_cut(rows, names) if names else rows),
    "markdown": _markdown,
}
