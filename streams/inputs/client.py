"""One client of a socket: its lines that wait to be served, and replies that it has yet to read.

See also: sockets.py for accepting clients and taking turns.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable
from typing import Any

from ..formats.ndjson import encode_line
from .base import CHUNK, Arrival, LineSplitter

UNREAD = 1 << 18
"""Bytes of replies above which a client is not served until it reads."""
HTTP = re.compile(rb"[A-Z]+ \S+ HTTP/1")


class Client:
    """One client, the sink of its own lines; all calls return at once.

    After `gone` its lines still count, but replies have no reader (`unsent` counts them). With
    `last` it is closed after the next reply, with the lines that it sent since (`unanswered`).

    connection: the accepted socket.
    name: address of the client.
    longest: most bytes of a line.
    changed: called when the client waits for something else.
    """

    def __init__(
        self,
        connection: socket.socket,
        name: str,
        longest: int,
        changed: Callable[[Client], None],
    ) -> None:
        connection.setblocking(False)
        self.connection, self.name = connection, name
        self.lines = LineSplitter(longest, name, self)
        self.sending = bytearray()
        self.at_end = self.gone = self.last = self.parting = False
        self.since = time.monotonic()
        # When the line began that is half here, or was last read on after a pause; 0 without one.
        self.half_since = 0.0
        self.arrived = 0
        self.unsent = self.unanswered = 0
        # What the selector waits for, and whether it has a turn to come or must wait for one.
        self.registered, self.queued, self.paused = 0, False, False
        self._changed = changed

    @property
    def congested(self) -> bool:
        """Whether it must read replies before it is served again."""
        return len(self.sending) > UNREAD

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do, once every line taken is answered."""
        return not len(self.lines) and (self.gone or (self.at_end and not self.sending))

    def half_for(self, now: float) -> float:
        """Return the age of its half line in seconds; 0 without one, or while it is not read from.

        now: of `time.monotonic`.
        """
        waiting = self.half_since and not len(self.lines) and not self.parting and not self.paused
        return now - self.half_since if waiting else 0.0

    def take(self) -> Arrival | None:
        """Return its next line; None if there is none."""
        arrival = self.lines.take(self.arrived)
        if arrival is not None and arrival.where.line == 1 and HTTP.match(arrival.line):
            # A page in a browser may send lines to any port of its own machine, but not first.
            self.last = True
            self.write({"id": None, "error": "this is no web server: send NDJSON"})
            return None
        return arrival

    def receive(self) -> None:
        """Read available bytes. Every line at hand must have been taken before."""
        try:
            chunk = self.connection.recv(CHUNK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.leave()
            return
        if self.parting:
            self.at_end |= not chunk
            return
        self.arrived = time.perf_counter_ns()
        if chunk:
            self.lines.feed(chunk)
            if not self.lines.half:
                self.half_since = 0.0
            elif b"\n" in chunk or not self.half_since:
                self.half_since = time.monotonic()
        else:
            self.at_end, self.half_since = True, 0.0
            self.lines.end()

    def write(self, fields: dict[str, Any]) -> None:
        """Send a reply, as much of it as can be sent now.

        fields: values by name.
        """
        if self.gone:
            self.unsent += 1
            self._changed(self)
            return
        if not self.sending:
            self.since = time.monotonic()
        self.sending += encode_line(fields)
        if self.last:
            self.part()
        self.send()

    def send(self) -> None:
        """Send as much as can be sent now."""
        try:
            sent = self.connection.send(self.sending)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self.leave()
            return
        if sent:
            del self.sending[:sent]
            self.since = time.monotonic()
        if self.parting and not self.sending:
            self._hang_up()
        self._changed(self)

    def part(self) -> None:
        """Take no more lines; close once the client has read its replies.

        Closing at once would discard unread bytes, and with them the last reply.
        """
        self.parting, self.since = True, time.monotonic()
        while self.lines.take() is not None:
            self.unanswered += 1
        self.lines = LineSplitter(self.lines.longest, self.name, self)
        if not self.sending:
            self._hang_up()

    def _hang_up(self) -> None:
        try:
            self.connection.shutdown(socket.SHUT_WR)
        except OSError:
            self.leave()

    def leave(self) -> None:
        """Drop the connection; lines that came whole still count."""
        self.gone = self.at_end = True
        self.unsent += self.sending.count(b"\n")
        self.sending.clear()
        if not self.parting:
            self.lines.end()
        self._changed(self)
