"""Cells on Ray: a cluster's, or one of our own on this machine for as long as a sweep takes.

Not here: handing cells out (dispatch.py), what a worker does with one (remote.py), or the same on
this machine without Ray (groups.py).
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import warnings
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ...posteriors.base import UsageError
from ...posteriors.loading import describe
from ..loop.cores import cores
from .bench import Progress
from .crew import ONE_THREAD, setting
from .dispatch import Dispatch, Submit
from .experiment import Cell
from .failing import Failed
from .ledger import Finished, Ledger
from .remote import Task, work

OBJECTS = 100 * 2**20
"""Bytes of shared memory for a Ray of our own: only records travel."""
ANSWER = 10.0
"""Seconds within which a cluster must let itself be connected to."""


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
            wave = workers if self.address is None and ledger.experiment.timed else None
            yield from Dispatch(library(), cells, ledger, progress, submit, wave)

    @contextmanager
    def _connected(self, workers: int) -> Iterator[int]:
        """How many cells Ray can be at; it is left, or stopped if it is ours, at the end."""
        ray = library()
        if self.address is not None:
            reach(self.address)
        with warnings.catch_warnings():
            # JAX warns of any fork; what Ray forks becomes another program at once.
            warnings.filterwarnings("ignore", message=r"os\.fork\(\) was called")
            try:
                ray.init(log_to_driver=False, logging_level=logging.ERROR, **self._place(workers))
            except (ConnectionError, RuntimeError, TimeoutError, ValueError) as error:
                where = f"at {self.address}" if self.address else "here"
                raise UsageError(
                    f"no Ray {where}: {describe(error)}; ray start --head starts one and says its "
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

    def _submitter(self, ledger: Ledger, workers: int) -> Submit:
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


def reach(address: str) -> None:
    """Raise UsageError where nobody answers: Ray itself would try for more than five minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not port.isdecimal():  # "auto", or whatever else Ray knows
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER).close()
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"no Ray at {address}: {describe(error)}; ray start --head starts one and says its "
            "address"
        ) from error


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
        import ray  # pyright: ignore[reportMissingImports]  an extra
    except ImportError as error:
        raise UsageError("--engine ray needs Ray: pip install 'uncertain[ray]'") from error
    return ray
