"""Commands of one consumer of a Redis consumer group: read, claim, reply, acknowledge.

A reply and the acknowledgement of its entry are one step of the server, so neither exists without
the other.
See also: redis_link.py for the connection, redis_stream.py for the order in which entries are read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...posteriors.errors import UsageError
from ...posteriors.units import MS_PER_S
from .redis_address import GroupMember, RedisAddress
from .redis_link import CommandRefused, RedisLink, ServerAway

ANSWER = """
if #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1, ARGV[2]) == 0 then return 0 end
local words = {'XADD', KEYS[2]}
if tonumber(ARGV[5]) > 0 then words = {'XADD', KEYS[2], 'MAXLEN', '~', ARGV[5]} end
for _, word in ipairs({'*', 'for', ARGV[3], 'line', ARGV[4]}) do words[#words + 1] = word end
redis.call(unpack(words))
return redis.call('XACK', KEYS[1], ARGV[1], ARGV[3])
"""
"""Reply to an entry and acknowledge it; 0 if the entry is not, or no longer, this consumer's."""
BEGINNING = b"0-0"

Entry = tuple[bytes, list[bytes] | None]
"""Id, and names and values of fields in turn; None where it was deleted."""


class ConsumerGroup:
    """One consumer of the group; a missing group is created at the beginning of the stream.

    link: connection to the server.
    place: address of the stream.
    member: the consumer.
    notify: receives messages for the user, one line each.
    new: whether this call created the group.
    renewed: times that it was deleted later and created again.
    Raises: UsageError if the keys hold another type than streams.
    """

    def __init__(
        self,
        link: RedisLink,
        place: RedisAddress,
        member: GroupMember,
        notify: Callable[[str], None],
    ) -> None:
        self.replies = member.replies or f"{place.stream}:replies"
        self._link, self._stream, self._member = link, place.stream, member
        self._name, self._notify = place.name, notify
        self.renewed, self._highest = 0, BEGINNING
        self._claimed_up_to = BEGINNING
        if self.replies == self._stream:
            raise UsageError(f"{self._name}: replies would be read as lines; name other --replies")
        self._check_types()
        self.new = self._made(BEGINNING)

    def read_new(self, count: int, seconds: float) -> list[Entry]:
        """Read entries that no consumer was given yet; they are among the pending ones later.

        count: most entries.
        seconds: longest wait for one.
        Raises: ServerAway if there is no answer.
        """
        wait = int(seconds * MS_PER_S)
        # BLOCK 0 would be for ever.
        return self._read(">", count, seconds, *(("BLOCK", wait) if wait > 0 else ()))

    def read_pending(self, after: bytes, count: int, seconds: float) -> list[Entry]:
        """Read entries that this consumer was given and has not answered, by id.

        after: id before the first.
        count: most entries.
        seconds: longest wait for the server.
        Raises: ServerAway if there is no answer.
        """
        return self._read(after, count, seconds)

    def claim_pending(
        self, idle: float, count: int, seconds: float
    ) -> tuple[list[Entry], int, bool]:
        """Claim entries pending with any consumer.

        idle: seconds that they must have been pending.
        count: most entries.
        seconds: longest wait for the server.
        Returns: the entries; the number of such entries deleted meanwhile; whether all were looked
            at.
        Raises: ServerAway if there is no answer.
        """
        wait = int(idle * MS_PER_S)
        words = (self._member.group, self._member.consumer, wait, self._claimed_up_to)
        found = self._ask("XAUTOCLAIM", self._stream, *words, "COUNT", count, within=seconds)
        if found is None:
            return [], 0, True
        self._claimed_up_to, entries, *gone = found
        whole = [(one[0], one[1]) for one in entries if one is not None]
        lost = len(gone[0]) if gone else len(entries) - len(whole)
        return whole, lost, self._claimed_up_to == BEGINNING

    def reply(self, entry: bytes, line: bytes) -> bool | None:
        """Reply to an entry.

        entry: id.
        line: the reply, JSON.
        Returns: False if it is no longer this consumer's; None if a signal came before that was
            known.
        """
        losses = self._link.losses
        try:
            done = self._answer(entry, line)
        except ServerAway:
            return None
        self._answered(entry)
        # Done before the connection was lost, it is not there to be done again.
        return done or self._link.losses > losses

    def _answer(self, entry: bytes, line: bytes) -> bool:
        member = self._member
        values = (member.group, member.consumer, entry, line, member.maxlen)
        try:
            return bool(self._link.run_script(ANSWER, (self._stream, self.replies), values))
        except CommandRefused as error:
            self._answered(entry)
            self._mend(error)
            # Whoever waits for it must not go without; that it was pending nobody knows any more.
            bound = ("MAXLEN", "~", member.maxlen) if member.maxlen else ()
            return bool(self._ask("XADD", self.replies, *bound, "*", "for", entry, "line", line))

    def acknowledge(self, entry: bytes) -> None:
        """Acknowledge an entry without a reply.

        entry: id.
        """
        self._ask("XACK", self._stream, self._member.group, entry)

    def lag(self) -> int | None:
        """Return the number of entries that no consumer was given; None if it is unknown."""
        for one in self._link.try_once("XINFO", "GROUPS", self._stream) or ():
            facts = dict(zip(one[::2], one[1::2], strict=True))
            if facts.get(b"name") == self._member.group.encode():
                return facts.get(b"lag")
        return None

    def _answered(self, entry: bytes) -> None:
        self._highest = max(self._highest, entry, key=entry_order)

    def _read(self, after: Any, count: int, seconds: float, *wait: Any) -> list[Entry]:
        words = ("GROUP", self._member.group, self._member.consumer, "COUNT", count, *wait)
        words = (*words, "STREAMS", self._stream, after)
        found = self._ask("XREADGROUP", *words, within=seconds)
        return [(id, fields) for id, fields in found[0][1]] if found else []

    def _ask(self, *words: Any, within: float | None = None) -> Any:
        """The answer; None also where the group was gone, and is there again."""
        try:
            return self._link.call(*words, within=within)
        except CommandRefused as error:
            self._mend(error)

    def _mend(self, error: CommandRefused) -> None:
        """Make a group that was deleted anew; raise UsageError for anything else."""
        if error.code == "WRONGTYPE":
            self._check_types()
        if error.code not in ("NOGROUP", "UNBLOCKED"):
            raise UsageError(f"{self._name}: refused by the server ({error})") from error
        start = self._start()
        self._made(start)
        self.renewed += 1
        where = "its beginning" if start == BEGINNING else f"what follows {start.decode()}"
        self._notify(f"{self._name}: group {self._member.group} was gone; made anew at {where}")

    def _start(self) -> bytes:
        """Id after which a new group goes on: the last answered, unless the stream is a new one."""
        try:
            found = self._link.call("XINFO", "STREAM", self._stream)
        except CommandRefused:
            return BEGINNING
        facts = dict(zip(found[::2], found[1::2], strict=True))
        last = facts.get(b"last-generated-id", BEGINNING)
        return BEGINNING if entry_order(last) < entry_order(self._highest) else self._highest

    def _made(self, start: bytes) -> bool:
        try:
            self._link.call("XGROUP", "CREATE", self._stream, self._member.group, start, "MKSTREAM")
        except CommandRefused as error:
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


def entry_order(id: bytes) -> tuple[int, int]:
    """Return the sort key of an entry's id.

    id: as the server writes it.
    """
    first, _, second = id.partition(b"-")
    return int(first), int(second)
