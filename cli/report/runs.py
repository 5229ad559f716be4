"""Charts of single runs, from a store's arrays: latency, gain over time, calibration.

See also: charts.py for charts of records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import altair as alt

from .curves import bin_gains, gain_over_time, latency_quantiles
from .data import MANY, Section, select_best
from .parts import (  # fmt: skip
    GUIDE,
    ROW,
    SIZE,
    Chart,
    Points,
    chart_data,
    chart_height,
    cut_note,
    encode_series,
    list_tooltips,
    logarithmic_axis,
)


def draw_run_charts(section: Section, tell: Callable[[str], None]) -> Iterator[Chart]:
    """Yield every chart for which a section has arrays.

    section: cells of one world and length.
    tell: shows a message; called after each cell, since reading arrays takes a while.
    """
    leading = {id(cell) for cell in section.best_of_series()}
    timed = [cell for cell in section.cells if cell.record.total]
    boxed = {id(cell) for cell in select_best(timed)}
    wanted = [cell for cell in section.cells if id(cell) in leading | boxed]
    latency: Points = []
    gain: Points = []
    kept: Points = []
    for number, cell in enumerate(wanted, 1):
        arrays = cell.result.arrays()
        tell(f"{section.title}: read {number} of {len(wanted)} cells")
        if id(cell) in boxed and "decide" in arrays:
            latency += latency_quantiles(cell, arrays)
        if id(cell) in leading and "realised" in arrays:
            gain += gain_over_time(cell, arrays["realised"])
            kept += bin_gains(cell, arrays)
    some = len(leading) < len(section.cells)
    note = " The best cell of each posterior." if some else ""
    if latency:
        yield _latencies(section, latency, len(timed))
    if gain:
        yield _gains(section, gain, note)
    if kept:
        yield _calibration(section, kept, note)


def _latencies(section: Section, points: Points, cells: int) -> Chart:
    """Draw a box of decide and one of learn for each cell, on one logarithmic axis."""
    extent = [min(one["lowest"] for one in points), max(one["longest"] for one in points)]
    label = "ms a call"
    parts = alt.Scale(domain=["decide", "learn"], range=["#0072B2", "#E69F00"])
    legend = alt.Legend(symbolType="square", symbolStrokeWidth=6, symbolOpacity=1)
    base = alt.Chart(chart_data(points)).encode(
        y=alt.Y("cell:N", title=None, sort=None, axis=alt.Axis(grid=True)),
        yOffset=alt.YOffset("part:N", sort=["decide", "learn"]),
        color=alt.Color("part:N", title=None, scale=parts, legend=legend),
        tooltip=list_tooltips(
            ("part", "call"), ("middle_text", "p50"), ("highest_text", "p99"),
            ("longest_text", "max"),
        ),
    )  # fmt: skip

    def at(name: str) -> alt.X:
        return logarithmic_axis(name, label, *extent)

    layers = (
        base.mark_rule(strokeWidth=1.5).encode(x=at("lowest"), x2="highest:Q"),
        base.mark_bar(height=7).encode(x=at("lower"), x2="upper:Q"),
        base.mark_tick(thickness=2, size=11, color=GUIDE).encode(
            x=at("middle"), color=alt.value(GUIDE)
        ),
        base.mark_point(shape="stroke", angle=90, size=40, strokeWidth=1.5).encode(
            x=at("longest"),
        ),
    )
    note = (
        "Live calls, one at a time: box from the 25th to the 75th percentile with the median in "
        "it, line from the 1st to the 99th, the longest call apart."
    )
    height = chart_height(min(cells, MANY), ROW + 5)
    return Chart("Latency", note + cut_note(cells), layers, height, rows=True)


def _named(*more: tuple[str, str]) -> list[alt.Tooltip]:
    fields = [("cell", "cell"), ("posterior", "posterior"), ("rule", "rule"), *more]
    return [alt.Tooltip(f"{name}:N", title=title) for name, title in fields]


def _gains(section: Section, points: Points, note: str) -> Chart:
    looks = encode_series(section, points)
    label = "gain so far, nats"
    x = alt.X("step:Q", title="events", axis=alt.Axis(format="d", tickMinStep=1))
    base = alt.Chart(chart_data(points)).encode(x=x)
    shown = _named(("step", "events"), ("value", label))
    layers = (
        base.mark_area(opacity=0.15).encode(
            y=alt.Y("low:Q", title=label), y2="high:Q", color=looks["color"], detail="cell:N"
        ),
        base.mark_line().encode(
            y=alt.Y("y:Q", title=label), color=looks["color"], detail="cell:N"
        ),
        base.transform_filter("datum.mark")
        .mark_point(filled=True, size=SIZE - 30, opacity=1)
        .encode(y=alt.Y("y:Q", title=label), tooltip=shown, **looks),
    )  # fmt: skip
    how = "By the judge's reference inference; bands: ± one standard error over runs."
    return Chart("Gain over time", how + note, layers)


def _calibration(section: Section, points: Points, note: str) -> Chart:
    looks = encode_series(section, points)
    across, up = "predicted gain of a decision, nats", "realised, nats"
    limits = [min(one["x"] for one in points), max(one["x"] for one in points)]
    ideal = [{"x": limit, "y": limit} for limit in limits]
    x = alt.X("x:Q", title=across)
    base = alt.Chart(chart_data(points)).encode(x=x)
    shown = _named(("predicted", "predicted"), ("value", "realised"), ("decisions", "decisions"))
    y = alt.Y("y:Q", title=up)
    layers = (
        alt.Chart(chart_data(ideal)).mark_line(color=GUIDE, strokeDash=[5, 3]).encode(x=x, y=y),
        base.mark_rule().encode(y=alt.Y("low:Q", title=up), y2="high:Q", color=looks["color"]),
        base.mark_line(opacity=0.75).encode(y=y, color=looks["color"], detail="cell:N"),
        base.mark_point(filled=True, size=SIZE - 20, opacity=1).encode(y=y, tooltip=shown, **looks),
    )
    how = (
        "Decisions binned by what their belief promised; calibrated ones lie on the dashed line. "
        "Bars: ± one standard error."
    )
    return Chart("Calibration", how + note, layers)
