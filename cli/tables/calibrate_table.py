"""Verdicts of `uncertain calibrate` as a table, rank histograms drawn in text.

See also: ../report/calibrate_picture.py for pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.table import Table

from ...decide.judge.records.calibration_record import CalibrationRecord

BARS = "▁▂▃▄▅▆▇█"
EVEN = 3
"""Index of the bar of an evenly filled bin: half height."""


def draw_histogram(counts: list[int]) -> str:
    """Draw a histogram in text, one character a bin.

    counts: runs in each bin.
    Returns: bars; half height is the number of runs expected of a calibrated belief.
    """
    expected = sum(counts) / len(counts)
    levels = [round((EVEN + 1) * n / expected) - 1 for n in counts]
    return "".join(" " if not n else BARS[min(max(level, 0), len(BARS) - 1)]
                   for n, level in zip(counts, levels, strict=True))  # fmt: skip


def format_p_value(p: float) -> str:
    """Return a p-value with one or two digits.

    p: p-value.
    """
    return f"{p:.2f}" if p >= 0.01 else f"{p:.0e}" if p >= 1e-99 else "0"


def _verdict(row: CalibrationRecord) -> str:
    return "yes" if row.calibrated else f"no: {row.shape or 'uneven'}"


COLUMNS: list[tuple[str, Callable[[CalibrationRecord], str]]] = [
    ("posterior", lambda row: row.posterior),
    ("S", lambda row: str(row.particles or "–")),
    ("k", lambda row: str(row.refine)),
    ("worst\nunknown", lambda row: row.unknown.name),
    ("ranks", lambda row: draw_histogram(row.unknown.counts)),
    ("p", lambda row: format_p_value(row.unknown.p)),
    ("log likelihood,\nranks", lambda row: draw_histogram(row.likelihood.counts)),
    ("p", lambda row: format_p_value(row.likelihood.p)),
    ("calibrated", _verdict),
]
"""Heading of each column, and text of a row under it."""


def calibration_table(rows: Sequence[CalibrationRecord]) -> Table:
    """Return a table with the worst unknown, the log likelihood and the verdict of each posterior.

    rows: records of `uncertain calibrate`.
    """
    grid = Table(box=None, pad_edge=False, header_style="bold", collapse_padding=True)
    for heading, _ in COLUMNS:
        grid.add_column(heading, justify="right" if heading in ("S", "k") else "left", no_wrap=True)
    for row in rows:
        style = None if row.calibrated else "yellow"
        grid.add_row(*(text(row) for _, text in COLUMNS), style=style)
    return grid


def describe_calibration(rows: Sequence[CalibrationRecord]) -> str:
    """Describe the runs and the criterion, and name posteriors with unhealthy runs.

    rows: records of `uncertain calibrate`.
    """
    row = rows[0]
    several = max(len(one.quantities) for one in rows)
    text = (
        f"{row.world}, {row.steps} events, {row.runs} runs each; rank of the truth among "
        f"{row.draws} draws in {row.bins} bins, ▄ being an even share. Not calibrated where "
        f"p of any of up to {several} quantities is below {row.level:g} / their number."
    )
    failed = [f"{one.posterior} {one.failures}" for one in rows if one.failures]
    return text + (f" Runs whose belief was not healthy: {', '.join(failed)}." if failed else "")
