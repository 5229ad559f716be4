"""A consumer's part in a group of a Redis stream: what it asks the server for, and how it answers.

A reply and the acknowledgement of what it answers are one step of the server's, so neither is there
without the other. Not here: getting through to the server (redis_link.py), or the order in which
entries are read (redis_stream.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..posteriors.base import UsageError
from .redis_address import Member, Place
from .redis_link import Away, Link, Refused

ANSWER = """
if #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1, ARGV[2]) == 0 then return 0 end
local words = {'XADD', KEYS[2]}
if tonumber(ARGV[5]) > 0 then words = {'XADD', KEYS[2], 'MAXLEN', '~', ARGV[5]} end
for _, word in ipairs({'*', 'for', ARGV[3], 'line', ARGV[4]}) do words[#words + 1] = word end
redis.call(unpack(words))
return redis.call('XACK', KEYS[1], ARGV[1], ARGV[3])
"""
"""Reply to an entry and have done with it; 0 where it is not, or no longer, this consumer's."""
BEGINNING = b"0-0"
MILLISECONDS = 1e3
"""In one second."""

Entry = tuple[bytes, list[bytes] | None]
"""Id, and names and values of fields in turn; None where it was deleted."""


class Group:
    """Consumer `member.consumer` of the group, which is made if need be, at the stream's beginning.

    new: whether it was not there before. renewed: how often it was gone later. tell: says a line to
    the person. Raises UsageError where the keys are of another type.
    """

    def __init__(
        self, link: Link, place: Place, member: Member, tell: Callable[[str], None]
    ) -> None:
        self.replies = member.replies or f"{place.stream}:replies"
        self._link, self._stream, self._member = link, place.stream, member
        self._name, self._tell = place.name, tell
        self.renewed, self._highest = 0, BEGINNING
        self._claimed_up_to = BEGINNING
        if self.replies == self._stream:
            raise UsageError(f"{self._name}: replies would be read as lines; name other --replies")
        self._check_types()
        self.new = self._made(BEGINNING)

    def unread(self, count: int, seconds: float) -> list[Entry]:
        """At most `count` entries that nobody was given; waits for one for `seconds`. Raises Away;
        what was given then is among what is `pending` later."""
        wait = int(seconds * MILLISECONDS)
        # BLOCK 0 would be for ever.
        return self._read(">", count, seconds, *(("BLOCK", wait) if wait > 0 else ()))

    def pending(self, after: bytes, count: int, seconds: float) -> list[Entry]:
        """At most `count` entries that this consumer was given and has not answered, by id. Raises
        Away where the server cannot be reached within `seconds`."""
        return self._read(after, count, seconds)

    def claim(self, idle: float, count: int, seconds: float) -> tuple[list[Entry], int, bool]:
        """Entries given to any consumer `idle` seconds ago or more and not answered, now this
        one's; how many more of those were deleted; whether all were looked at. Raises Away, as
        `unread` does."""
        wait = int(idle * MILLISECONDS)
        words = (self._member.group, self._member.consumer, wait, self._claimed_up_to)
        found = self._ask("XAUTOCLAIM", self._stream, *words, "COUNT", count, within=seconds)
        if found is None:
            return [], 0, True
        self._claimed_up_to, entries, *gone = found
        whole = [(one[0], one[1]) for one in entries if one is not None]
        lost = len(gone[0]) if gone else len(entries) - len(whole)
        return whole, lost, self._claimed_up_to == BEGINNING

    def answer(self, entry: bytes, line: bytes) -> bool | None:
        """Reply to an entry; False where it is no longer this consumer's, None where asked to end
        before that could be told."""
        losses = self._link.losses
        try:
            done = self._answer(entry, line)
        except Away:
            return None
        self._answered(entry)
        # Done before the connection was lost, it is not there to be done again.
        return done or self._link.losses > losses

    def _answer(self, entry: bytes, line: bytes) -> bool:
        member = self._member
        values = (member.group, member.consumer, entry, line, member.maxlen)
        try:
            return bool(self._link.run(ANSWER, (self._stream, self.replies), values))
        except Refused as error:
            self._answered(entry)
            self._mend(error)
            # Whoever waits for it must not go without; that it was pending nobody knows any more.
            bound = ("MAXLEN", "~", member.maxlen) if member.maxlen else ()
            return bool(self._ask("XADD", self.replies, *bound, "*", "for", entry, "line", line))

    def forget(self, entry: bytes) -> None:
        """Have done with an entry without a reply."""
        self._ask("XACK", self._stream, self._member.group, entry)

    def lag(self) -> int | None:
        """Entries that nobody in the group was given, where the server can tell."""
        for one in self._link.glance("XINFO", "GROUPS", self._stream) or ():
            facts = dict(zip(one[::2], one[1::2], strict=True))
            if facts.get(b"name") == self._member.group.encode():
                return facts.get(b"lag")
        return None

    def _answered(self, entry: bytes) -> None:
        self._highest = max(self._highest, entry, key=order)

    def _read(self, after: Any, count: int, seconds: float, *wait: Any) -> list[Entry]:
        words = ("GROUP", self._member.group, self._member.consumer, "COUNT", count, *wait)
        words = (*words, "STREAMS", self._stream, after)
        found = self._ask("XREADGROUP", *words, within=seconds)
        return [(id, fields) for id, fields in found[0][1]] if found else []

    def _ask(self, *words: Any, within: float | None = None) -> Any:
        """The answer; None also where the group was gone, and is there again."""
        try:
            return self._link.call(*words, within=within)
        except Refused as error:
            self._mend(error)

    def _mend(self, error: Refused) -> None:
        """Make a group that was deleted anew; raise UsageError for anything else."""
        if error.code == "WRONGTYPE":
            self._check_types()
        if error.code not in ("NOGROUP", "UNBLOCKED"):
            raise UsageError(f"{self._name}: refused by the server ({error})") from error
        start = self._start()
        self._made(start)
        self.renewed += 1
        where = "its beginning" if start == BEGINNING else f"what follows {start.decode()}"
        self._tell(f"{self._name}: group {self._member.group} was gone; made anew at {where}")

    def _start(self) -> bytes:
        """Where a group made anew goes on: behind what was answered here, unless the stream is
        another one by now."""
        try:
            found = self._link.call("XINFO", "STREAM", self._stream)
        except Refused:
            return BEGINNING
        facts = dict(zip(found[::2], found[1::2], strict=True))
        last = facts.get(b"last-generated-id", BEGINNING)
        return BEGINNING if order(last) < order(self._highest) else self._highest

    def _made(self, start: bytes) -> bool:
        try:
            self._link.call("XGROUP", "CREATE", self._stream, self._member.group, start, "MKSTREAM")
        except Refused as error:
            if error.code != "BUSYGROUP":
                raise UsageError(f"{self._name}: refused by the server ({error})") from error
            return False
        return True

    def _check_types(self) -> None:
        for key, option in ((self._stream, "STREAM"), (self.replies, "--replies")):
            kind = self._ask("TYPE", key)
            if kind not in (b"none", b"stream"):
                raise UsageError(
                    f"{self._name}: {key} is a {kind.decode()}, not a stream; name another {option}"
                )


def order(id: bytes) -> tuple[int, int]:
    """What the ids of entries are ordered by."""
    first, _, second = id.partition(b"-")
    return int(first), int(second)
