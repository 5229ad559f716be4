"""The body of `uncertain show`: results in, a table, CSV, Parquet, NDJSON or Markdown out.

Not here: finding and choosing rows (results.py).
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from . import bench_table
from .environment import Environment, ExitStatus
from .exports import comma_separated, flat, ndjson
from .results import Row, columns_of, known, load, ordered, where

WIDTH = 200
"""Characters of a table that is no terminal's."""
ENDINGS = {
    "csv": "csv", "parquet": "parquet", "ndjson": "ndjson", "jsonl": "ndjson", "json": "ndjson",
    "md": "markdown", "txt": "table",
}  # fmt: skip


@dataclass(frozen=True)
class ShowOptions:
    """What the command line said; None or () where it said nothing."""

    place: str
    where: tuple[str, ...] = ()
    sort: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    output: str | None = None
    format: str | None = None


def show(options: ShowOptions, environment: Environment) -> ExitStatus:
    """Write the rows chosen; the frontier is that of the rows shown."""
    from ..decide.judge.record import mark_frontier
    from ..streams.files import STANDARD, open_output

    rows = [result.record for result in load(options.place, environment)]
    rows = where(rows, options.where)
    if not rows:
        environment.say("no row meets all conditions")
    mark_frontier(rows)
    every = columns_of(rows)
    rows = ordered(rows, options.sort) if rows else rows
    names = [known(name, every) for name in options.columns] if rows else []
    console = environment.console()
    to_file = options.output not in (None, STANDARD)
    kind = format_of(options, "table" if console is not None and not to_file else "ndjson")
    if kind == "table" and console is not None and not to_file:
        console.print(table(rows, names, console.width))
        # What is said of all rows is read off the first.
        alike = len({(row["world"], row["steps"], row["seeds"]) for row in rows}) == 1
        for line in bench_table.lines(rows) if alike and not names else ():
            environment.messages().print(line, style="dim", highlight=False)
        return ExitStatus.DONE
    text = WRITERS[kind](rows, names)
    file = open_output(options.output or STANDARD, environment.data)
    try:
        file.write(text)
        file.flush()
    finally:
        if to_file:
            file.close()
    return ExitStatus.DONE


def format_of(options: ShowOptions, usual: str) -> str:
    """The format asked for, else what the file's name says."""
    if options.format:
        return options.format
    ending = (options.output or "").removesuffix(".gz").rpartition(".")[2].lower()
    return ENDINGS.get(ending, usual)


def cut(rows: list[Row], names: list[str]) -> list[Row]:
    """Rows flat, with the columns named or all."""
    names = names or columns_of(rows)
    flattened = [flat(row) for row in rows]
    return [{name: row.get(name) for name in names} for row in flattened]


def table(rows: list[Row], names: list[str], width: int) -> Table:
    """Bench's own table, or one of the columns named."""
    if not names:
        return bench_table.table(rows, width)
    grid = Table(box=None, pad_edge=False, header_style="bold")
    chosen = cut(rows, names)
    for name in names:
        numeric = all(not isinstance(row[name], str) for row in chosen)
        grid.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in chosen:
        grid.add_row(*(text(value) for value in row.values()))
    return grid


def text(value: Any) -> str:
    """A value for people."""
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def plain_table(rows: list[Row], names: list[str]) -> bytes:
    out = io.StringIO()
    Console(file=out, width=WIDTH, no_color=True).print(table(rows, names, WIDTH))
    return out.getvalue().encode()


def markdown(rows: list[Row], names: list[str]) -> bytes:
    if not names:
        return bench_table.markdown(rows).encode()
    lines = [names, ["---"] * len(names)]
    lines += [[text(value) for value in row.values()] for row in cut(rows, names)]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines).encode()


def parquet(rows: list[Row], names: list[str]) -> bytes:
    """Dotted columns, zstd; needs pyarrow."""
    from ..posteriors.base import UsageError

    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise UsageError(
            "Parquet needs pyarrow: pip install 'uncertain[parquet]', or write CSV"
        ) from error
    out = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(cut(rows, names)), out, compression="zstd")
    return out.getvalue().to_pybytes()


WRITERS: dict[str, Callable[[list[Row], list[str]], bytes]] = {
    "table": plain_table,
    "csv": lambda rows, names: comma_separated(cut(rows, names)),
    "parquet": parquet,
    "ndjson": lambda rows, names: ndjson(cut(rows, names) if names else rows),
    "markdown": markdown,
}
