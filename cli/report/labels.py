"""Names of cells in charts: short, yet unique in their world.

See also: data.py for colours and shapes.
"""

from __future__ import annotations

from typing import Any

from ..tables.format_values import RANDOM
from ..tables.format_values import format_refine as moves_of
from .cell import Cell


def label_cells(cells: list[Cell]) -> None:
    """Set the names of cells to the settings in which they differ from others of their world.

    cells: of one world and length; their `label`, `series`, `line` and `curve` are set.
    """
    specs = {cell.record.posterior for cell in cells if not cell.random}
    bare = [spec.partition(":")[0] for spec in specs]
    rules = {cell.record.rule for cell in cells if not cell.random}
    for cell in cells:
        row = cell.record
        short = row.posterior.partition(":")[0]
        named = short if bare.count(short) <= 1 else row.posterior
        if cell.random:
            # Its belief has no use.
            cell.series = cell.label = cell.line = cell.curve = RANDOM
            continue
        cell.series = f"{named} {row.rule}" if len(rules) > 1 else named
        draws = f" S={row.particles}" if row.particles else ""
        moves = f" k={moves_of(row)}"
        cell.label = cell.series + draws + moves
        cell.line, cell.curve = cell.series + moves, cell.series + draws
    for others in _by_label(cells):
        fields = [
            key
            for key in ("model", "proposer", "candidates", "explore", "seed", "seeds")
            if len({cell.record.config.get(key) for cell in others}) > 1
        ]
        kept = {key: _differing([cell.record.config.get(key) for cell in others]) for key in fields}
        for number, cell in enumerate(others):
            rest = "".join(f" {_setting_text(key, some[number])}" for key, some in kept.items())
            cell.label, cell.line, cell.curve = (
                text + rest for text in (cell.label, cell.line, cell.curve)
            )
    for others in _by_label(cells):
        for number, cell in enumerate(others, 1):
            cell.label += f" #{number}"


def _differing(values: list[Any]) -> list[str]:
    """Return the parts of specs that not all have in common; other values whole."""
    parts = [str(value).split(":") for value in values]
    common = set(parts[0]).intersection(*parts[1:])
    return [":".join(part for part in some if part not in common) for some in parts]


def _setting_text(key: str, value: str) -> str:
    """Return a setting in a label; options of a spec already hold their name."""
    return value if "=" in value else f"{key}={value or '…'}"


def _by_label(cells: list[Cell]) -> list[list[Cell]]:
    """Group the cells that share a label with others."""
    found: dict[str, list[Cell]] = {}
    for cell in cells:
        found.setdefault(cell.label, []).append(cell)
    return [some for some in found.values() if len(some) > 1]
