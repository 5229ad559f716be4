"""Cells on Ray: workers judge, time and keep a cell each; here they are only handed out.

A lost worker's cell goes to another, a failed one is reported. Not here: what a worker does with a
cell (remote.py), or the same on this machine without Ray (groups.py).
"""

from __future__ import annotations

import logging
import os
import sys
import time
import warnings
from collections import Counter, deque
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ...posteriors.base import UsageError
from ...posteriors.loading import describe as told
from .bench import ONE_THREAD, Progress, baseline_of, cores, describe, gains, setting
from .experiment import Cell
from .failing import LOST, TRIES, Failed
from .ledger import Finished, Ledger
from .remote import Task, Unlike, work

OBJECTS = 100 * 2**20
"""Bytes of shared memory for a Ray of our own: only records travel."""
PATIENCE = 60.0
"""Seconds for which a cell kept elsewhere may not be seen here, as on a network's file system."""
LOOK = 0.5
"""Seconds between signs of life."""


@dataclass(frozen=True)
class Cluster:
    """Where cells go. address: of a Ray cluster; None starts one here. gpus: of one, for a cell."""

    address: str | None = None
    gpus: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.gpus < float("inf") or (self.gpus > 1 and self.gpus % 1):
            raise UsageError(
                f"--gpus-per-cell {self.gpus:g}: Ray shares out a part of one GPU, such as 0.25, "
                "or whole ones"
            )
        library()

    def __call__(
        self, cells: list[Cell], ledger: Ledger, progress: Progress
    ) -> Generator[Finished | Failed, None, None]:
        """The engine: cells as their workers have kept them, or failed."""
        with self._connected(ledger.experiment.workers or cores()) as workers:
            submit = self._submitter(ledger, workers)
            # Workers on one machine of one's own take turns at timing: nobody then goes back to
            # quality before all have had theirs.
            wave = workers if self.address is None and ledger.experiment.live else None
            yield from Dispatch(cells, ledger, progress, submit, wave)

    @contextmanager
    def _connected(self, workers: int) -> Iterator[int]:
        """How many cells Ray can be at; it is left, or stopped if it is ours, at the end."""
        ray = library()
        with warnings.catch_warnings():
            # JAX warns of any fork; what Ray forks becomes another program at once.
            warnings.filterwarnings("ignore", message=r"os\.fork\(\) was called")
            try:
                ray.init(log_to_driver=False, logging_level=logging.ERROR, **self._place(workers))
            except (ConnectionError, RuntimeError, TimeoutError, ValueError) as error:
                where = f"at {self.address}" if self.address else "here"
                raise UsageError(
                    f"no Ray {where}: {told(error)}; ray start --head starts one and says its "
                    "address"
                ) from error
        try:
            there = ray.cluster_resources()
            if there.get("GPU", 0) < self.gpus:
                raise UsageError(
                    f"--gpus-per-cell {self.gpus:g}: Ray finds {there.get('GPU', 0):g} GPUs; "
                    "leave the option out"
                )
            yield int(there.get("CPU", workers))
        finally:
            ray.shutdown()

    def _place(self, workers: int) -> dict[str, Any]:
        if self.address is not None:
            return {"address": self.address}
        return {
            "address": "local",
            "num_cpus": workers,
            "include_dashboard": False,
            "object_store_memory": OBJECTS,
            "_node_ip_address": "127.0.0.1",
        }

    def _submitter(self, ledger: Ledger, workers: int) -> Any:
        """`(cell, identity, is_baseline) -> reference` to what a worker replies."""
        ray = library()
        place = ledger.store.place
        task = Task(
            place if "://" in place else os.path.abspath(place),
            ledger.experiment,
            os.getcwd(),
            tuple(path for path in sys.path if path),
            setting("jax_compilation_cache_dir"),
            setting("jax_enable_x64"),
            workers,
            self.address is None,
        )
        variables = dict(ONE_THREAD)
        if self.gpus:
            # JAX takes three quarters of a GPU for itself unless told otherwise.
            variables["XLA_PYTHON_CLIENT_MEM_FRACTION"] = f"{0.9 * min(self.gpus, 1.0):.3f}"
        # Lost workers are counted here, and a cell's own failure comes back as a value.
        remote = ray.remote(work).options(
            num_cpus=1, num_gpus=self.gpus, max_retries=0, runtime_env={"env_vars": variables}
        )
        shared = ray.put(task)
        return lambda *given: remote.remote(shared, *given)


