"""Count the cores of this process, and start JAX on one of them.

See also: decide/judge/engine/worker_process.py for worker processes.
"""

from __future__ import annotations

import os
from contextlib import suppress

import jax


def count_cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def use_one_thread() -> None:
    """Start JAX's backend with a single compute thread.

    JAX sizes its thread pool by the cores it sees, so it sees one while the backend starts. This
    has no effect once anything was computed. Two workers with two threads each on two cores compile
    a fifth slower in total. A decision then runs on the calling thread and does not wait for a busy
    core: with the other core busy, 128 particles take .43 ms at p99.9 instead of 3.7 ms
    (docs/results/one-thread.txt).
    """
    if not hasattr(os, "sched_setaffinity"):
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        jax.devices()
    finally:
        # New threads inherit the affinity of their parent.
        for thread in os.listdir("/proc/self/task"):
            with suppress(ProcessLookupError):
                os.sched_setaffinity(int(thread), allowed)
