"""Parts of the charts of a report: colours and shapes, points, tooltips, axes.

See also: charts.py and runs.py for the charts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import altair as alt

from .cell import TIPS, Cell
from .data import MANY, Section

HEIGHT = 280
"""Pixels of a chart."""
ROW = 19
"""Pixels of a cell in a chart with a row each."""
SIZE = 90
"""Square pixels of a point."""
GUIDE = "#8A8A8A"
"""Colour of lines to compare with; visible on white and on black."""
Points = list[dict[str, Any]]


@dataclass(frozen=True)
class Chart:
    """A chart of layers.

    title: heading.
    note: explanation below the title.
    layers: drawn over each other.
    height: pixels.
    rows: whether it has a row for each cell, whose labels take room.
    """

    title: str
    note: str
    layers: tuple[alt.Chart, ...]
    height: int = HEIGHT
    rows: bool = False

    def with_width(self, width: int | Literal["container"]) -> alt.LayerChart:
        """Return the layers in one chart of this width.

        width: pixels, or `container` for the width of the box around it.
        """
        return alt.LayerChart(layer=list(self.layers), width=width, height=self.height)


def encode_series(section: Section, points: Points) -> dict[str, Any]:
    """Return colour and shape by series, the same in all charts of a section.

    section: with all its series.
    points: of this chart; the legend lists only their series.
    """
    names = list(section.series)
    drawn = {one["series"] for one in points}
    colours, shapes = zip(*section.series.values(), strict=True)
    legend = alt.Legend(symbolOpacity=1, values=[name for name in names if name in drawn])
    colour, shape = (alt.Scale(domain=names, range=list(r)) for r in (colours, shapes))
    return {
        "color": alt.Color("series:N", title=None, scale=colour, legend=legend),
        "shape": alt.Shape("series:N", title=None, scale=shape, legend=legend),
    }


def logarithmic_axis(field: str, title: str, low: float, high: float) -> alt.X:
    """Return a logarithmic horizontal axis labelled at 1, 2 and 5 of a decade.

    field: name of the values in the data.
    title: of the axis.
    low, high: smallest and largest value; the axis is a little longer.
    """
    low, high = low / 1.25, high * 1.25
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [float(f"{digit}e{n}") for n in decades for digit in (1, 2, 5)]
    inside = [tick for tick in ticks if low <= tick <= high]
    axis = alt.Axis(values=inside, format="~g") if inside else alt.Axis(format="~g")
    scale = alt.Scale(type="log", domain=[low, high], nice=False)
    return alt.X(f"{field}:Q", title=title, scale=scale, axis=axis)


def list_tooltips(*more: tuple[str, str]) -> list[alt.Tooltip]:
    """Return the lines of a tooltip: cell, further lines, configuration.

    more: pairs of a field of the data and its title.
    """
    fields = [("cell", "cell"), *more, *TIPS.items()]
    return [alt.Tooltip(f"{name}:N", title=title) for name, title in fields]


def chart_point(cell: Cell, x: Any, y: tuple[float, float], **more: Any) -> dict[str, Any]:
    """Return a point with error bar and tooltip.

    cell: with its names.
    x: horizontal value.
    y: mean and standard error.
    more: further fields.
    """
    mean, se = y
    return cell.tip | {
        "x": x, "y": mean, "low": mean - se, "high": mean + se, "value": f"{mean:.3g} ± {se:.2g}",
    } | more  # fmt: skip


def chart_data(points: Points) -> alt.InlineData:
    """Return data for layers; the library writes data shared by several layers once.

    points: rows of the data.
    """
    return alt.InlineData(values=points)


def number_order(number: str) -> tuple[int, str]:
    """Return a key that sorts whole numbers given as texts.

    number: its digits.
    """
    return len(number), number


def chart_height(rows: int, row: int = ROW) -> int:
    """Return the pixels of a chart with a row for each cell, with room for a legend.

    rows: number of rows.
    row: pixels of one.
    """
    return row * max(rows, 2)


def cut_note(count: int) -> str:
    """Return a sentence on the cells that a chart leaves out, or nothing.

    count: number of cells.
    """
    return f" The best {MANY} of {count} cells; the table has all." if count > MANY else ""
