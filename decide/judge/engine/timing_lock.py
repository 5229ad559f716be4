"""Machine-wide reader/writer lock between sweeps of one user.

Scoring is shared; timing is exclusive. The operating system releases it when the process ends.
Sweeps on different machines do not share it.
"""

from __future__ import annotations

import contextlib
import os
import platform
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from ....posteriors.errors import UsageError
from ....streams.storage import private

try:
    import fcntl
except ImportError:  # no such locks on Windows
    fcntl = None

WAIT = 0.2
"""Seconds between two tries to get the lock."""


def hold_scoring(on_wait: Callable[[], None] = lambda: None) -> AbstractContextManager[None]:
    """Hold the shared side: others may score at the same time, but not time.

    on_wait: called now and then until the lock is held.
    """
    return _locked(False, on_wait)


def hold_timing(on_wait: Callable[[], None] = lambda: None) -> AbstractContextManager[None]:
    """Hold the exclusive side: no other sweep scores or times until the block ends.

    on_wait: called now and then until the lock is held.
    """
    return _locked(True, on_wait)


def lock_file() -> Path:
    """Return the file of the lock, in a folder that this user alone can write to.

    Raises: UsageError if there is none.
    """
    user = os.getuid() if hasattr(os, "getuid") else 0
    shared = Path(tempfile.gettempdir()) / f"uncertain-{user}"
    # Another user may have taken that name first; a home may be shared between machines.
    own = Path.home() / ".cache" / "uncertain" / f"timing-{platform.node()}"
    for folder in (shared, own):
        with contextlib.suppress(OSError):
            private.make_folder(folder)
            found = folder.lstat()
            if stat.S_ISDIR(found.st_mode) and found.st_uid == user and not found.st_mode & 0o022:
                return folder / "timing.lock"
    raise UsageError(
        f"{shared} and {own}: neither is a folder that only you can write to, where sweeps wait "
        "for each other; delete or free one of them"
    )


@contextmanager
def _locked(exclusive: bool, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold one side of the lock."""
    with contextlib.ExitStack() as stack:
        if fcntl is not None:
            # A link in place of the plain file is not followed.
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
            file = os.open(lock_file(), flags, 0o600)
            stack.callback(os.close, file)  # which releases the lock
            side = (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB
            while True:
                try:
                    fcntl.flock(file, side)
                    break
                except BlockingIOError:
                    on_wait()
                    time.sleep(WAIT)
        yield
