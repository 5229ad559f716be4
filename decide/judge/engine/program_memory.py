"""Compiled programs of agents, kept for cells of one shape and dropped before the next shape.

An agent's programs take some 40 MB, so a sweep cannot keep all of its own; loading them anew costs
as much as a small cell. The judge's programs, which all cells share, are never dropped.

See also: decide/loop/core/program_cache.py for programs on disk.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable

from ....posteriors import registry
from ...loop.core.compiled import build_decide, build_learn, build_live
from ...loop.core.rollout import build_rollout, compiled_rollout
from ...loop.server.background_refine import build_background_refine
from ..measures.experiment import Cell, shape_of
from ..measures.joint import compile_divergence
from ..measures.quality import build_cell
from ..measures.rank_runs import compile_ranks

_held: Cell | None = None
"""Shape of the cells that this process computed last."""


def sort_by_shape(cells: Iterable[Cell]) -> list[Cell]:
    """Put cells of one shape after each other, where the first of them was.

    cells: in order.
    Returns: the same cells.
    """
    groups: dict[Cell, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(shape_of(cell), []).append(cell)
    return [cell for group in groups.values() for cell in group]


def hold_programs(cell: Cell) -> None:
    """Drop the programs held, unless they are of the shape of a cell.

    cell: the cell to be computed next.
    """
    global _held
    shape = shape_of(cell)
    if shape != _held:
        forget_programs()
        _held = shape


def forget_programs() -> None:
    """Drop agents and their programs, but not those of the judge."""
    caches = (
        build_cell, build_rollout, compiled_rollout, build_live, build_learn, build_decide,
        build_background_refine, compile_divergence, compile_ranks, registry._build,
    )  # fmt: skip
    for cache in caches:
        cache.cache_clear()
    gc.collect()
