"""Single-threaded worker processes that share the parent's compilation cache and exit with it."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import jax

from ...loop.core.cores import use_one_thread
from ...loop.core.program_cache import store_programs

ONE_THREAD = {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false", "OPENBLAS_NUM_THREADS": "1"}
"""Environment of a worker: with more threads, workers would compete for the same cores."""


SHARED = "shared"
"""Owner of a worker that does work which anyone may share a process with."""


def _leave_with_parent(parent: int) -> None:
    """End this worker when the process that started it is gone, however it ended."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def _start_worker(cache: str | None, x64: bool) -> None:
    """Set a worker up: one thread, the parent's compilation cache, Ctrl-C ignored."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, args=(os.getppid(),), daemon=True).start()
    configure_jax(cache, x64)
    use_one_thread()


def configure_jax(cache: str | None, x64: bool) -> None:
    """Configure a worker's JAX like that of the process it works for.

    cache: folder of compiled programs; None without.
    x64: whether numbers are in double precision.
    """
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    jax.config.update("jax_enable_x64", x64)
    if cache:
        store_programs(Path(cache))


def jax_setting(name: str) -> Any:
    """Return a setting of this process's JAX, which its workers share.

    name: of the setting.
    """
    return getattr(jax.config, name)


@contextmanager
def start_processes(count: int) -> Iterator[ProcessPoolExecutor]:
    """Start worker processes and end them at once when the block ends, also after an exception.

    count: number of processes.
    """
    outer = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(ONE_THREAD)
    pool = ProcessPoolExecutor(
        count,
        multiprocessing.get_context("spawn"),
        _start_worker,
        (
            jax_setting("jax_compilation_cache_dir"),
            jax_setting("jax_enable_x64"),
        ),
    )
    try:
        try:
            # Each call starts a process, as none is idle yet, with the environment as it is now.
            for _ in range(count):
                pool.submit(int)
        finally:
            for name, value in outer.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
        yield pool
    finally:
        _stop(pool)


def _stop(pool: ProcessPoolExecutor) -> None:
    """End a pool now: after an interrupt its results are not wanted."""
    for process in list((pool._processes or {}).values()):
        process.terminate()
    # Waited for, or its semaphores would outlive a process that ends without clean-up.
    pool.shutdown(cancel_futures=True)


class WorkerPool:
    """Worker processes by number, each replaced when it has died; no process for a count of 1."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._workers: list[tuple[ExitStack, ProcessPoolExecutor]] = []
        self._owners: list[Any] = [None] * count

    def __enter__(self) -> WorkerPool:
        self._workers = [_start() for _ in range(self.count)] if self.count > 1 else []
        return self

    def __exit__(self, *error: object) -> None:
        for stack, _ in self._workers:
            stack.close()

    def restart(self, number: int) -> None:
        """End a worker and start another in its place.

        number: of the worker, from 0.
        """
        self._workers[number][0].close()
        self._workers[number] = _start()

    def hand_over(self, number: int, owner: Any) -> bool:
        """Replace a worker that has worked, unless it worked for the same owner.

        number: of the worker, from 0.
        owner: whose work it gets next; None for work that anyone may share a process with.
        Returns: whether it was replaced.
        """
        before, now = self._owners[number], SHARED if owner is None else owner
        self._owners[number] = now
        if before in (None, now):
            return False
        self.restart(number)
        return True

    def submit(self, number: int, *work: Any) -> Future:
        """Give work to a worker, or to a fresh one if it died while it was idle.

        number: of the worker, from 0.
        work: a function and its arguments.
        Returns: the future result.
        """
        try:
            if all(process.is_alive() for process in self.processes(number)):
                return self._workers[number][1].submit(*work)
        except BrokenProcessPool:
            pass
        self.restart(number)
        return self._workers[number][1].submit(*work)

    def processes(self, number: int) -> list[Any]:
        """Return the processes of a worker, of which there is one.

        number: of the worker, from 0.
        """
        return list((self._workers[number][1]._processes or {}).values())


def _start() -> tuple[ExitStack, ProcessPoolExecutor]:
    """A worker and the stack that ends it."""
    stack = ExitStack()
    return stack, stack.enter_context(start_processes(1))
