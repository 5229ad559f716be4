"""What a report shows, cell by cell: its name in its world, its series, what a reader hovers over.

Not here: drawing (report_charts.py, report_runs.py), or the page (report_page.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ...decide.judge.records.record import mark_frontier, worth
from ..tables.bench_table import RANDOM
from ..tables.results import Result, Row
from .cell import Cell
from .labels import label_cells

SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#B8A800")
"""Colours that colour-blind readers tell apart (Okabe and Ito 2008), on white and on black: their
yellow is darker here, and their black stands for random actions, in grey."""
SHAPES = (
    "square", "triangle-up", "diamond", "cross", "triangle-down", "circle", "triangle-right",
    "triangle-left",
)  # fmt: skip
GREY = "#8A8A8A"
"""Of random actions."""
MANY = 40
"""Cells that one chart with a line for each can show."""
FEW = 6
"""Curves that can be told apart in one chart."""


@dataclass
class Section:
    """The cells of one world and length. series: name -> (colour, shape), in order of the cells."""

    title: str
    cells: list[Cell]
    series: dict[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def rows(self) -> list[Row]:
        return [cell.record for cell in self.cells]

    @property
    def labels(self) -> list[str]:
        return [cell.label for cell in self.cells]

    def leading(self) -> list[Cell]:
        """All cells if they are few, else the best of each series."""
        if len(self.cells) <= FEW:
            return self.cells
        best: dict[str, Cell] = {}
        for cell in self.cells:
            rival = best.get(cell.series)
            if rival is None or _rank(cell) > _rank(rival):
                best[cell.series] = cell
        return list(best.values())


def best(cells: list[Cell]) -> list[Cell]:
    """As many as one chart can show with a row each, in their order."""
    kept = {id(cell) for cell in sorted(cells, key=_rank, reverse=True)[:MANY]}
    return [cell for cell in cells if id(cell) in kept]


def _rank(cell: Cell) -> float:
    """What is better is higher; what was not measured is last."""

    value = worth(cell.record)
    return -math.inf if value is None or math.isnan(value) else value


def sections(results: Iterable[Result]) -> list[Section]:
    """Results by world and length, in their order, named and with the frontier marked."""

    results = list(results)
    mark_frontier([result.record for result in results])
    grouped: dict[tuple[str, int], list[Cell]] = {}
    for result in results:
        key = result.record["world"], result.record["steps"]
        grouped.setdefault(key, []).append(Cell(result))
    made = []
    for (world, steps), cells in grouped.items():
        label_cells(cells)
        names = dict.fromkeys(cell.series for cell in cells)
        made.append(Section(f"{world}, {steps} steps", cells, looks(list(names))))
    return made


def looks(names: list[str]) -> dict[str, tuple[str, str]]:
    """A pair of colour and shape each; both repeat, but no pair does among 56."""
    found = {
        name: (SERIES[at % len(SERIES)], SHAPES[at % len(SHAPES)])
        for at, name in enumerate(name for name in names if name != RANDOM)
    }
    return found | ({RANDOM: (GREY, "circle")} if RANDOM in names else {})


def estimate(found: Any) -> tuple[float, float] | None:
    """Mean and standard error, None where there is no finite mean."""
    if not found or found.get("mean") is None or not math.isfinite(found["mean"]):
        return None
    se = found.get("se")
    return found["mean"], se if se and math.isfinite(se) else 0.0
