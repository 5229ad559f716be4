"""Sections of a report: results of one world and length, with names and colours.

See also: charts.py and runs.py for drawing, page.py for the page.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from ...decide.judge.records.mark_frontier import mark_frontier, worth
from ...decide.judge.records.record import Mean, Record
from ..tables.format_values import RANDOM
from ..tables.results import Result
from .cell import Cell
from .labels import label_cells

SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#B8A800")
"""Colours that colour-blind readers tell apart (Okabe and Ito 2008), on white and on black; their
yellow is darker here, and their black is replaced by grey, for random actions."""
SHAPES = (
    "square", "triangle-up", "diamond", "cross", "triangle-down", "circle", "triangle-right",
    "triangle-left",
)  # fmt: skip
GREY = "#8A8A8A"
"""Colour of random actions."""
MANY = 40
"""Largest number of cells in a chart with a line for each."""
FEW = 6
"""Largest number of curves in one chart."""


@dataclass
class Section:
    """Cells of one world and length.

    title: heading.
    cells: in the order of the results.
    series: colour and shape by name, in the order of the cells.
    """

    title: str
    cells: list[Cell]
    series: dict[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def rows(self) -> list[Record]:
        """Records of the cells."""
        return [cell.record for cell in self.cells]

    @property
    def labels(self) -> list[str]:
        """Names of the cells."""
        return [cell.label for cell in self.cells]

    def best_of_series(self) -> list[Cell]:
        """Return all cells if they are few, else the best of each series."""
        if len(self.cells) <= FEW:
            return self.cells
        best: dict[str, Cell] = {}
        for cell in self.cells:
            rival = best.get(cell.series)
            if rival is None or _rank(cell) > _rank(rival):
                best[cell.series] = cell
        return list(best.values())


def select_best(cells: list[Cell]) -> list[Cell]:
    """Return the best cells, as many as one chart can show with a row each.

    cells: in the order that is kept.
    """
    kept = {id(cell) for cell in sorted(cells, key=_rank, reverse=True)[:MANY]}
    return [cell for cell in cells if id(cell) in kept]


def _rank(cell: Cell) -> float:
    """Return a number that is higher for better cells and -inf without a measure."""
    value = worth(cell.record)
    return -math.inf if value is None or math.isnan(value) else value


def group_sections(results: Iterable[Result]) -> list[Section]:
    """Group results by world and length, name their cells and mark the frontier.

    results: in the order that is kept.
    """
    results = list(results)
    mark_frontier([result.record for result in results])
    grouped: dict[tuple[str, int], list[Cell]] = {}
    for result in results:
        key = result.record.world, result.record.steps
        grouped.setdefault(key, []).append(Cell(result))
    made = []
    for (world, steps), cells in grouped.items():
        label_cells(cells)
        names = dict.fromkeys(cell.series for cell in cells)
        made.append(Section(f"{world}, {steps} steps", cells, assign_looks(list(names))))
    return made


def assign_looks(names: list[str]) -> dict[str, tuple[str, str]]:
    """Give every series a colour and a shape; no pair repeats among the first 56.

    names: of the series.
    """
    found = {
        name: (SERIES[at % len(SERIES)], SHAPES[at % len(SHAPES)])
        for at, name in enumerate(name for name in names if name != RANDOM)
    }
    return found | ({RANDOM: (GREY, "circle")} if RANDOM in names else {})


def finite_estimate(mean: float, se: float | None) -> tuple[float, float] | None:
    """Return an estimate and its standard error, 0 where that is unknown; None if it is no number.

    mean, se: of the estimate.
    """
    if not math.isfinite(mean):
        return None
    return mean, se if se and math.isfinite(se) else 0.0


def finite_mean(found: Mean | None) -> tuple[float, float] | None:
    """Return a mean and its standard error; None without a finite mean.

    found: the mean, if it was measured.
    """
    return None if found is None else finite_estimate(found.mean, found.se)
