"""Worker processes: one thread each, the caches of whoever starts them, and gone when that is.

Not here: what they compute.
"""

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

from ..loop.cores import one_thread
from ..loop.kept import keep_in


def leave_with_parent(parent: int) -> None:
    """End this worker when the process that started it is gone, however it ended."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def start_worker(cache: str | None, x64: bool) -> None:
    """Set a worker up: one thread, the same compilation cache, no interest in Ctrl-C."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=leave_with_parent, args=(os.getppid(),), daemon=True).start()
    configure(cache, x64)
    one_thread()


def configure(cache: str | None, x64: bool) -> None:
    """A worker's JAX, as it is in the process that it works for."""
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    jax.config.update("jax_enable_x64", x64)
    if cache:
        keep_in(Path(cache).with_name("programs"))
        jax.config.update("jax_compilation_cache_dir", cache)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def setting(name: str) -> Any:
    """This process's JAX setting, which its workers share."""
    return getattr(jax.config, name)


@contextmanager
def crew(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Worker processes for quality, ended at once however the block ends."""
    # One thread a worker: they would otherwise fight over the same cores.
    held = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(ONE_THREAD)
    pool = ProcessPoolExecutor(
        workers,
        multiprocessing.get_context("spawn"),
        start_worker,
        (
            setting("jax_compilation_cache_dir"),
            setting("jax_enable_x64"),
        ),
    )
    try:
        try:
            # Each starts one, while none is there to take it, with the environment as it is now.
            for _ in range(workers):
                pool.submit(int)
        finally:
            for name, value in held.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
        yield pool
    finally:
        stop(pool)


ONE_THREAD = {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false", "OPENBLAS_NUM_THREADS": "1"}


def stop(pool: ProcessPoolExecutor) -> None:
    """End a pool now: after an interrupt its workers have nobody to work for."""
    for process in list((pool._processes or {}).values()):
        process.terminate()
    # Waited for, or its semaphores would outlive a process that ends without ceremony.
    pool.shutdown(cancel_futures=True)


class Workers:
    """Worker processes by number, each replaced once it has died; none where one is asked for."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._held: list[tuple[ExitStack, ProcessPoolExecutor]] = []

    def __enter__(self) -> Workers:
        self._held = [start() for _ in range(self.count)] if self.count > 1 else []
        return self

    def __exit__(self, *error: object) -> None:
        for stack, _ in self._held:
            stack.close()

    def renew(self, number: int) -> None:
        """End a worker and start another in its place."""
        self._held[number][0].close()
        self._held[number] = start()

    def submit(self, number: int, *work: Any) -> Future:
        """Give a worker something to do; a fresh one if it died while nobody was looking."""
        try:
            if all(process.is_alive() for process in self.processes(number)):
                return self._held[number][1].submit(*work)
        except BrokenProcessPool:
            pass
        self.renew(number)
        return self._held[number][1].submit(*work)

    def processes(self, number: int) -> list[Any]:
        """A worker's process, the only one."""
        return list((self._held[number][1]._processes or {}).values())


def start() -> tuple[ExitStack, ProcessPoolExecutor]:
    stack = ExitStack()
    return stack, stack.enter_context(crew(1))
