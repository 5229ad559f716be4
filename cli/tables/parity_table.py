"""Records of static targets as a table, as Markdown, and in words.

See also: bench_table.py for the table of decisions.
"""

from __future__ import annotations

from typing import Any

from rich.table import Table

from .format_values import format_duration

Records = list[dict[str, Any]]

HEADERS = (
    "target", "posterior", "S", "k", "mean off, sd\nworst (median)", "sd ratio\nworst", "error\nsd",
    "z", "limit", "agrees", "evaluations\na run", "time\na run", "Stein",
)  # fmt: skip


def _number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}g}"


def _cells(row: dict[str, Any]) -> list[str]:
    """Return the text of a record under each header."""
    agrees = {True: "yes", False: "no", None: "–"}[row["passed"]]
    if row["passed"] is False and row["z"] < row["limit"]:
        agrees = "noisy"
    off = "–" if row["worst"] is None else f"{row['worst']:.3f} ({row['median']:.3f})"
    return [
        row["target"],
        row["posterior"],
        _number(row["particles"]) if (row["particles"] or 0) < 1000 else str(row["particles"]),
        str(row["refine"]),
        off,
        _number(row["sd_ratio"]),
        _number(row["noise"], 2),
        _number(row["z"], 2),
        _number(row["limit"], 2),
        agrees,
        f"{row['work']:.2g}",
        format_duration(row["seconds"]),
        _number(row["stein"], 2),
    ]


def parity_table(rows: Records) -> Table:
    """Return the records as a table for a terminal.

    rows: records of `uncertain parity`.
    """
    grid = Table(box=None, pad_edge=False)
    for place, header in enumerate(HEADERS):
        grid.add_column(header, justify="left" if place < 2 else "right", no_wrap=place == 0)
    for row in rows:
        grid.add_row(*_cells(row))
    return grid


def render_parity_markdown(rows: Records) -> str:
    """Return the records as a Markdown table.

    rows: records of `uncertain parity`.
    """
    heads = [header.replace("\n", " ") for header in HEADERS]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    lines += ["| " + " | ".join(_cells(row)) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def list_parity_remarks(rows: Records) -> list[str]:
    """Return sentences that explain the columns.

    rows: records of `uncertain parity`.
    """
    if not rows:
        return []
    return [
        f"agrees: mean and spread of every quantity within `limit` errors of both sides, a false "
        f"alarm in {1 / rows[0]['false_alarm']:,.0f} rows; noisy: within, but too rough to tell",
        "Stein: the reference draws against the model's log density, in standard errors (4.4)",
    ]
