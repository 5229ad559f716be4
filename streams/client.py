"""One client of a socket: lines it sent that wait for their turn, replies it has yet to read.

Not here: whose turn it is, or who may come (sockets.py).
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable
from typing import Any

from .arriving import CHUNK, Arrival, Lines
from .ndjson import encode

UNREAD = 1 << 18
"""Bytes of replies above which a client is not served until it reads."""
HTTP = re.compile(rb"[A-Z]+ \S+ HTTP/1")


class Client:
    """The sink of its own lines. All calls return at once; `changed` is told what to wait for.

    Once `gone` its lines still count, but nobody reads the replies (`unsent` of them). `last`: it
    is let go after the reply that follows, with what it sent since (`unanswered`).
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
        self.lines = Lines(longest, name, self)
        self.sending = bytearray()
        self.at_end = self.gone = self.last = self.parting = False
        self.since = time.monotonic()
        self.arrived = 0
        self.unsent = self.unanswered = 0
        # What the selector waits for, and whether it has a turn to come or must wait for one.
        self.registered, self.queued, self.paused = 0, False, False
        self._changed = changed

    @property
    def congested(self) -> bool:
        """Whether it must read before it is served again."""
        return len(self.sending) > UNREAD

    @property
    def finished(self) -> bool:
        """Whether nothing is left to be done for it, once every line taken is answered."""
        return not len(self.lines) and (self.gone or (self.at_end and not self.sending))

    def take(self) -> Arrival | None:
        """Its next line."""
        arrival = self.lines.take(self.arrived)
        if arrival is not None and arrival.where.line == 1 and HTTP.match(arrival.line):
            # A page in a browser may send lines to any port of its own machine, but not first.
            self.last = True
            self.write({"id": None, "error": "this is no web server: send NDJSON"})
            return None
        return arrival

    def receive(self) -> None:
        """Read what has come. Every line at hand must have been taken before."""
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
        else:
            self.at_end = True
            self.lines.end()

    def write(self, fields: dict[str, Any]) -> None:
        """Send a reply, as much of it as can be sent now."""
        if self.gone:
            self.unsent += 1
            self._changed(self)
            return
        if not self.sending:
            self.since = time.monotonic()
        self.sending += encode(fields)
        if self.last:
            self.part()
        self.send()

    def send(self) -> None:
        """Send what can be sent now."""
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
        """Take no more lines; close once it has read what it was told.

        Closing at once would discard what lies unread, and with it the last reply.
        """
        self.parting, self.since = True, time.monotonic()
        while self.lines.take() is not None:
            self.unanswered += 1
        self.lines = Lines(self.lines.longest, self.name, self)
        if not self.sending:
            self._hang_up()

    def _hang_up(self) -> None:
        try:
            self.connection.shutdown(socket.SHUT_WR)
        except OSError:
            self.leave()

    def leave(self) -> None:
        """It is gone: lines that came whole still count."""
        self.gone = self.at_end = True
        self.unsent += self.sending.count(b"\n")
        self.sending.clear()
        if not self.parting:
            self.lines.end()
        self._changed(self)
