"""Lines as they arrive live: what an input hands over, and cutting chunks of bytes into lines.

Not here: any input (reading.py, following.py, sockets.py, redis_stream.py), or what a line says
(ndjson.py).
"""

from __future__ import annotations

from collections import deque
from typing import Any, Protocol

import msgspec

from .record import LineError, Where

CHUNK = 1 << 16
"""Bytes asked for at once."""
QUOTED = 1 << 16
"""Bytes kept of a line that is too long, to show what it was."""


class Sink(Protocol):
    """Where the reply to a line goes."""

    def write(self, fields: dict[str, Any]) -> None:
        """Send one reply."""
        ...


class Arrival(msgspec.Struct, gc=False):
    """One line that is not blank.

    where: its input and number. offset: bytes before it in that input (as decompressed). line:
    its bytes without the end; the first QUOTED of one that is too long. length: its full length,
    bytes. whole: whether its end was seen; the last line of an input may lack it. arrived: when it
    was there to be taken, by `time.perf_counter_ns`. sink: whom to answer. wrong: why it is no
    line at all, where the input can tell.
    """

    where: Where
    offset: int
    line: bytes
    length: int
    whole: bool
    arrived: int
    sink: Sink
    wrong: LineError | None = None


class Input(Protocol):
    """Lines from somewhere. ended: no more will come than are at hand. longest: bytes of a line
    that are taken."""

    ended: bool
    longest: int

    def take(self, seconds: float | None = None) -> Arrival | None:
        """The next line; None where none came within `seconds` (None: however long), or ever."""
        ...

    def dismiss(self, arrival: Arrival, error: LineError) -> None:
        """Have done with whoever sent a wrong line, already answered; raise where that is all."""
        ...

    def notes(self) -> list[str]:
        """What a person should know at the end."""
        ...

    def close(self) -> None:
        """Let go of everything; replies under way are sent first."""
        ...


class Alone:
    """What inputs with one sender have in common."""

    def dismiss(self, arrival: Arrival, error: LineError) -> None:
        """There is nobody else to serve: raises the error."""
        raise error

    def notes(self) -> list[str]:
        """Nothing."""
        return []


class Lines:
    """Lines out of chunks, wherever those end. Holds one chunk and `longest` bytes at most.

    name, sink: of the input, as arrivals have them. number, offset: lines and bytes before the
    next.
    """

    def __init__(self, longest: int, name: str, sink: Sink) -> None:
        self.longest, self.name, self.sink = longest, name, sink
        self.number = self.offset = 0
        # A line that was too long comes with the number of its bytes that were let go.
        self._ready: deque[bytes | tuple[bytes, int]] = deque()
        self._tail, self._lost = bytearray(), 0
        self._unended = False

    def __len__(self) -> int:
        """Lines at hand, blank ones included."""
        return len(self._ready)

    @property
    def half(self) -> bool:
        """Whether a line has begun whose end is yet to come."""
        return bool(self._tail)

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes in; memory stays bounded if there were no lines at hand."""
        parts = chunk.split(b"\n")
        last = parts.pop()
        if parts and self._tail:
            self._grow(parts[0])
            self._finish()
            del parts[0]
        self._ready.extend(parts)
        if last:
            self._grow(last)

    def end(self) -> None:
        """No more bytes: what is left is a line too."""
        if self._tail:
            self._finish()
            self._unended = True

    def take(self, arrived: int = 0) -> Arrival | None:
        """The next line that is not blank, if there is one. arrived: as in `Arrival`."""
        while self._ready:
            line, lost = self._ready.popleft(), 0
            if isinstance(line, tuple):
                line, lost = line
            length = len(line) + lost
            whole = not (self._unended and not self._ready)
            offset = self.offset
            self.offset += length + whole
            self.number += 1
            if length > self.longest:
                line = line[:QUOTED]
            elif not line.strip():
                continue
            where = Where(self.name, self.number)
            return Arrival(where, offset, line, length, whole, arrived, self.sink)
        return None

    def _grow(self, more: bytes) -> None:
        self._tail += more
        if self._lost or len(self._tail) > self.longest:
            kept = min(QUOTED, self.longest)
            self._lost += max(len(self._tail) - kept, 0)
            del self._tail[kept:]

    def _finish(self) -> None:
        line = bytes(self._tail)
        self._ready.append((line, self._lost) if self._lost else line)
        self._tail, self._lost = bytearray(), 0
