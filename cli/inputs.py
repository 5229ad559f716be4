"""Where the lines of `uncertain run` come from, and what becomes of those that are refused.

Not here: the inputs themselves (streams/), or the answers (run.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from .environment import Environment

if TYPE_CHECKING:
    from ..streams.arriving import Input, Sink
    from ..streams.refused import Refusals


class OnError(StrEnum):
    """What becomes of a line that is wrong."""

    STOP = "stop"
    """It ends the run; a client's ends its connection."""
    SKIP = "skip"
    """It is answered with its error, and counted."""
    QUARANTINE = "quarantine"
    """The same, and it is kept in a file."""


@dataclass(frozen=True)
class Intake:
    """Options of `uncertain run`, each of the same name there.

    max_line: bytes, None for what is usual for that input. The last five are of a Redis stream;
    claim: seconds.
    """

    file: str = "-"
    on_error: OnError = OnError.STOP
    quarantine: str = "refused.ndjson"
    max_line: int | None = None
    follow: bool = False
    max_clients: int = 256
    stalled: float = 30.0
    allow_remote: bool = False
    group: str = "uncertain"
    consumer: str = "1"
    replies: str | None = None
    maxlen: int = 100_000
    claim: float | None = None


@contextmanager
def opened(
    intake: Intake, environment: Environment, sink: Sink, tell: Callable[[str], None]
) -> Iterator[Input]:
    """The input, closed at the end. Raises UsageError where it cannot be had."""
    source = input_of(intake, environment, sink, tell)
    try:
        yield source
    finally:
        source.close()


def input_of(
    intake: Intake, environment: Environment, sink: Sink, tell: Callable[[str], None]
) -> Input:
    """The input that FILE and its options ask for. tell: says a line to the person."""
    from ..posteriors.base import UsageError
    from ..streams.addresses import is_address, is_redis
    from ..streams.files import LONGEST_LINE, check_readable
    from ..streams.reading import Reading

    if is_address(intake.file):
        from ..streams.redis_address import Member
        from ..streams.redis_stream import RedisStream
        from ..streams.sockets import LONGEST, Sockets

        longest = intake.max_line or LONGEST
        if intake.follow:
            raise UsageError("--follow is for a file, not for an address: leave it out")
        if is_redis(intake.file):
            member = Member(
                intake.group, intake.consumer, intake.replies, intake.maxlen, intake.claim
            )
            return RedisStream(intake.file, member, longest, tell)
        return Sockets(
            intake.file, longest, intake.max_clients, intake.allow_remote, intake.stalled, tell
        )  # fmt: skip
    if intake.follow:
        from ..streams.following import Following

        return Following(intake.file, sink, intake.max_line or LONGEST_LINE, tell)
    check_readable([intake.file])
    return Reading(intake.file, sink, environment.stdin, intake.max_line or LONGEST_LINE)


def refusals_of(intake: Intake, field: str | None = None) -> Refusals:
    """Counts of refused lines, and the file that keeps them if that is asked for. field: of
    --key-by."""
    from ..streams.refused import Refusals

    return Refusals(intake.quarantine if intake.on_error == OnError.QUARANTINE else None, field)


__all__ = ["Intake", "OnError", "input_of", "opened", "refusals_of"]
