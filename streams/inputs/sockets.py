"""Input from many clients of one socket, served one line each in turn, without a thread a client.

See also: client.py for one client, addresses.py for addresses.
"""

from __future__ import annotations

import os
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from ..formats.record import LineError
from .addresses import UNIX, format_tcp_address, listen
from .base import Arrival
from .client import Client
from .signals import Signals

LONGEST = 1 << 20
"""Most bytes of a client's line, by default."""
CLIENTS = 256
STALLED = 30.0
"""Seconds a client may leave replies unread or a line half sent, by default."""
PARTING = 1.0
"""Seconds a client has to read its last reply and go."""
GLANCE = 0.1
"""Seconds between looks at clients who have limited time."""
READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class Sockets:
    """An `Input` that listens at an address until SIGINT or SIGTERM.

    Each reply goes to the client whose line it answers. A client that has lines at hand, or does
    not read its replies, is not read from, so that its memory is bounded: a line of `longest`
    bytes, and some hundred kilobytes.

    address: see addresses.py.
    longest: most bytes of a line.
    most: most clients.
    remote: whether other machines may connect.
    stalled: seconds a client may leave replies unread, or a line half sent; one second where others
        find no room.
    notify: receives messages for the user, one line each.
    """

    def __init__(
        self, address: str, longest: int = LONGEST, most: int = CLIENTS, remote: bool = False,
        stalled: float = STALLED, notify: Callable[[str], None] = lambda text: None,
    ) -> None:  # fmt: skip
        self._listener, self.name = listen(address, remote)
        self._listener.setblocking(False)
        self.longest, self.most, self.stalled = longest, most, stalled
        self.ended = False
        self.came = self.refused = self.slow = self.halves = self.unsent = self.unanswered = 0
        self._notify = notify
        self._signals = Signals()
        self._clients: set[Client] = set()
        self._turns: deque[Client] = deque()
        self._timed: set[Client] = set()
        self._glanced = time.monotonic()
        self._deaf = False
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, READ)
        self._selector.register(self._signals, READ)
        self._inode = socket_inode(address)
        notify(f"listening at {self.name}")

    @property
    def clients(self) -> int:
        """Number of clients connected."""
        return len(self._clients)

    def take(self, seconds: float | None = None) -> Arrival | None:
        """Return the next line, waiting for it.

        seconds: longest wait; None is without limit.
        Returns: the line; None if none came in time, or ever.
        """
        self._signals.watch()
        until = None if seconds is None else time.monotonic() + seconds
        while not self._signals.received:
            left = None if until is None else until - time.monotonic()
            # Looked at before every line: clients that have many do not hide that others have one.
            self._attend(0.0 if self._turns else left)
            if (arrival := self._next()) is not None:
                return arrival
            if left is not None and left <= 0 and not self._turns:
                return None
        self.ended = True
        return None

    def _next(self) -> Arrival | None:
        for _ in range(len(self._turns)):
            client = self._turns.popleft()
            client.queued = False
            if client.congested:
                continue
            arrival = client.take()
            self._watch(client)
            if arrival is not None:
                return arrival
            self._changed(client)
        return None

    def _attend(self, seconds: float | None) -> None:
        """Wait for something to happen, at most `seconds`, and see to it."""
        if self._timed or self._deaf:
            seconds = GLANCE if seconds is None else min(seconds, GLANCE)
            self._glance()
        for key, event in self._selector.select(None if seconds is None else max(seconds, 0.0)):
            client = key.data
            if client is None:
                if key.fileobj is self._listener:
                    self._accept()
                continue
            if event & WRITE and client in self._clients and not client.gone:
                client.send()
            if event & READ and client in self._clients and not client.gone:
                if not client.parting and (len(client.lines) or client.congested):
                    client.paused = True
                else:
                    client.receive()
                self._changed(client)

    def _changed(self, client: Client) -> None:
        """Register for the events that a client waits for; drop a client that waits for none."""
        if client not in self._clients:
            return
        if client.finished:
            self._drop(client)
            return
        if client.sending or client.parting or client.half_since:
            self._timed.add(client)
        else:
            self._timed.discard(client)
        self._watch(client)

    def _watch(self, client: Client) -> None:
        if client not in self._clients:
            return
        more = len(client.lines) > 0
        if more and not client.congested and not client.queued:
            client.queued = True
            self._turns.append(client)
        # Asking for less is a call of the system, so it is done when there is something to ignore.
        client.paused &= more or client.congested
        reading = not client.at_end and not client.gone and not client.paused
        wanted = READ * reading | WRITE * bool(client.sending)
        if wanted == client.registered:
            return
        if client.half_since and reading and not client.registered & READ:
            # The rest of its line may have waited for us.
            client.half_since = time.monotonic()
        if not client.registered:
            self._selector.register(client.connection, wanted, client)
        elif not wanted:
            self._selector.unregister(client.connection)
        else:
            self._selector.modify(client.connection, wanted, client)
        client.registered = wanted

    def _accept(self) -> None:
        try:
            connection, place = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionError):
            return
        except OSError:
            # No more files may be opened: those that wait are looked at again in a moment.
            self._selector.unregister(self._listener)
            self._deaf = True
            return
        self.came += 1
        if connection.family == socket.AF_UNIX:
            name = f"{self.name}#{self.came}"
        else:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            name = format_tcp_address(place)
        client = Client(connection, name, self.longest, self._changed)
        if self._count_clients() >= self.most:
            self._make_room()
        crowded = self._count_clients() >= self.most
        if len(self._clients) >= 2 * self.most:
            connection.close()
        else:
            self._clients.add(client)
            self._watch(client)
        if crowded:
            self.refused += 1
            if client in self._clients:
                client.last = True
                client.write({"id": None, "error": f"{self.most} clients are here already"})

    def _glance(self) -> None:
        """Let go of clients that used up their time."""
        now = time.monotonic()
        if now - self._glanced < GLANCE:
            return
        self._glanced = now
        if self._deaf:
            self._selector.register(self._listener, READ)
            self._deaf = False
        for client in list(self._timed):
            idle = now - client.since
            if client.half_for(now) > self.stalled:
                self._interrupt(client, now)
            elif client.parting and idle > PARTING:
                client.leave()
            elif (client.sending or client.parting) and idle > self.stalled:
                self.slow += 1
                self._notify(f"{client.name}: read nothing for {idle:.0f} s; disconnected")
                client.leave()

    def _interrupt(self, client: Client, now: float) -> None:
        """Tell a client that its line takes too long, and let it go."""
        self.halves += 1
        text = f"half a line for {client.half_for(now):.0f} s"
        self._notify(f"{client.name}: {text}; disconnected")
        client.last = True
        client.write({"id": None, "error": f"{text}: end it with a line feed"})

    def _make_room(self) -> None:
        """Interrupt the client that has been longest in the middle of a line, if for long."""
        now = time.monotonic()
        slowest = max(self._clients, key=lambda one: one.half_for(now))
        if slowest.half_for(now) > PARTING:
            self._interrupt(slowest, now)

    def _count_clients(self) -> int:
        """Clients that are not about to be let go."""
        return sum(not one.parting for one in self._clients)

    def _drop(self, client: Client) -> None:
        if client.registered:
            self._selector.unregister(client.connection)
            client.registered = 0
        client.connection.close()
        self.unsent += client.unsent
        self.unanswered += client.unanswered
        self._clients.discard(client)
        self._timed.discard(client)

    def dismiss(self, arrival: Arrival, error: LineError) -> None:
        """Disconnect the sender of a wrong line, after the reply to it.

        arrival: the line.
        error: its error.
        """
        if isinstance(arrival.sink, Client):
            arrival.sink.last = True

    def notes(self) -> list[str]:
        """Return counts of clients with an unusual fate, for the user."""
        counts = (
            (self.came, "clients came"),
            (self.refused, "clients turned away: beyond --max-clients"),
            (self.slow, "clients disconnected: they did not read"),
            (self.halves, "clients disconnected: they left a line half sent"),
            (self.unsent, "replies not sent: their client was gone"),
            (self.unanswered, "lines received but not answered: their client was let go first"),
        )
        return [f"{count} {what}" for count, what in counts if count]

    def close(self) -> None:
        """Send replies under way, for a second at most, and close everything."""
        self.ended = True
        if not self._deaf:
            self._selector.unregister(self._listener)
        self._deaf = False
        self._selector.unregister(self._signals)
        self._listener.close()
        if self._inode is not None and socket_inode(self.name) == self._inode:
            os.unlink(self.name.removeprefix(UNIX))
        for client in list(self._clients):
            client.part()
            self._changed(client)
        until = time.monotonic() + PARTING
        while self._clients and (left := until - time.monotonic()) > 0:
            self._attend(min(left, GLANCE))
        for client in list(self._clients):
            client.leave()
        self._selector.close()
        self._signals.close()


def socket_inode(address: str) -> tuple[int, int] | None:
    """Return the identity of the socket file at a path; None for TCP.

    address: as listened at.
    """
    if address.startswith(UNIX):
        with suppress(OSError):
            found = os.lstat(address.removeprefix(UNIX))
            return found.st_dev, found.st_ino
    return None
