"""Compute cells on Ray: on a cluster, or on a Ray that runs on this machine during the sweep.

See also: ray_dispatch.py for the queue, ray_worker.py for the worker's side, batches.py for this
machine without Ray.
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

from ....posteriors.errors import UsageError
from ....posteriors.specs import describe_error
from ...loop.core.cores import count_cores
from ..measures.experiment import Cell
from .failures import Failure
from .own_process import owner_of
from .ray_dispatch import Submit, dispatch_cells
from .ray_worker import Task, compute_cell
from .result_index import Finished, ResultIndex
from .scheduler import Progress
from .worker_process import ONE_THREAD, jax_setting

OBJECTS = 100 * 2**20
"""Bytes of shared memory for a Ray on this machine: only records travel."""
ANSWER = 10.0
"""Seconds within which a cluster must accept a connection."""


@dataclass(frozen=True)
class RayEngine:
    """Computes cells on Ray."""

    address: str | None = None
    """Address of a cluster; None starts Ray on this machine."""
    gpus: float = 0.0
    """GPUs a cell, a part of one or whole ones."""

    def __post_init__(self) -> None:
        if not 0 <= self.gpus < float("inf") or (self.gpus > 1 and self.gpus % 1):
            raise UsageError(
                f"--gpus-per-cell {self.gpus:g}: Ray shares out a part of one GPU, such as 0.25, "
                "or whole ones"
            )
        _library()

    def __call__(
        self, cells: list[Cell], index: ResultIndex, progress: Progress
    ) -> Generator[Finished | Failure, None, None]:
        """Compute cells, each yielded when its worker has stored it or it has failed.

        cells: to compute.
        index: results of the experiment.
        progress: called with the present activity and the share that is finished.
        """
        with self._connected(index.experiment.workers or count_cores()) as workers:
            submit = self._submitter(index, workers)
            # Workers on this machine time one after the other; none starts on the quality of its
            # next cell before all have timed theirs.
            wave = workers if self.address is None and index.experiment.timed else None
            yield from dispatch_cells(_library(), cells, index, progress, submit, wave)

    @contextmanager
    def _connected(self, workers: int) -> Iterator[int]:
        """Connect to Ray, or start it; the number of cells it can run at once."""
        ray = _library()
        if self.address is not None:
            check_reachable(self.address)
        with warnings.catch_warnings():
            # JAX warns of any fork; what Ray forks becomes another program at once.
            warnings.filterwarnings("ignore", message=r"os\.fork\(\) was called")
            try:
                ray.init(log_to_driver=False, logging_level=logging.ERROR, **self._place(workers))
            except (ConnectionError, RuntimeError, TimeoutError, ValueError) as error:
                where = f"at {self.address}" if self.address else "here"
                raise UsageError(
                    f"no Ray {where}: {describe_error(error)}; ray start --head starts one and "
                    "says its address"
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

    def _submitter(self, index: ResultIndex, workers: int) -> Submit:
        ray = _library()
        place = index.store.place
        task = Task(
            place if "://" in place else os.path.abspath(place),
            index.experiment,
            os.getcwd(),
            tuple(path for path in sys.path if path),
            jax_setting("jax_compilation_cache_dir"),
            jax_setting("jax_enable_x64"),
            workers,
            self.address is None,
        )
        variables = dict(ONE_THREAD)
        if self.gpus:
            # JAX takes three quarters of a GPU for itself unless told otherwise.
            variables["XLA_PYTHON_CLIENT_MEM_FRACTION"] = f"{0.9 * min(self.gpus, 1.0):.3f}"
        # Lost workers are counted here, and a cell's own failure comes back as a value.
        options: dict[str, Any] = {
            "num_cpus": 1, "num_gpus": self.gpus, "max_retries": 0,
            "runtime_env": {"env_vars": variables},
        }  # fmt: skip
        remote = ray.remote(**options)(compute_cell)
        # A user's own code leaves with its process, so that no other cell meets it.
        alone = ray.remote(max_calls=1, **options)(compute_cell)
        shared = ray.put(task)

        def submit(cell: Cell, *given: Any) -> Any:
            return (alone if owner_of(cell) else remote).remote(shared, cell, *given)

        return submit


def check_reachable(address: str) -> None:
    """Check that a cluster accepts connections: Ray itself would try for over five minutes.

    address: of the cluster.
    Raises: UsageError if it does not answer.
    """
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not port.isdecimal():  # "auto", or whatever else Ray knows
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER).close()
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"no Ray at {address}: {describe_error(error)}; ray start --head starts one and says "
            "its address"
        ) from error


SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Without it, cells that ask for no GPU would not see one that this process sees.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # A line on standard output for each lost worker, however quiet Ray is told to be.
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",
}
"""Environment variables that Ray reads when it is imported."""


def _library() -> Any:
    """The Ray library, which is optional."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        import ray  # pyright: ignore[reportMissingImports]  an extra
    except ImportError as error:
        raise UsageError("--engine ray needs Ray: pip install 'uncertain[ray]'") from error
    return ray
