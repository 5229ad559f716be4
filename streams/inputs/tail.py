"""Input from a file that grows, through rotations, like `tail -F`.

Gzipped files do not grow line by line and are refused.
See also: file.py for pipes and whole files.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable

from ...posteriors.errors import UsageError
from ..formats.files import BYTE_ORDER_MARK, GZIP_MAGIC, LONGEST_LINE, STANDARD
from .base import CHUNK, Arrival, LineSplitter, SingleClient, Sink
from .signals import Signals

SHORTEST, LONGEST = 1e-3, 0.1
"""Seconds between looks at a file that has nothing new: an eighth of the time since it last had,
between these."""
PATIENCE = 8


class Tail(SingleClient):
    """An `Input` of every line of a file, and of every line appended to it later.

    A new file under the name (rotation) is read from its beginning, after the rest of the old one;
    a file that became shorter is read from its beginning again. A last line without its end is
    waited for, until its file is replaced or shortened. Line numbers and offsets are a file's own.
    A missing file is waited for. Ends by SIGINT or SIGTERM only. Changes between two looks are not
    seen: a file that is shortened and outgrows its old size looks grown, and of two rotations the
    first is missed.

    path: file name.
    sink: receiver of all replies.
    longest: most bytes of a line.
    notify: receives messages for the user, one line each.
    """

    def __init__(
        self, path: str, sink: Sink, longest: int = LONGEST_LINE,
        notify: Callable[[str], None] = lambda text: None,
    ) -> None:  # fmt: skip
        if path == STANDARD:
            raise UsageError("--follow is for a file: standard input is followed as it is")
        self.path, self.ended, self.longest = path, False, longest
        self._sink, self._notify = sink, notify
        self._lines = LineSplitter(longest, path, sink)
        self._file, self._place = -1, 0
        self._fresh = time.monotonic()
        if not self._open():
            notify(f"{path}: no such file yet; waiting for it")
        self._signals = Signals()

    def take(self, seconds: float | None = None) -> Arrival | None:
        """Return the next line, waiting for it.

        seconds: longest wait; None is without limit.
        Returns: the line; None if none came in time, or ever.
        """
        self._signals.watch()
        until = None if seconds is None else time.monotonic() + seconds
        while not self._signals.received:
            if (arrival := self._lines.take(time.perf_counter_ns())) is not None:
                return arrival
            if self._grown() or self._replaced():
                self._fresh = time.monotonic()
                continue
            now = time.monotonic()
            pause = min(max((now - self._fresh) / PATIENCE, SHORTEST), LONGEST)
            if until is not None:
                if now >= until:
                    return None
                pause = min(pause, until - now)
            self._signals.wait(pause)
        self.ended = True
        return None

    def behind(self) -> int:
        """Return the number of bytes of the file that have not been read."""
        if self._file < 0:
            return 0
        return max(os.fstat(self._file).st_size - self._place, 0)

    def _grown(self) -> bool:
        if self._file < 0:
            return False
        chunk = os.read(self._file, CHUNK)
        if not chunk:
            return False
        if self._place == 0:
            if chunk.startswith(GZIP_MAGIC):
                raise UsageError(f"{self.path}: is gzipped; --follow reads plain lines")
            if chunk.startswith(BYTE_ORDER_MARK):
                self._lines.offset = len(BYTE_ORDER_MARK)
        start = self._lines.offset if self._place == 0 else 0
        self._place += len(chunk)
        self._lines.feed(chunk[start:])
        return True

    def _replaced(self) -> bool:
        """Go on with a new or shortened file, if there is one; half a line left in the old is
        handed over first, as it is."""
        if self._file < 0:
            return self._open()
        now = os.fstat(self._file)
        if now.st_size < self._place:
            if self._rest():
                return True
            self._notify(f"{self.path}: became shorter; reading it from its beginning")
            os.lseek(self._file, 0, os.SEEK_SET)
            self._lines, self._place = self._fresh_lines(), 0
            return True
        try:
            named = os.stat(self.path)
        except OSError:
            # Between two names; what is written to the old one meanwhile still counts.
            return False
        if (named.st_dev, named.st_ino) == (now.st_dev, now.st_ino):
            return False
        # What was written between the last look and the renaming.
        if self._grown() or self._rest():
            return True
        self._notify(f"{self.path}: replaced; reading the new one")
        os.close(self._file)
        self._file = -1
        self._open()
        return True

    def _rest(self) -> bool:
        if not self._lines.half:
            return False
        self._lines.end()
        return True

    def _open(self) -> bool:
        try:
            # Not to wait for the other end of what is no file.
            file = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise UsageError(f"{self.path}: cannot be read ({error.strerror})") from error
        if not stat.S_ISREG(os.fstat(file).st_mode):
            os.close(file)
            raise UsageError(f"{self.path}: is no plain file; --follow cannot wait for it to grow")
        self._file, self._place, self._lines = file, 0, self._fresh_lines()
        return True

    def _fresh_lines(self) -> LineSplitter:
        return LineSplitter(self.longest, self.path, self._sink)

    def close(self) -> None:
        """Stop reading."""
        self.ended = True
        self._signals.close()
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
