"""What charts of a report are made of: colours and shapes, points, tooltips, axes.

Not here: the charts (report_charts.py, report_runs.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import altair as alt

from .cell import TIPS, Cell
from .data import MANY, Section

HEIGHT = 280
ROW = 19
"""Pixels of a cell in a chart with a row each."""
SIZE = 90
"""Of a point, in square pixels."""
GUIDE = "#8A8A8A"
"""Of lines to compare with; seen on white and on black."""
Points = list[dict[str, Any]]


@dataclass(frozen=True)
class Chart:
    """A chart of layers with its title, what is said under that, and its height in pixels.

    rows: whether it has a row for each cell, whose labels take room.
    """

    title: str
    note: str
    layers: tuple[alt.Chart, ...]
    height: int = HEIGHT
    rows: bool = False

    def sized(self, width: int | Literal["container"]) -> alt.LayerChart:
        """As wide as asked, in pixels or as what it is in."""
        return alt.LayerChart(layer=list(self.layers), width=width, height=self.height)


def looked(section: Section, points: Points) -> dict[str, Any]:
    """Colour and shape of series, the same in all charts of a section, whose legends differ."""
    names = list(section.series)
    drawn = {one["series"] for one in points}
    colours, shapes = zip(*section.series.values(), strict=True)
    legend = alt.Legend(symbolOpacity=1, values=[name for name in names if name in drawn])
    colour, shape = (alt.Scale(domain=names, range=list(r)) for r in (colours, shapes))
    return {
        "color": alt.Color("series:N", title=None, scale=colour, legend=legend),
        "shape": alt.Shape("series:N", title=None, scale=shape, legend=legend),
    }


def logarithmic(field: str, title: str, low: float, high: float) -> alt.X:
    """A logarithmic axis a little longer than its values, labelled at 1, 2 and 5 of a decade."""
    low, high = low / 1.25, high * 1.25
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [float(f"{digit}e{n}") for n in decades for digit in (1, 2, 5)]
    inside = [tick for tick in ticks if low <= tick <= high]
    axis = alt.Axis(values=inside, format="~g") if inside else alt.Axis(format="~g")
    scale = alt.Scale(type="log", domain=[low, high], nice=False)
    return alt.X(f"{field}:Q", title=title, scale=scale, axis=axis)


def tips(*more: tuple[str, str]) -> list[alt.Tooltip]:
    """The configuration on hovering, and what this chart is about."""
    fields = [("cell", "cell"), *more, *TIPS.items()]
    return [alt.Tooltip(f"{name}:N", title=title) for name, title in fields]


def point(cell: Cell, x: Any, y: tuple[float, float], **more: Any) -> dict[str, Any]:
    mean, se = y
    return cell.tip | {
        "x": x, "y": mean, "low": mean - se, "high": mean + se, "value": f"{mean:.3g} ± {se:.2g}",
    } | more  # fmt: skip


def values(points: Points) -> alt.InlineData:
    """Data that layers share: the library writes each set once."""
    return alt.InlineData(values=points)


def length_first(number: str) -> tuple[int, str]:
    """Sorts numbers that are texts."""
    return len(number), number


def tall(rows: int, row: int = ROW) -> int:
    """Pixels of a chart with a row each; few rows still leave room for a legend."""
    return row * max(rows, 2)


def cut(count: int) -> str:
    """What a chart of so many cells leaves out."""
    return f" The best {MANY} of {count} cells; the table has all." if count > MANY else ""
