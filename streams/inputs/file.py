"""Input from a file or standard input: lines as they arrive.

See also: tail.py for files that grow, sockets.py for clients, ../formats/files.py for opening.
"""

from __future__ import annotations

import os
import select
import stat
import sys
import time
from typing import BinaryIO

from ...posteriors.units import MS_PER_S
from ..formats.files import BYTE_ORDER_MARK, LONGEST_LINE, STANDARD, Source
from .base import CHUNK, Arrival, LineSplitter, SingleClient, Sink


class FileInput(SingleClient):
    """An `Input` of one file (plain or gzipped) or standard input; all replies go to one sink.

    A wait with a limit needs a pipe, a terminal or a socket to poll. Plain files have every line at
    hand; a gzipped input, or one without a descriptor, is read without a limit. A line counts as
    arrived when it is taken, because files and full pipes are in no hurry.

    path: file name, `-` for standard input.
    sink: receiver of all replies.
    stdin: stream to read for `-`; None is the process's own.
    longest: most bytes of a line.
    """

    def __init__(
        self, path: str, sink: Sink, stdin: BinaryIO | None = None, longest: int = LONGEST_LINE
    ) -> None:
        self.name = "<stdin>" if path == STANDARD else path
        self.ended, self.longest = False, longest
        self._path, self._stdin = path, stdin
        self._lines = LineSplitter(longest, self.name, sink)
        # Opening standard input waits for its first byte, so it must not happen here.
        self._source: Source | None = None
        self._poll = _waitable(stdin) if path == STANDARD else None

    def take(self, seconds: float | None = None) -> Arrival | None:
        """Return the next line, waiting for it.

        seconds: longest wait; None is without limit.
        Returns: the line; None if none came in time, or ever.
        """
        lines = self._lines
        while True:
            if (arrival := lines.take(time.perf_counter_ns())) is not None:
                return arrival
            if self.ended:
                return None
            # Where only half a line comes, whoever waits may wait again as long for the rest.
            if seconds is None or self._poll is None or self._poll.poll(seconds * MS_PER_S):
                self._read()
            else:
                return None

    def _read(self) -> None:
        if self._source is None:
            self._source = Source(self._path, self._stdin, ahead=False)
            if self._source.gzipped:
                # Bytes already taken from the pipe may hold many lines.
                self._poll = None
            chunk = self._source.read_chunk(CHUNK)
            if chunk.startswith(BYTE_ORDER_MARK):
                chunk = chunk.removeprefix(BYTE_ORDER_MARK)
                self._lines.offset = len(BYTE_ORDER_MARK)
        else:
            chunk = self._source.read_chunk(CHUNK)
        if chunk:
            self._lines.feed(chunk)
        else:
            self._lines.end()
            self.close()

    def close(self) -> None:
        """Stop reading."""
        self.ended = True
        if self._source is not None:
            self._source.close()


def _waitable(file: BinaryIO | None) -> select.poll | None:
    """Something that tells whether the file has bytes to read; None where it always has, or where
    only reading tells."""
    try:
        descriptor = (file or sys.stdin.buffer).fileno()
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
    except (OSError, ValueError):
        return None
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return poll
