"""Base of live inputs: lines as they arrive, and splitting of chunks into lines.

See also: file.py, tail.py, sockets.py and redis_stream.py for inputs, ../formats/ndjson.py for
lines.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Protocol

import msgspec

from ..formats.record import LineError, Where

CHUNK = 1 << 16
"""Bytes asked for at once."""
QUOTED = 1 << 16
"""Bytes kept of a line that is too long, to show what it was."""


class Sink(Protocol):
    """Where the reply to a line goes."""

    def write(self, fields: dict[str, Any]) -> None:
        """Send one reply.

        fields: values by name.
        """
        ...


class Arrival(msgspec.Struct, gc=False):
    """One line that is not blank.

    where: its input and number.
    offset: bytes before it in that input (as decompressed).
    line: its bytes without the end; the first QUOTED of one that is too long.
    length: its full length, bytes.
    whole: whether its end was seen; the last line of an input may lack it.
    arrived: time at which it could be taken, by `time.perf_counter_ns`.
    sink: receiver of the reply.
    wrong: error of an input that found the line unusable.
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
    """A source of lines.

    ended: whether no lines will come beyond those at hand.
    longest: most bytes of a line.
    """

    ended: bool
    longest: int

    def take(self, seconds: float | None = None) -> Arrival | None:
        """Return the next line, waiting for it.

        seconds: longest wait; None is without limit.
        Returns: the line; None if none came in time, or ever.
        """
        ...

    def dismiss(self, arrival: Arrival, error: LineError) -> None:
        """Stop serving the sender of a wrong line, which has been answered.

        arrival: the line.
        error: its error, raised by inputs with one sender.
        """
        ...

    def notes(self) -> list[str]:
        """Return remarks for the user at the end."""
        ...

    def close(self) -> None:
        """Release everything; replies under way are sent first."""
        ...


class SingleClient:
    """Base of inputs with one sender."""

    def dismiss(self, arrival: Arrival, error: LineError) -> None:
        """Raise the error: there is no other sender to serve.

        arrival: the line.
        error: its error.
        """
        raise error

    def notes(self) -> list[str]:
        """Return no remarks."""
        return []


class LineSplitter:
    """Splits chunks into lines, wherever they end; holds at most one chunk and `longest` bytes.

    longest: most bytes of a line.
    name: of the input, for arrivals.
    sink: of the input, for arrivals.
    number: lines before the next.
    offset: bytes before the next line.
    """

    def __init__(self, longest: int, name: str, sink: Sink) -> None:
        self.longest, self.name, self.sink = longest, name, sink
        self.number = self.offset = 0
        # A line that was too long comes with the number of its bytes that were let go.
        self._ready: deque[bytes | tuple[bytes, int]] = deque()
        self._tail, self._lost = bytearray(), 0
        self._unended = False

    def __len__(self) -> int:
        """Return the number of lines at hand, blank ones included."""
        return len(self._ready)

    @property
    def half(self) -> bool:
        """Whether a line has begun whose end is yet to come."""
        return bool(self._tail)

    def feed(self, chunk: bytes) -> None:
        """Add the next bytes; memory stays bounded if no lines were at hand.

        chunk: bytes as read.
        """
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
        """Note the end of the input: the rest is a line too."""
        if self._tail:
            self._finish()
            self._unended = True

    def take(self, arrived: int = 0) -> Arrival | None:
        """Return the next line that is not blank; None if there is none.

        arrived: as in `Arrival`.
        """
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
