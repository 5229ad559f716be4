"""What a worker of a cluster does with one cell: quality, latency, and keeping both in the store.

Nothing but the record goes back. Not here: handing cells out, or trying again (cluster.py).
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from ...posteriors.base import UsageError
from ...streams.store import Store
from .bench import baseline_of, timed, wanted_of
from .crew import configure
from .experiment import Cell, Experiment
from .failing import Failed, explained
from .groups import live_arrays
from .ledger import Finished, Ledger
from .programs import hold
from .quality import quality
from .turns import alone, busy


@dataclass(frozen=True)
class Task:
    """What all cells of a sweep have in common.

    place: of the store, absolute or a URL. folder: where relative paths in specs begin. paths: of
    imports. cache: of compiled programs. workers: cells at once. turns: whether workers share
    their machine with nobody but each other, and so wait for each other before timing.
    """

    place: str
    experiment: Experiment
    folder: str
    paths: tuple[str, ...]
    cache: str | None
    x64: bool
    workers: int
    turns: bool


class Kept(NamedTuple):
    """A cell in the store. record: None where it was there before, or is random actions."""

    record: dict[str, Any] | None
    seconds: float
    host: str


class Unlike(NamedTuple):
    """A worker whose results would be others than those asked for, and why."""

    error: str


def work(
    task: Task, cell: Cell, identity: dict[str, Any], is_baseline: bool
) -> Kept | Failed | Unlike:
    """Judge a cell, or random actions, and keep it under the identity that was asked for."""
    try:
        settle(task.folder, task.paths, task.cache, task.x64)
        hold(cell)
        ledger = Ledger(Store(task.place), task.experiment)
        if unlike := differences(identity, ledger.identity(cell, is_baseline)):
            return Unlike(f"worker on {platform.node()} is not like this machine: {unlike}")
        judge = judge_baseline if is_baseline else judge_cell
        return judge(task, cell, ledger)
    except Exception as error:  # a user's code may fail in any way at all
        return Failed(cell, explained(error, cell))


def judge_baseline(task: Task, cell: Cell, ledger: Ledger) -> Kept:
    """Quality of random actions, which other cells are compared with."""
    began = time.perf_counter()
    if ledger.baseline(cell) is None:
        with busy() if task.turns else nullcontext():
            runs = quality(cell, 0, cell.seeds, wanted_of(task.experiment))
        ledger.keep_baseline(cell, runs)
    return Kept(None, time.perf_counter() - began, platform.node())


def judge_cell(task: Task, cell: Cell, ledger: Ledger) -> Kept:
    """Quality and latency of a cell that the store does not hold yet."""
    if ledger.done(cell):
        return Kept(None, 0.0, platform.node())
    began = time.perf_counter()
    runs = None
    if task.experiment.deadline is None:
        with busy() if task.turns else nullcontext():
            runs = quality(cell, 0, cell.seeds, wanted_of(task.experiment))
    own = cell.rule == "random" and runs is not None
    baseline = runs if own else ledger.baseline(baseline_of(cell))
    with alone() if task.turns and task.experiment.timed else nullcontext():
        record, judged, lived = timed(cell, runs, baseline, task.experiment, task.workers)
    seconds = time.perf_counter() - began
    ledger.keep(Finished(cell, record, judged | live_arrays(lived), seconds))
    return Kept(record, seconds, platform.node())


@lru_cache(maxsize=1)
def settle(folder: str, paths: tuple[str, ...], cache: str | None, x64: bool) -> None:
    """Once a process: the folder, imports and JAX of whoever hands cells out."""
    try:
        os.chdir(folder)
    except OSError as error:
        raise UsageError(
            f"{folder}: not on {platform.node()}; every machine of a cluster needs the folder that "
            "the sweep is started in"
        ) from error
    sys.path += [path for path in paths if path not in sys.path]
    configure(cache if cache and os.path.isdir(cache) else None, x64)


def differences(wanted: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    """Where two identities part, `jax 0.10.1 here, 0.10.2 there`; nothing where they do not."""
    found = []
    for name in sorted({*wanted, *own}):
        here, there = wanted.get(name), own.get(name)
        if here == there:
            continue
        if isinstance(here, Mapping) and isinstance(there, Mapping):
            found.append(differences(here, there))
        else:
            found.append(f"{name} {here} here, {there} there")
    return "; ".join(found)
