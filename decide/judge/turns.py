"""Turns on one machine: any number of sweeps compute quality at once, one alone takes latency.

A lock of the operating system's that ends with its process, however that ends; between machines
nothing needs to be shared. Not here: what is done in a turn.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # no such locks on Windows
    fcntl = None

WAIT = 0.2
"""Seconds between looks at whether others have finished."""


def busy(waiting: Callable[[], None] = lambda: None) -> AbstractContextManager[None]:
    """Work that would disturb a clock; others may work too, none may be timing meanwhile."""
    return turn(False, waiting)


def alone(waiting: Callable[[], None] = lambda: None) -> AbstractContextManager[None]:
    """Timing: no other sweep of this user works or times meanwhile on this machine."""
    return turn(True, waiting)


def lock_file() -> Path:
    """One for each user: a file of somebody else's could not be opened."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    return Path(tempfile.gettempdir()) / f"uncertain-{user}.lock"


@contextmanager
def turn(exclusive: bool, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock, `waiting()` called now and then until it is got."""
    with contextlib.ExitStack() as stack:
        if fcntl is not None:
            # What is not a plain file of ours is not followed.
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
            file = os.open(lock_file(), flags, 0o600)
            stack.callback(os.close, file)  # which lets go
            how = (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB
            while True:
                try:
                    fcntl.flock(file, how)
                    break
                except BlockingIOError:
                    waiting()
                    time.sleep(WAIT)
        yield
