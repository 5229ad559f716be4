"""Records of static targets as a table, as Markdown, and in words.

See also: bench_table.py for the table of decisions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.table import Table

from ...decide.judge.records.parity_record import ParityRecord
from .format_values import format_duration


def _number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}g}"


def _size(row: ParityRecord) -> str:
    return _number(row.particles) if (row.particles or 0) < 1000 else str(row.particles)


def _off(row: ParityRecord) -> str:
    return "–" if row.worst is None else f"{row.worst:.3f} ({row.median:.3f})"


MOSTLY = 0.5
"""Share of diverged runs from which their error says nothing about noise."""


def _agrees(row: ParityRecord) -> str:
    if row.passed is None:
        return "–"
    if row.passed:
        return "yes"
    if isinstance(row.diverged, float) and row.diverged >= MOSTLY:
        return "diverged"
    within = row.z is not None and row.limit is not None and row.z < row.limit
    return "noisy" if within else "no"


COLUMNS: list[tuple[str, Callable[[ParityRecord], str]]] = [
    ("target", lambda row: row.target),
    ("posterior", lambda row: row.posterior),
    ("S", _size),
    ("k", lambda row: str(row.refine)),
    ("mean off, sd\nworst (median)", _off),
    ("sd ratio\nworst", lambda row: _number(row.sd_ratio)),
    ("error\nsd", lambda row: _number(row.noise, 2)),
    ("z", lambda row: _number(row.z, 2)),
    ("limit", lambda row: _number(row.limit, 2)),
    ("agrees", _agrees),
    ("evaluations\na run", lambda row: f"{row.work:.2g}"),
    ("time\na run", lambda row: format_duration(row.seconds)),
    ("Stein", lambda row: _number(row.stein, 2)),
]
"""Heading of each column, and text of a row under it."""


def parity_table(rows: Sequence[ParityRecord]) -> Table:
    """Return the records as a table for a terminal.

    rows: records of `uncertain parity`.
    """
    grid = Table(box=None, pad_edge=False)
    for place, (heading, _) in enumerate(COLUMNS):
        grid.add_column(heading, justify="left" if place < 2 else "right", no_wrap=place == 0)
    for row in rows:
        grid.add_row(*(text(row) for _, text in COLUMNS))
    return grid


def render_parity_markdown(rows: Sequence[ParityRecord]) -> str:
    """Return the records as a Markdown table.

    rows: records of `uncertain parity`.
    """
    heads = [heading.replace("\n", " ") for heading, _ in COLUMNS]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    lines += ["| " + " | ".join(text(row) for _, text in COLUMNS) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def list_parity_remarks(rows: Sequence[ParityRecord]) -> list[str]:
    """Return sentences that explain the columns.

    rows: records of `uncertain parity`.
    """
    if not rows:
        return []
    return [
        f"agrees: mean and spread of every quantity within `limit` errors of both sides, a false "
        f"alarm in {1 / rows[0].false_alarm:,.0f} rows; noisy: within, but too rough to tell; "
        "diverged: in half the runs a mean is more than 3 sd off, or no number",
        "Stein: the reference draws against the model's log density, in standard errors (4.4)",
    ]
