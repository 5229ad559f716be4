"""Quality of random actions, cached between processes.

Every gain is compared with that of random actions in the same world, and judging them costs as much
as judging anything else. A cached result is the same to the last bit: its name holds everything
that it depends on, the number of runs judged together included. A world or model with the user's
code or data has no name, and its baseline is judged each time.

See also: ../engine/result_index.py for the baselines in a store.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from ...loop.core.program_cache import cache_file_name, cache_folder, read_checked, write_checked
from ...loop.core.step import Agent
from .experiment import Cell

Runs = dict[str, Any]


def recall_baseline(
    cell: Cell, agent: Agent, world_name: str | None, asked: str, judge: Callable[[], Runs]
) -> Runs:
    """Return a baseline from the cache, or judge it and cache it.

    cell: cached only if its actions are random.
    agent: of the cell.
    world_name: that determines the world; None for a user's own.
    asked: runs and measures, as text.
    judge: measures the cell.
    Returns: measures by name.
    """
    known = cache_folder()
    if not cell.is_baseline or known is None or not (agent.name and world_name):
        return judge()
    # Sums are taken in another order on several threads, which workers have not.
    flags = os.environ.get("XLA_FLAGS", "")
    name = f"quality {agent.name} in {world_name} {cell.steps} {cell.seed} {asked} {flags}"
    path = known.with_name("random") / cache_file_name(name)
    # Missing, cut short or of another format: it can be judged again.
    with contextlib.suppress(OSError, ValueError, EOFError, KeyError):
        return dict(np.load(io.BytesIO(read_checked(path)), allow_pickle=False))
    runs = judge()
    body = io.BytesIO()
    np.savez(body, **runs)
    with contextlib.suppress(OSError):
        write_checked(path, body.getvalue())
    return runs
