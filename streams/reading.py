"""Lines of a file or of standard input as they arrive, and whether one is there yet.

Not here: files that grow (following.py), clients (sockets.py), or opening (files.py).
"""

from __future__ import annotations

import os
import select
import stat
import time
from typing import BinaryIO

from .arriving import CHUNK, Alone, Arrival, Lines, Sink
from .files import BYTE_ORDER_MARK, LONGEST_LINE, STANDARD, Source

MILLISECONDS = 1e3
"""In one second."""


class Reading(Alone):
    """An `Input` of one file (plain or gzipped) or standard input; all replies go to one sink.

    A wait with a limit needs something to wait on: a pipe, a terminal or a socket. Plain files
    have every line at hand, and what is gzipped or has no descriptor is read without a limit.
    A line counts as arrived when it is taken: files, and pipes that are full, are in no hurry.
    """

    def __init__(
        self, path: str, sink: Sink, stdin: BinaryIO | None = None, longest: int = LONGEST_LINE
    ) -> None:
        self.name = "<stdin>" if path == STANDARD else path
        self.ended, self.longest = False, longest
        self._path, self._stdin = path, stdin
        self._lines = Lines(longest, self.name, sink)
        # Opening standard input waits for its first byte, so it must not happen here.
        self._source: Source | None = None
        self._poll = waitable(stdin) if path == STANDARD else None

    def take(self, seconds: float | None = None) -> Arrival | None:
        """The next line; None where none came within `seconds` (None: however long), or ever."""
        lines = self._lines
        while True:
            if (arrival := lines.take(time.perf_counter_ns())) is not None:
                return arrival
            if self.ended:
                return None
            # Where only half a line comes, whoever waits may wait again as long for the rest.
            if seconds is None or self._poll is None or self._poll.poll(seconds * MILLISECONDS):
                self._read()
            else:
                return None

    def _read(self) -> None:
        if self._source is None:
            self._source = Source(self._path, self._stdin, ahead=False)
            if self._source.packed:
                # Bytes already taken from the pipe may hold many lines.
                self._poll = None
            chunk = self._source.chunk(CHUNK)
            if chunk.startswith(BYTE_ORDER_MARK):
                chunk = chunk.removeprefix(BYTE_ORDER_MARK)
                self._lines.offset = len(BYTE_ORDER_MARK)
        else:
            chunk = self._source.chunk(CHUNK)
        if chunk:
            self._lines.feed(chunk)
        else:
            self._lines.end()
            self.close()

    def close(self) -> None:
        """No more is read."""
        self.ended = True
        if self._source is not None:
            self._source.close()


def waitable(file: BinaryIO | None) -> select.poll | None:
    """Something that tells whether the file has bytes to read; None where it always has, or where
    only reading tells."""
    import sys

    try:
        descriptor = (file or sys.stdin.buffer).fileno()
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
    except (OSError, ValueError):
        return None
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return poll
