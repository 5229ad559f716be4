"""Steps of judged runs that are taken again by the live calls: which, and what is kept of them.

Gain is judged on runs that are rolled out together, latency on live ones. Whole histories cannot be
compared: rounding differs between the two, and iterative methods make ten times more of it at every
event. One step from the same state can be.

See also: live_steps.py for taking them again.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import numpy as np

from ....loop.core.rollout import Trace
from ....loop.core.step import Agent, build_step

CHECKED = 4
"""Runs of a cell, the first ones, whose steps are taken again."""
BLOCKS = (8, 4, 4)
"""Steps in a row at the start, in the middle and at the end of a run."""
ROOM = 64 * 2**20
"""Bytes that the states of a batch of runs may take while they are rolled out."""
WIDTH = 8
"""Runs in a batch, as `roll_out` has them."""
PREFIX = "judged."
"""Begins the names of the arrays among measures of a cell's quality."""


class JudgedSteps(NamedTuple):
    """Steps of judged runs, `[N, M, ...]` of N runs and M steps."""

    number: np.ndarray
    """`[N, M]` events learnt before."""
    run: np.ndarray
    """`[N, M]` number of the run."""
    before: tuple[np.ndarray, ...]
    """Packed states before the decision."""
    after: tuple[np.ndarray, ...]
    """Packed states after the event was learnt."""
    context: np.ndarray
    features: np.ndarray
    """`[N, M, A, size]` candidates."""
    action: np.ndarray
    observation: np.ndarray


def choose_steps(agent: Agent, steps: int) -> tuple[int, ...]:
    """Choose the steps of a run that are taken again.

    agent: whose states are kept.
    steps: T.
    Returns: the numbers of events before each, in order; fewer, or none, where states are large.
    """
    state = jax.eval_shape(build_step(agent).init, jax.random.key(0))
    size = sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(state))
    most = ROOM // (WIDTH * max(size, 1)) - 1
    starts = 0, steps // 2, steps
    blocks = [BLOCKS[0], BLOCKS[1], BLOCKS[2]]
    first = range(blocks[0])
    middle = range(starts[1], starts[1] + blocks[1])
    last = range(steps - blocks[2], steps)
    wanted = sorted({n for part in (first, last, middle) for n in part if 0 <= n < steps})
    while wanted and len(_kept(wanted)) > most:
        wanted = wanted[:-1] if len(wanted) % 2 else wanted[1:]
    return tuple(wanted)


def states_to_keep(chosen: tuple[int, ...]) -> tuple[int, ...]:
    """Return the numbers of events after which a state is kept, before and after each step.

    chosen: as `choose_steps` returns them.
    """
    return tuple(_kept(chosen))


def _kept(chosen: Any) -> list[int]:
    return sorted({n + more for n in chosen for more in (0, 1)})


def keep_steps(trace: Trace, chosen: tuple[int, ...], first: int) -> dict[str, np.ndarray]:
    """Take the steps of the first runs out of a trace, as measures by name.

    trace: with the states kept.
    chosen: numbers of the steps.
    first: number of the first run.
    Returns: arrays by name, one row for each run whose steps are taken again.
    """
    count = max(0, min(len(trace.action), CHECKED - first))
    if not chosen:
        return {}
    rows, kept = slice(0, count), states_to_keep(chosen)
    at = [kept.index(n) for n in chosen]
    after = [kept.index(n + 1) for n in chosen]
    found = {f"before.{i}": part[rows][:, at] for i, part in enumerate(trace.kept)}
    found |= {f"after.{i}": part[rows][:, after] for i, part in enumerate(trace.kept)}
    for name in ("context", "features", "action", "observation"):
        found[name] = getattr(trace, name)[rows][:, list(chosen)]
    found["number"] = np.tile(np.asarray(chosen), (count, 1))
    found["run"] = np.tile(first + np.arange(count)[:, None], (1, len(chosen)))
    return {PREFIX + name: np.ascontiguousarray(part) for name, part in found.items()}


def take_steps(runs: dict[str, Any]) -> JudgedSteps | None:
    """Take the steps out of a cell's measures, in which they have no place.

    runs: measures by name; the steps are removed.
    Returns: the steps; None if there are none.
    """
    mine = {name: runs.pop(name) for name in list(runs) if name.startswith(PREFIX)}
    found = {name.removeprefix(PREFIX): part for name, part in mine.items()}
    if not found or not found["number"].size:
        return None

    def packed(part: str) -> tuple[np.ndarray, ...]:
        names = [name for name in found if name.startswith(part + ".")]
        return tuple(found.pop(name) for name in sorted(names, key=lambda n: int(n.split(".")[1])))

    return JudgedSteps(before=packed("before"), after=packed("after"), **found)
