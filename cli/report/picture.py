"""A report as one picture: all charts beside and under each other, as PNG or SVG.

See also: charts.py and runs.py for the charts.
"""

from __future__ import annotations

import textwrap

import altair as alt
import vl_convert

from ...posteriors.errors import UsageError
from .page import Drawn

SIDE = 2
"""Number of charts beside each other in a picture."""
WIDE = 430
"""Pixels of a chart in a picture."""
SCALE = 2.0
"""Pixels of a PNG for each pixel of the chart."""


def render_report_picture(drawn: Drawn, ending: str) -> bytes:
    """Draw all charts in one picture.

    drawn: sections with their charts.
    ending: `.svg` or `.png`.
    Returns: content of the file.
    Raises: UsageError if there is no chart.
    """
    parts = [
        alt.concat(
            *(chart.with_width(WIDE).properties(title=_titled(chart.title, chart.note))
              for chart in charts),
            columns=SIDE, title=alt.Title(section.title, fontSize=18, anchor="start", offset=12),
        ).resolve_scale(color="independent", shape="independent", strokeDash="independent")
        for section, charts in drawn if charts
    ]  # fmt: skip
    if not parts:
        raise UsageError("nothing in these results can be drawn; write .md for their table")
    spec = alt.vconcat(*parts, spacing=48).resolve_scale(
        color="independent", shape="independent", strokeDash="independent"
    ).configure(background="white", padding=16).configure_axisY(labelLimit=200).configure_legend(
        orient="bottom", labelLimit=300, columns=4, titleOrient="left"
    ).to_dict()  # fmt: skip
    if ending == ".svg":
        return vl_convert.vegalite_to_svg(spec).encode()
    return vl_convert.vegalite_to_png(spec, scale=SCALE)


def _titled(title: str, note: str) -> alt.Title:
    """Return a title with its note below, broken into lines that fit."""
    return alt.Title(
        title, subtitle=textwrap.wrap(note, WIDE // 6), anchor="start", subtitleColor="#57606a"
    )
