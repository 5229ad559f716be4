"""Input from a Redis stream through a consumer group; no entry is lost.

An entry holds one line in its field `line`. It stays pending with this consumer until its reply is
in the stream of replies; after a crash before that, it comes again.
See also: redis_group.py for the commands, ../../decide/loop/durable/seen_ids.py for repeated lines.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from ..formats.ndjson import encode_line
from ..formats.record import Where
from .base import QUOTED, Arrival, SingleClient
from .redis_address import GroupMember, parse_redis_address
from .redis_group import BEGINNING, ConsumerGroup, Entry
from .redis_link import RedisLink, ServerAway
from .signals import Signals
from .sockets import LONGEST

FIELD = b"line"
"""Of an entry, and of a reply."""
BLOCK = 0.1
"""Seconds that the server is asked to wait at a time: a signal is heard after that."""
FIRST, MOST = 8, 64
"""Entries taken at once, first and at most: other consumers of the group do not get them."""
BUDGET = 1 << 23
"""Bytes that they should not exceed together."""
PACE = 0.05
"""Seconds that they should not last."""
FRESH = 1.0
"""Seconds after which an entry that still lies here may have become another consumer's."""
STRAY = 10.0
"""Seconds between looks for entries that were given to this consumer and never came: a request that
lay in a network may be carried out after its connection was given up."""


class Reply(NamedTuple):
    """The sink of one entry.

    stream: the input.
    entry: id.
    """

    stream: RedisStream
    entry: bytes

    def write(self, fields: dict[str, Any]) -> None:
        """Send the reply and acknowledge the entry.

        fields: values by name.
        """
        self.stream.reply(self.entry, fields)


class RedisStream(SingleClient):
    """An `Input` that reads a stream as a consumer of a group, until SIGINT or SIGTERM.

    Entries pending with this consumer come first, then new ones, and with `member.claim` those that
    other consumers left.

    address: see redis_address.py.
    member: the consumer.
    longest: most bytes of a line.
    notify: receives messages for the user, one line each.
    Raises: UsageError if the stream cannot be read.
    """

    def __init__(
        self, address: str, member: GroupMember, longest: int = LONGEST,
        notify: Callable[[str], None] = lambda text: None,
    ) -> None:  # fmt: skip
        place = parse_redis_address(address)
        self.name, self.ended, self.longest = place.name, False, longest
        self.claimed = self.deleted = self.others = self.unsent = self.left = 0
        self._ready: deque[Arrival] = deque()
        self._claim, self._claim_due = member.claim, time.monotonic()
        self._count, self._full = FIRST, False
        self._signals = Signals()
        try:
            self._link = RedisLink(place, member, self._signals, notify)
        except BaseException:
            self._signals.close()
            raise
        try:
            self._group = ConsumerGroup(self._link, place, member, notify)
        except BaseException:
            self.close()
            raise
        self._restart()
        who = f"consumer {member.consumer} of group {member.group}" + ", made now" * self._group.new
        notify(f"reading {self.name} as {who}; replies in {self._group.replies}")

    def take(self, seconds: float | None = None) -> Arrival | None:
        """Return the next line, waiting for it.

        seconds: longest wait; None is without limit.
        Returns: the line; None if none came in time, or ever.
        """
        self._signals.watch()
        until = None if seconds is None else time.monotonic() + seconds
        while not self._signals.received:
            now = time.monotonic()
            if now > self._read_at + FRESH or self._interrupted != self._interruptions():
                self._restart()
            if self._ready:
                return self._ready.popleft()
            try:
                self._read(BLOCK if until is None else max(min(until - now, BLOCK), 0.0))
            except ServerAway:
                self._restart()
            if until is not None and not self._ready and time.monotonic() >= until:
                return None
        self.ended = True
        return None

    def reply(self, entry: bytes, fields: dict[str, Any]) -> None:
        """Reply to an entry.

        entry: id.
        fields: values by name.
        """
        sent = self._group.reply(entry, encode_line(fields)[:-1])
        self.unsent += sent is None
        self.others += sent is False

    def lag(self) -> int | None:
        """Return the number of entries that no consumer was given; None if it is unknown."""
        return self._group.lag()

    def notes(self) -> list[str]:
        """Return counts of entries with an unusual fate, for the user."""
        counts = (
            (self.claimed, "entries taken over from consumers that left them"),
            (self.deleted, "entries deleted before they could be read"),
            (self.others, "entries another consumer took over meanwhile: raise its --claim"),
            (self.unsent, "replies not sent: their entries come again"),
            (self.left, "entries received but not answered: they come again"),
        )
        return [f"{count} {what}" for count, what in counts if count]

    def close(self) -> None:
        """Close the connection; unanswered entries stay pending."""
        self.ended = True
        self.left += len(self._ready)
        self._ready.clear()
        self._signals.close()
        self._link.close()

    def _restart(self) -> None:
        """Read the pending entries again: those that lay here are among them."""
        self._ready.clear()
        self._after: bytes | None = BEGINNING
        self._interrupted, self._read_at = self._interruptions(), time.monotonic()
        self._stray_due = self._read_at + STRAY

    def _interruptions(self) -> int:
        """Times that the server, or its memory of the group, was gone."""
        return self._link.losses + self._group.renewed

    def _read(self, seconds: float) -> None:
        """Have entries ready, if there are any; waits for new ones, and for a server that is away.
        Raises Away."""
        now = time.monotonic()
        if self._full:
            quick = now - self._read_at < PACE
            self._count = min(2 * self._count, MOST) if quick else max(self._count // 2, 1)
        if self._after is None and now >= self._stray_due:
            self._after, self._stray_due = BEGINNING, now + STRAY
        if self._after is not None:
            found = self._group.read_pending(self._after, self._count, seconds)
            self._after = found[-1][0] if found else None
        elif self._claim is not None and now >= self._claim_due:
            found, gone, all_seen = self._group.claim_pending(self._claim, self._count, seconds)
            self.claimed, self.deleted = self.claimed + len(found), self.deleted + gone
            self._claim_due = now + self._claim / 2 * all_seen
        else:
            found = self._group.read_new(self._count, seconds)
        self._read_at = time.monotonic()
        self._receive(found, time.perf_counter_ns())

    def _receive(self, found: list[Entry], arrived: int) -> None:
        size, self._full = 0, len(found) >= self._count
        for entry, fields in found:
            if not fields:
                self.deleted += 1
                self._group.acknowledge(entry)
                continue
            size += sum(map(len, fields))
            self._ready.append(self._arrival(entry, fields, arrived))
        if size > BUDGET // 2:
            self._count, self._full = max(self._count // 2, 1), False

    def _arrival(self, entry: bytes, fields: list[bytes], arrived: int) -> Arrival:
        """The line of an entry; one without is wrong, and shown with all that it holds."""
        where, sink = Where(f"{self.name}:{entry.decode()}", 0), Reply(self, entry)
        pairs = list(zip(fields[::2], fields[1::2], strict=True))
        wrong, line = None, next((value for name, value in pairs if name == FIELD), None)
        if line is None:
            remedy = "an entry holds one NDJSON line in a field of this name"
            wrong = where.error("line", "missing", remedy, "missing field")
            line = encode_line({_readable(name): _readable(value) for name, value in pairs})
        line = line.removesuffix(b"\n")
        kept = line if len(line) <= self.longest else line[:QUOTED]
        return Arrival(where, 0, kept, len(line), True, arrived, sink, wrong)


def _readable(value: bytes) -> str:
    """Bytes as text, those that are none escaped."""
    return value.decode(errors="backslashreplace")
