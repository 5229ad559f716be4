"""Charts of a study of people: gain by choice and information learnt, a column for each group.

See also: decide/judge/records/people_record.py for the rows, charts.py for charts of benches.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import altair as alt
import vl_convert

from ...decide.judge.records.people_record import PeopleRecord, PeopleRow
from ...decide.judge.records.record import Mean
from .parts import GUIDE, chart_data

WIDTH, TALL, ROW = 240, 150, 17
"""Pixels of a chart, and of a row of one."""
LETTERS = 45
"""Characters of the note that fit the width of a column."""
SCALE = 2.0
"""Pixels of a PNG for each pixel of the chart."""
LINES = ("the best choice", "people", "any choice")
COLOURS = ("#8c959f", "#cf222e", "#0969da")


def render_people_picture(
    study: str, rows: Sequence[PeopleRow], unit: tuple[float, str], ending: str
) -> bytes:
    """Draw one picture of a study.

    study: name.
    rows: of people and rules.
    unit: size in nats, and name, of the authors' unit of information.
    ending: `.svg` or `.png`.
    Returns: content of the file.
    """
    shown = [row for row in rows if isinstance(row, PeopleRecord)]
    columns = [
        alt.vconcat(*_charts([row for row in shown if row.group == group], unit), spacing=16)
        .resolve_scale(color="independent")
        .properties(title=alt.Title(group, anchor="start", fontSize=13))
        for group in dict.fromkeys(row.group for row in shown)
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


def _charts(
    rows: Sequence[PeopleRecord], unit: tuple[float, str]
) -> list[alt.LayerChart | alt.Chart]:
    """Draw the charts of one group."""
    size, name = unit
    made: list[alt.LayerChart | alt.Chart] = [_turns(rows[0], size, name)]
    for label, scale, found in (
        ("gain at people's moments, % of best", 100.0, [row.share for row in rows]),
        (f"learnt, {name} a problem", 1 / size, [row.learnt for row in rows]),
        ("regret, % of choosing at random", 1.0, [row.regret for row in rows]),
    ):
        some = [(row.who, x) for row, x in zip(rows, found, strict=True) if x is not None]
        if some:
            made.append(_dots(some, label, scale))
    return made


def _turns(row: PeopleRecord, size: float, name: str) -> alt.Chart:
    """Draw the gain of people's first, second, ... choice, between the best one and any."""
    points = [
        {"turn": turn.turn, "y": gain / size, "line": line}
        for turn in row.by_turn
        for line, gain in zip(LINES, (turn.best, turn.gain, turn.random), strict=True)
        if gain is not None
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


def _dots(means: Sequence[tuple[str, Mean]], label: str, scale: float) -> alt.LayerChart:
    """Draw a row for people and each rule, with its error, and a line at the value of people."""
    points = []
    for who, found in means:
        mean, se = found.mean * scale, found.se * scale
        kind = "people" if who == "people" else "rule"
        points.append({"who": who, "x": mean, "low": mean - se, "high": mean + se, "kind": kind})
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