class Dispatch:
    """Iterates over cells finished and failed; random actions are judged before who needs them.

    wave: cells handed out at once, the next when all have come back; None hands out everything.
    """

    def __init__(
        self, cells: list[Cell], ledger: Ledger, progress: Progress, submit: Any, wave: int | None
    ) -> None:
        self._ledger, self._progress, self._submit, self._wave = ledger, progress, submit, wave
        self._total, self._ended = len(cells), 0
        self._tries: Counter[tuple[Cell, bool]] = Counter()
        self._ready: deque[tuple[Cell, bool]] = deque()
        self._waiting: dict[Cell, list[Cell]] = {}
        self._running: dict[Any, tuple[Cell, bool]] = {}
        for cell in cells:
            compared = ledger.experiment.gain and cell.rule != "random" and gains(cell)
            baseline = baseline_of(cell)
            if compared and baseline not in self._waiting and ledger.baseline(baseline) is None:
                self._waiting[baseline] = []
            if compared and baseline in self._waiting:
                self._waiting[baseline].append(cell)
            else:
                self._ready.append((cell, False))
        self._ready.extendleft((baseline, True) for baseline in self._waiting)

    def __iter__(self) -> Iterator[Finished | Failed]:
        ray = library()
        self._progress("starting workers", 0.0)
        while self._ready or self._running:
            self._hand_out()
            done, _ = ray.wait(list(self._running), timeout=LOOK)
            self._progress(f"{len(self._running)} cells handed out", self._ended / self._total)
            for reference in done:
                for one in self._come_back(*self._running.pop(reference), reference):
                    self._ended += 1
                    yield one

    def _hand_out(self) -> None:
        if self._wave and self._running:
            return
        while self._ready and len(self._running) < (self._wave or sys.maxsize):
            cell, is_baseline = self._ready.popleft()
            identity = self._ledger.identity(cell, is_baseline)
            self._running[self._submit(cell, identity, is_baseline)] = cell, is_baseline

    def _come_back(self, cell: Cell, is_baseline: bool, reference: Any) -> list[Finished | Failed]:
        """What there is to say of a cell whose worker replied, or is no more."""
        reply = self._reply(cell, is_baseline, reference)
        if reply == "again":
            self._progress("lost a worker at " + describe(cell), self._ended / self._total)
            self._ready.appendleft((cell, is_baseline))
            return []
        if isinstance(reply, Unlike):
            raise UsageError(reply.error)
        if isinstance(reply, Failed):
            if not is_baseline:
                return [reply]
            error = f"random actions, to compare it with: {reply.error}"
            return [Failed(one, error) for one in self._waiting.pop(cell)]
        self._see(cell, is_baseline, reply.host)
        if is_baseline:
            self._ready.extend((one, False) for one in self._waiting.pop(cell))
            return []
        if reply.record is None:  # another process finished it first
            return []
        return [Finished(cell, reply.record, {}, reply.seconds, kept=True)]

    def _reply(self, cell: Cell, is_baseline: bool, reference: Any) -> Any:
        ray = library()
        try:
            return ray.get(reference)
        except ray.exceptions.RayTaskError as error:  # it could not even begin: no package there?
            return Failed(cell, f"a worker could not begin: {told(error.cause or error)}")
        except ray.exceptions.RayError as error:
            self._tries[cell, is_baseline] += 1
            if self._tries[cell, is_baseline] < TRIES:
                return "again"
            return Failed(cell, f"{LOST} ({type(error).__name__})")

    def _see(self, cell: Cell, is_baseline: bool, host: str) -> None:
        """Make sure that what a worker kept has come to where everybody looks."""
        began = time.monotonic()
        while not (
            self._ledger.baseline(cell) is not None if is_baseline else self._ledger.done(cell)
        ):
            if time.monotonic() - began > PATIENCE:
                raise UsageError(
                    f"{self._ledger.store.place}: {host} kept a cell there which is not seen here; "
                    "give a folder that all machines share, or a URL"
                )
            time.sleep(LOOK)


SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Without it, cells that ask for no GPU would not see one that this process sees.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # A line on standard output for each lost worker, however quiet Ray is told to be.
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",
}
"""How Ray is to behave; it reads them when it is imported."""


def library() -> Any:
    """Ray, imported when it is asked for."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise UsageError("--engine ray needs Ray: pip install 'uncertain[ray]'") from error
    return ray
