"""What random actions were worth, remembered between processes.

Every gain is compared with that of random actions in the same world, and judging them costs as much
as judging anything else; over a shell loop they would be judged anew each time. Numbers are the
same to the last bit whether remembered or not: they are known by everything that they depend on,
the share of the runs that was judged at once included. A world or model with the user's code or
data in it has no name and is judged each time. Not here: anything but random actions, and what a
sweep keeps of them in its store (ledger.py).
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from ..loop.kept import folder, place_of, read, write
from ..loop.step import Agent
from .experiment import Cell

Runs = dict[str, Any]


def remembered(
    cell: Cell, agent: Agent, world_name: str | None, asked: str, judge: Callable[[], Runs]
) -> Runs:
    """What `judge()` finds, remembered where the cell takes random actions.

    asked: which runs, and all that is asked of them.
    """
    known = folder()
    if cell.rule != "random" or known is None or not (agent.name and world_name):
        return judge()
    # Sums are taken in another order on several threads, which workers have not.
    flags = os.environ.get("XLA_FLAGS", "")
    name = f"quality {agent.name} in {world_name} {cell.steps} {cell.seed} {asked} {flags}"
    path = known.with_name("random") / place_of(name)
    # Missing, cut short or of another format: it can be judged again.
    with contextlib.suppress(OSError, ValueError, EOFError, KeyError):
        return dict(np.load(io.BytesIO(read(path)), allow_pickle=False))
    runs = judge()
    body = io.BytesIO()
    np.savez(body, **runs)
    with contextlib.suppress(OSError):
        write(path, body.getvalue())
    return runs
