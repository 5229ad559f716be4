"""Charts of records: the frontier, gain against S and k, and a dot for each cell.

See also: runs.py for charts of single runs, which need a store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import altair as alt

from ...decide.judge.records.record import Calibration, Record, Regret
from ...posteriors.units import MS_PER_S
from ..tables.format_values import field_of, joint_predictions
from .cell import Cell
from .data import Section, finite_estimate, finite_mean, select_best
from .parts import (  # fmt: skip
    GUIDE,
    SIZE,
    Chart,
    Points,
    chart_data,
    chart_height,
    chart_point,
    cut_note,
    encode_series,
    list_tooltips,
    logarithmic_axis,
    number_order,
)


def draw_record_charts(section: Section) -> Iterator[Chart]:
    """Yield every chart for which a section has data.

    section: cells of one world and length.
    """
    made = [
        _frontier(section),
        _against(section, "particles", "S", lambda cell: cell.line),
        _against(section, "refine", "k", lambda cell: cell.curve),
        _dots(section, "Fidelity", "share of the best gain", 1.0,
             "Of the best action's gain on shared histories, the share that the choice has.",
             lambda row: finite_mean(row.fidelity)),
        _dots(section, "Promised, less what it got", "predicted − realised, nats a decision", 0.0,
             "Right of the dashed line the belief promised more gain than there was.",
             lambda row: _optimism(row.calibration)),
        _dots(section, "Regret", "% of uniform choice's", 0.0,
             "Lower is better; choosing uniformly is 100.",
             lambda row: _share(row.regret)),
    ]  # fmt: skip
    taus = dict.fromkeys(one.tau for row in section.rows for one in joint_predictions(row))
    for tau in taus:
        made.append(
            _dots(section, f"Joint prediction of {tau}", "KL, nats a block", 0.0,
                 "Divergence from the truth's own prediction; lower is better.",
                 lambda row, tau=tau: _divergence(row, tau))
        )  # fmt: skip
    yield from (one for one in made if one is not None)


def _optimism(found: Calibration | None) -> tuple[float, float] | None:
    return None if found is None else finite_estimate(-found.bias, found.se)


def _divergence(row: Record, tau: int) -> tuple[float, float] | None:
    found = next((one for one in joint_predictions(row) if one.tau == tau), None)
    return None if found is None else finite_estimate(found.kl, found.se)


def _share(found: Regret | None) -> tuple[float, float] | None:
    if found is None:
        return None
    return finite_estimate(found.percent_of_uniform, found.percent_se)


def _above(row: Record) -> tuple[float, float] | None:
    return finite_mean(field_of(row, "gain.above_random"))


def _total(row: Record) -> tuple[float, float] | None:
    return finite_mean(field_of(row, "gain.lower"))


def _frontier(section: Section) -> Chart | None:
    """Draw latency against gain above random, or regret where no gain was measured."""
    gains = any(_above(row) for row in section.rows)
    measure = _above if gains else lambda row: _share(row.regret)
    points = [
        chart_point(
            cell,
            MS_PER_S * total.p99,
            found,
            front=cell.record.frontier,
        )
        for cell in section.cells
        if not cell.random and (total := cell.record.total) and (found := measure(cell.record))
    ]
    if not points:
        return None
    times = [one["x"] for one in points]
    x = logarithmic_axis("x", "decide + learn p99, ms", min(times), max(times))
    label = "gain above random, nats" if gains else "regret, % of uniform choice's"
    y = alt.Y("y:Q", title=label)
    edge = sorted((one for one in points if one["front"]), key=lambda one: one["x"])
    looks = encode_series(section, points)
    base = alt.Chart(chart_data(points)).encode(x=x)
    layers = (
        alt.Chart(chart_data(edge))
        .mark_line(interpolate="step-after", color=GUIDE, strokeDash=[5, 3])
        .encode(x=x, y=y),
        base.mark_rule(strokeWidth=1.5).encode(
            y=alt.Y("low:Q", title=label), y2="high:Q", color=looks["color"]
        ),
        base.mark_point(filled=True, size=SIZE, opacity=1).encode(
            y=y, tooltip=list_tooltips(("value", label)), **looks
        ),
    )
    better = "up and to the left" if gains else "down and to the left"
    note = f"Better is {better}; the dashed line joins what nothing else beats. Bars: ± one "
    return Chart("Frontier", note + "standard error.", layers)


def _against(
    section: Section, knob: str, letter: str, line_of: Callable[[Cell], str]
) -> Chart | None:
    """Draw gain, or regret, against S or k: a line for cells that differ in nothing else."""
    other, held_letter = ("refine", "k") if letter == "S" else ("particles", "S")
    gains = any(_total(row) for row in section.rows)
    measure = _total if gains else lambda row: _share(row.regret)
    lines: dict[str, Points] = {}
    for cell in section.cells:
        size, found = getattr(cell.record, knob), measure(cell.record)
        if knob == "refine":
            size += cell.record.think
        if size is not None and found and not cell.random:
            name = line_of(cell)
            at = getattr(cell.record, other)
            held = "–" if at is None else str(at)
            lines.setdefault(name, []).append(chart_point(cell, size, found, line=name, held=held))
    points = [
        one
        for line in lines.values()
        if len({one["x"] for one in line}) > 1
        for one in sorted(line, key=lambda one: one["x"])
    ]
    if not points:
        return None
    sizes = sorted({one["x"] for one in points})
    scale = alt.Scale(type="log", base=2) if knob == "particles" else alt.Scale(type="symlog")
    scale.domain, scale.nice = [sizes[0], sizes[-1]], False
    scale.padding = 16
    title = {"particles": "S, draws of belief", "refine": "k, refine steps an event"}[knob]
    axis = alt.Axis(values=sizes, format="d", labelOverlap="greedy", grid=False)
    x = alt.X("x:Q", title=title, scale=scale, axis=axis)
    label = "gain (lower bound unless exact), nats" if gains else "regret, % of uniform choice's"
    looks = encode_series(section, points)
    held = {one["held"] for one in points}
    dash = alt.StrokeDash(
        "held:N", title=held_letter, sort=sorted(held, key=number_order),
        legend=alt.Legend(orient="top", columns=5, symbolStrokeColor=GUIDE, symbolType="stroke")
        if len(held) > 1 else None,
    )  # fmt: skip
    base = alt.Chart(chart_data(points)).encode(x=x)
    y = alt.Y("y:Q", title=label).scale(zero=False)
    layers = (
        base.mark_line(opacity=0.75).encode(
            y=y, color=looks["color"], detail="line:N", strokeDash=dash
        ),
        base.mark_rule(strokeWidth=1.5).encode(
            y=alt.Y("low:Q", title=label), y2="high:Q", color=looks["color"]
        ),
        base.mark_point(filled=True, size=SIZE, opacity=1).encode(
            y=y, tooltip=list_tooltips(("value", label)), **looks
        ),
    )
    measured = "Gain" if gains else "Regret"
    note = "A line joins cells that are otherwise alike. Bars: ± one standard error."
    return Chart(f"{measured} against {letter}", note, layers)


def _dots(
    section: Section,
    title: str,
    label: str,
    ideal: float,
    note: str,
    measure: Callable[[Any], tuple[float, float] | None],
) -> Chart | None:
    """Draw a row a cell with its mean and error, and a line at the ideal."""
    found = {id(cell): value for cell in section.cells if (value := measure(cell.record))}
    if not found:
        return None
    shown = select_best([cell for cell in section.cells if id(cell) in found])
    points = [chart_point(cell, 0, found[id(cell)]) for cell in shown]
    looks = encode_series(section, points)
    y = alt.Y("cell:N", title=None, sort=None, axis=alt.Axis(grid=True))
    base = alt.Chart(chart_data(points)).encode(y=y)
    layers = (
        alt.Chart(chart_data([{"ideal": ideal}])).mark_rule(color=GUIDE, strokeDash=[5, 3])
        .encode(x=alt.X("ideal:Q", title=label)),
        base.mark_rule(strokeWidth=1.5)
        .encode(x=alt.X("low:Q", title=label), x2="high:Q", color=looks["color"]),
        base.mark_point(filled=True, size=SIZE, opacity=1)
        .encode(x=alt.X("y:Q", title=label), tooltip=list_tooltips(("value", label)), **looks),
    )  # fmt: skip
    note += " Bars: ± one standard error." + cut_note(len(found))
    return Chart(title, note, layers, chart_height(len(points)), rows=True)
