"""How many cores there are, and JAX on one of them.

Not here: worker processes (judge/crew.py).
"""

from __future__ import annotations

import os
from contextlib import suppress

import jax


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def one_thread() -> None:
    """Start JAX's backend with one core in sight, by which it counts its threads.

    No use once anything was computed. Workers that compile with two threads each on two cores take
    a fifth longer in all. A call to decide then runs where it was made, without waking another
    thread that may have to wait for a busy core (docs/results/one-thread.txt: with the other core
    busy, 128 particles take .43 ms at p99.9 and 3.7 ms otherwise).
    """
    if not hasattr(os, "sched_setaffinity"):
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        jax.devices()
    finally:
        # Threads have the cores of whoever started them.
        for thread in os.listdir("/proc/self/task"):
            with suppress(ProcessLookupError):
                os.sched_setaffinity(int(thread), allowed)
