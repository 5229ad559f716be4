"""Compute one cell in a worker of a Ray cluster: quality, latency, and the storing of both.

Only the record goes back.

See also: ray_dispatch.py for the queue.
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

from ....posteriors.errors import UsageError
from ....streams.storage.results import Store
from ..measures.experiment import Cell, Experiment
from ..measures.quality import quality
from ..records.record import Record
from .batches import live_arrays
from .bench import baseline_of, time_cell, wanted_by
from .failures import Failure, explain_failure
from .program_memory import hold_programs
from .result_index import Finished, ResultIndex
from .timing_lock import hold_scoring, hold_timing
from .worker_process import configure_jax


@dataclass(frozen=True)
class Task:
    """Settings that all cells of a sweep share."""

    place: str
    """Path of the store, absolute, or its URL."""
    experiment: Experiment
    folder: str
    """Folder that relative paths in specs begin at."""
    paths: tuple[str, ...]
    """Folders of imports."""
    cache: str | None
    """Folder of compiled programs."""
    x64: bool
    workers: int
    """Cells at once."""
    locked: bool
    """Whether workers use the timing lock: all of them are on one machine of their own."""


class Stored(NamedTuple):
    """Reply: the result is in the store."""

    record: Record | None
    """None if it was there before, or is that of random actions."""
    seconds: float
    host: str


class Mismatch(NamedTuple):
    """Reply: this worker's result would have another identity than the one asked for."""

    error: str


def compute_cell(
    task: Task, cell: Cell, identity: dict[str, Any], is_baseline: bool
) -> Stored | Failure | Mismatch:
    """Judge a cell, or random actions, and store the result.

    task: settings of the sweep.
    cell: to compute.
    identity: asked for.
    is_baseline: whether only the quality of random actions is wanted.
    Returns: the reply; a failure is a value, since not every exception can be sent.
    """
    try:
        _set_up(task.folder, task.paths, task.cache, task.x64)
        hold_programs(cell)
        index = ResultIndex(Store(task.place), task.experiment)
        if unlike := describe_differences(identity, index.identity(cell, is_baseline)):
            return Mismatch(f"worker on {platform.node()} is not like this machine: {unlike}")
        judge = _judge_baseline if is_baseline else _judge_cell
        return judge(task, cell, index)
    except Exception as error:  # a user's code may fail in any way at all
        return explain_failure(error, cell)


def _judge_baseline(task: Task, cell: Cell, index: ResultIndex) -> Stored:
    """Quality of random actions, which other cells are compared with."""
    began = time.perf_counter()
    if index.baseline(cell) is None:
        with hold_scoring() if task.locked else nullcontext():
            runs = quality(cell, 0, cell.seeds, wanted_by(task.experiment))
        index.store_baseline(cell, runs)
    return Stored(None, time.perf_counter() - began, platform.node())


def _judge_cell(task: Task, cell: Cell, index: ResultIndex) -> Stored:
    """Quality and latency of a cell that the store does not hold yet."""
    if index.is_finished(cell):
        return Stored(None, 0.0, platform.node())
    began = time.perf_counter()
    runs = None
    if task.experiment.deadline is None:
        with hold_scoring() if task.locked else nullcontext():
            runs = quality(cell, 0, cell.seeds, wanted_by(task.experiment))
    own = cell.is_baseline and runs is not None
    baseline = runs if own else index.baseline(baseline_of(cell))
    with hold_timing() if task.locked and task.experiment.timed else nullcontext():
        record, judged, lived = time_cell(cell, runs, baseline, task.experiment, task.workers)
    seconds = time.perf_counter() - began
    index.store_result(Finished(cell, record, judged | live_arrays(lived), seconds))
    return Stored(record, seconds, platform.node())


@lru_cache(maxsize=1)
def _set_up(folder: str, paths: tuple[str, ...], cache: str | None, x64: bool) -> None:
    """Set up this process, once: folder, imports and JAX of the sweep."""
    try:
        os.chdir(folder)
    except OSError as error:
        raise UsageError(
            f"{folder}: not on {platform.node()}; every machine of a cluster needs the folder that "
            "the sweep is started in"
        ) from error
    sys.path += [path for path in paths if path not in sys.path]
    configure_jax(cache if cache and os.path.isdir(cache) else None, x64)


def describe_differences(wanted: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    """Describe where two identities differ, such as `jax 0.10.1 here, 0.10.2 there`.

    wanted: of the sweep.
    own: of the worker.
    Returns: the differences, empty without any.
    """
    found = []
    for name in sorted({*wanted, *own}):
        here, there = wanted.get(name), own.get(name)
        if here == there:
            continue
        if isinstance(here, Mapping) and isinstance(there, Mapping):
            found.append(describe_differences(here, there))
        else:
            found.append(f"{name} {here} here, {there} there")
    return "; ".join(found)
