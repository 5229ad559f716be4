"""What agents compile, built once for cells of one shape and let go of when another's turn comes.

An agent's programs take some 40 MB, so a sweep cannot hold all of its own; loading them anew costs
as much as a small cell. Not here: the folder that keeps programs between processes
(loop/kept.py), or the judge's programs, which all cells share and nobody lets go of.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable

from ...posteriors import registry
from ..loop.live import build_decide, build_learn, build_live
from ..loop.rollout import build_rollout, compiled
from ..loop.thinking import build_think
from .calibration import compiled_ranks
from .experiment import Cell, shape_of
from .joint import compiled_divergence
from .quality import built

_held: Cell | None = None
"""The shape of the cells that this process worked at last."""


def by_shape(cells: Iterable[Cell]) -> list[Cell]:
    """The same cells, those of one shape after each other where the first of them was."""
    found: dict[Cell, list[Cell]] = {}
    for cell in cells:
        found.setdefault(shape_of(cell), []).append(cell)
    return [cell for some in found.values() for cell in some]


def hold(cell: Cell) -> None:
    """Make room for a cell's programs, unless those that are held are of its shape."""
    global _held
    shape = shape_of(cell)
    if shape != _held:
        forget()
        _held = shape


def forget() -> None:
    """Let go of agents and their programs, but not of the judge's."""
    caches = (
        built, build_rollout, compiled, build_live, build_learn, build_decide, build_think,
        compiled_divergence, compiled_ranks, registry._build,
    )  # fmt: skip
    for cache in caches:
        cache.cache_clear()
    gc.collect()
