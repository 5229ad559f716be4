"""Rank histograms of `uncertain calibrate` as one picture, PNG or SVG.

See also: ../tables/calibrate_table.py for the table.
"""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import vl_convert
from scipy.stats import binom

from ...decide.judge.records.calibration_record import CalibrationRecord, RankedQuantity
from ..tables.calibrate_table import format_p_value
from .parts import GUIDE
from .picture import SCALE

WIDE, HIGH = 260, 120
"""Pixels of one histogram."""
BAND = 0.99
"""Probability that a bin of a calibrated belief lies within the grey band."""
RIGHT, WRONG = "#4c78a8", "#e45756"


def render_calibration_picture(rows: Sequence[CalibrationRecord], ending: str) -> bytes:
    """Draw two histograms for each row: its worst unknown, and the log likelihood.

    rows: records of `uncertain calibrate`.
    ending: `.svg` or `.png`.
    Returns: content of the file.
    """
    lines = [
        alt.hconcat(_histogram(row, row.unknown), _histogram(row, row.likelihood)).properties(
            title=alt.Title(_heading(row), anchor="start", fontSize=13)
        )
        for row in rows
    ]
    spec = (
        alt.vconcat(*lines, spacing=18)
        .configure(background="white", padding=16)
        .configure_view(stroke=None)
        .to_dict()
    )
    if ending == ".svg":
        return vl_convert.vegalite_to_svg(spec).encode()
    return vl_convert.vegalite_to_png(spec, scale=SCALE)


def _heading(row: CalibrationRecord) -> str:
    """Return the cell of a row and its verdict."""
    size = f", S = {row.particles}" if row.particles else ""
    verdict = "calibrated" if row.calibrated else f"not calibrated: {row.shape or 'uneven'}"
    return f"{row.world}, {row.posterior}{size}, k = {row.refine}: {verdict}"


def _histogram(row: CalibrationRecord, quantity: RankedQuantity) -> alt.LayerChart:
    """Draw runs a bin, with the band in which those of a calibrated belief lie."""
    counts = quantity.counts
    low, high = binom.interval(BAND, row.runs, 1 / len(counts))
    values = [{"bin": index, "runs": count} for index, count in enumerate(counts)]
    wrong = quantity.p < row.level / len(row.quantities)
    x = alt.X("bin:O", title=f"rank of {quantity.name} (p = {format_p_value(quantity.p)})",
              axis=alt.Axis(labels=False, ticks=False))  # fmt: skip
    bars = alt.Chart(alt.InlineData(values=values)).mark_bar(color=WRONG if wrong else RIGHT)
    band = alt.Chart(alt.InlineData(values=[{"low": float(low), "high": float(high)}]))
    layers = [
        bars.encode(x=x, y=alt.Y("runs:Q", title="runs")),
        band.mark_rect(color=GUIDE, opacity=0.35).encode(y="low:Q", y2="high:Q"),
    ]
    return alt.LayerChart(layer=layers, width=WIDE, height=HIGH)
