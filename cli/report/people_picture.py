"""Charts of a study of people: gain by choice and information learnt, a column for each group.

See also: decide/judge/people/summaries.py for the rows, charts.py for charts of benches.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import altair as alt
import vl_convert

from .parts import GUIDE, chart_data

Row = dict[str, Any]
WIDTH, TALL, ROW = 240, 150, 17
"""Pixels of a chart, and of a row of one."""
LETTERS = 45
"""Characters of the note that fit the width of a column."""
SCALE = 2.0
"""Pixels of a PNG for each pixel of the chart."""
LINES = ("the best choice", "people", "any choice")
COLOURS = ("#8c959f", "#cf222e", "#0969da")


def render_people_picture(
    study: str, rows: Sequence[Row], unit: tuple[float, str], ending: str
) -> bytes:
    """Draw one picture of a study.

    study: name.
    rows: of people and rules.
    unit: size in nats, and name, of the authors' unit of information.
    ending: `.svg` or `.png`.
    Returns: content of the file.
    """
    rows = [row for row in rows if "gain" in row]
    columns = [
        alt.vconcat(*_charts([row for row in rows if row["group"] == group], unit), spacing=16)
        .resolve_scale(color="independent")
        .properties(title=alt.Title(group, anchor="start", fontSize=13))
        for group in dict.fromkeys(row["group"] for row in rows)
    ]  # fmt: skip
    note = (
        "Above: expected gain of each choice when it was made, under an exact belief. Below: "
        "people and rules, at people's moments or going their own way. Bars: ± one standard error "
        "over people."
    )
    lines = textwrap.wrap(note, LETTERS * len(columns))
    title = alt.Title(
        f"People beside rules: {study}", subtitle=lines, anchor="start", fontSize=18,
        subtitleColor="#57606a", offset=12,
    )  # fmt: skip
    whole = (
        alt.hconcat(*columns, spacing=32, title=title)
        .resolve_scale(color="independent")
        .configure(background="white", padding=16)
        .configure_legend(orient="top", title=None, symbolStrokeWidth=2.5)
        .configure_view(stroke=None)
        .to_dict()
    )
    if ending == ".svg":
        return vl_convert.vegalite_to_svg(whole).encode()
    return vl_convert.vegalite_to_png(whole, scale=SCALE)


def _charts(rows: Sequence[Row], unit: tuple[float, str]) -> list[alt.LayerChart | alt.Chart]:
    """Draw the charts of one group."""
    size, name = unit
    made: list[alt.LayerChart | alt.Chart] = [_turns(rows[0], size, name)]
    for field, label, scale in (
        ("share", "gain at people's moments, % of best", 100.0),
        ("learnt", f"learnt, {name} a problem", 1 / size),
        ("regret", "regret, % of choosing at random", 1.0),
    ):
        some = [row for row in rows if row[field] is not None]
        if some:
            made.append(_dots(some, field, label, scale))
    return made


def _turns(row: Row, size: float, name: str) -> alt.Chart:
    """Draw the gain of people's first, second, ... choice, between the best one and any."""
    points = [
        {"turn": turn["turn"], "y": turn[field] / size, "line": line}
        for turn in row["by_turn"]
        for field, line in zip(("best", "gain", "random"), LINES, strict=True)
    ]
    colour = alt.Color(
        "line:N", title=None, sort=LINES, scale=alt.Scale(domain=LINES, range=COLOURS)
    )
    most = max(point["turn"] for point in points)
    ticks = [turn for turn in (1, 2, 3, 4, 5, 6, 7, 8, 10, 15, 19) if turn <= most]
    return (
        alt.Chart(chart_data(points), width=WIDTH, height=TALL)
        .mark_line(point=True, strokeWidth=2)
        .encode(
            x=alt.X("turn:Q", title="choice", axis=alt.Axis(values=ticks, format="d", grid=False)),
            y=alt.Y("y:Q", title=f"gain, {name}", scale=alt.Scale(zero=True)),
            color=colour,
        )
    )


def _dots(rows: Sequence[Row], field: str, label: str, scale: float) -> alt.LayerChart:
    """Draw a row for people and each rule, with its error, and a line at the value of people."""
    points = []
    for row in rows:
        mean, se = (row[field][part] * scale for part in ("mean", "se"))
        who = "people" if row["who"] == "people" else "rule"
        points.append(
            {"who": row["who"], "x": mean, "low": mean - se, "high": mean + se, "kind": who}
        )
    y = alt.Y("who:N", title=None, sort=None, axis=alt.Axis(grid=True, labelLimit=110))
    x = alt.X("x:Q", title=label, scale=alt.Scale(zero=True))
    colour = alt.Color(
        "kind:N",
        legend=None,
        scale=alt.Scale(domain=["people", "rule"], range=[COLOURS[1], "#24292f"]),
    )
    base = alt.Chart(chart_data(points)).encode(y=y)
    layers = [
        alt.Chart(chart_data(points[:1])).mark_rule(color=GUIDE, strokeDash=[5, 3]).encode(x=x),
        base.mark_rule(strokeWidth=1.5).encode(
            x=alt.X("low:Q", title=label), x2="high:Q", color=colour
        ),
        base.mark_point(filled=True, size=60, opacity=1).encode(x=x, color=colour),
    ]
    return alt.LayerChart(layer=layers, width=WIDTH, height=ROW * len(points))
