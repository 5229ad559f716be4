"""Entries of a Redis stream, shared by a consumer group: an `Input` that loses none of them.

An entry holds one line in its field `line`. It stays this consumer's until its reply is in the
stream of replies, so whatever happens before that, it comes again. Not here: what is asked of the
server (redis_group.py), or knowing a line that comes again (decide/loop/known.py).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from .arriving import QUOTED, Alone, Arrival
from .ending import Ending
from .ndjson import encode
from .record import Where
from .redis_address import Member, place_of
from .redis_group import BEGINNING, Entry, Group
from .redis_link import Away, Link
from .sockets import LONGEST

FIELD = b"line"
"""Of an entry, and of a reply."""
BLOCK = 0.1
"""Seconds that the server is asked to wait at a time: a signal is heard after that."""
FIRST, MOST = 8, 64
"""Entries taken at once, to begin with and at most: what lies here nobody else in the group has."""
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
    """The sink of one entry."""

    stream: RedisStream
    entry: bytes

    def write(self, fields: dict[str, Any]) -> None:
        """Send the reply, and have done with the entry."""
        self.stream.answer(self.entry, fields)


class RedisStream(Alone):
    """Reads the stream at `address` (see redis_address.py) as a consumer of a group, until SIGINT
    or SIGTERM.

    What this consumer was given before and has not answered comes first, then what is new, and
    with `member.claim` what other consumers left. longest: bytes of a line. tell: says a line to
    the person. Raises UsageError where it cannot be read.
    """

    def __init__(
        self, address: str, member: Member, longest: int = LONGEST,
        tell: Callable[[str], None] = lambda text: None,
    ) -> None:  # fmt: skip
        place = place_of(address)
        self.name, self.ended, self.longest = place.name, False, longest
        self.claimed = self.deleted = self.others = self.unsent = self.left = 0
        self._ready: deque[Arrival] = deque()
        self._claim, self._claim_due = member.claim, time.monotonic()
        self._count, self._full = FIRST, False
        self._ending = Ending()
        try:
            self._link = Link(place, member, self._ending, tell)
        except BaseException:
            self._ending.close()
            raise
        try:
            self._group = Group(self._link, place, member, tell)
        except BaseException:
            self.close()
            raise
        self._restart()
        who = f"consumer {member.consumer} of group {member.group}" + ", made now" * self._group.new
        tell(f"reading {self.name} as {who}; replies in {self._group.replies}")

    def take(self, seconds: float | None = None) -> Arrival | None:
        """The next line; None where none came within `seconds` (None: however long), or ever."""
        self._ending.begin()
        until = None if seconds is None else time.monotonic() + seconds
        while not self._ending.asked:
            now = time.monotonic()
            if now > self._read_at + FRESH or self._interrupted != self._interruptions():
                self._restart()
            if self._ready:
                return self._ready.popleft()
            try:
                self._read(BLOCK if until is None else max(min(until - now, BLOCK), 0.0))
            except Away:
                self._restart()
            if until is not None and not self._ready and time.monotonic() >= until:
                return None
        self.ended = True
        return None

    def answer(self, entry: bytes, fields: dict[str, Any]) -> None:
        """Reply to an entry."""
        told = self._group.answer(entry, encode(fields)[:-1])
        self.unsent += told is None
        self.others += told is False

    def lag(self) -> int | None:
        """Entries that nobody in the group was given yet, where that can be known."""
        return self._group.lag()

    def notes(self) -> list[str]:
        """What became of entries."""
        counts = (
            (self.claimed, "entries taken over from consumers that left them"),
            (self.deleted, "entries deleted before they could be read"),
            (self.others, "entries another consumer took over meanwhile: raise its --claim"),
            (self.unsent, "replies not sent: their entries come again"),
            (self.left, "entries received but not answered: they come again"),
        )
        return [f"{count} {what}" for count, what in counts if count]

    def close(self) -> None:
        """Let go of the server; what was not answered stays this consumer's."""
        self.ended = True
        self.left += len(self._ready)
        self._ready.clear()
        self._ending.close()
        self._link.close()

    def _restart(self) -> None:
        """Go on with what is this consumer's and not answered: what lay here is among it."""
        self._ready.clear()
        self._after: bytes | None = BEGINNING
        self._interrupted, self._read_at = self._interruptions(), time.monotonic()
        self._stray_due = self._read_at + STRAY

    def _interruptions(self) -> int:
        """How often the server, or what it knew, was gone."""
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
            found = self._group.pending(self._after, self._count, seconds)
            self._after = found[-1][0] if found else None
        elif self._claim is not None and now >= self._claim_due:
            found, gone, all_seen = self._group.claim(self._claim, self._count, seconds)
            self.claimed, self.deleted = self.claimed + len(found), self.deleted + gone
            self._claim_due = now + self._claim / 2 * all_seen
        else:
            found = self._group.unread(self._count, seconds)
        self._read_at = time.monotonic()
        self._receive(found, time.perf_counter_ns())

    def _receive(self, found: list[Entry], arrived: int) -> None:
        size, self._full = 0, len(found) >= self._count
        for entry, fields in found:
            if not fields:
                self.deleted += 1
                self._group.forget(entry)
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
            line = encode({readable(name): readable(value) for name, value in pairs})
        line = line.removesuffix(b"\n")
        kept = line if len(line) <= self.longest else line[:QUOTED]
        return Arrival(where, 0, kept, len(line), True, arrived, sink, wrong)


def readable(value: bytes) -> str:
    """Bytes as text, those that are none escaped."""
    return value.decode(errors="backslashreplace")
