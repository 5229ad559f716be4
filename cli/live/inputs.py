"""The input of `uncertain run` and the fate of refused lines.

See also: streams/inputs/base.py for inputs, run.py for answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ...posteriors.errors import UsageError
from ...streams.formats.files import LONGEST_LINE, check_readable
from ...streams.inputs.addresses import is_address, is_redis_address
from ...streams.inputs.base import Input, Sink
from ...streams.inputs.file import FileInput
from ...streams.inputs.redis_address import GroupMember
from ...streams.inputs.redis_stream import RedisStream
from ...streams.inputs.rejected import RejectedLines
from ...streams.inputs.sockets import LONGEST, Sockets
from ...streams.inputs.tail import Tail
from ..commands.run import OnError, RunOptions
from ..environment import Environment


@contextmanager
def open_input(
    options: RunOptions, environment: Environment, sink: Sink, tell: Callable[[str], None]
) -> Iterator[Input]:
    """Open the input while the block runs.

    options: of the command.
    environment: standard input.
    sink: receives replies to lines of a file or standard input.
    tell: prints a line.
    Raises: UsageError if the input cannot be opened.
    """
    source = _build_input(options, environment, sink, tell)
    try:
        yield source
    finally:
        source.close()


def _build_input(
    options: RunOptions, environment: Environment, sink: Sink, tell: Callable[[str], None]
) -> Input:
    """Return the input that FILE and its options name."""
    if is_address(options.file):
        longest = options.max_line or LONGEST
        if options.follow:
            raise UsageError("--follow is for a file, not for an address: leave it out")
        if is_redis_address(options.file):
            member = GroupMember(
                options.group, options.consumer, options.replies, options.maxlen, options.claim
            )
            return RedisStream(options.file, member, longest, tell)
        return Sockets(
            options.file, longest, options.max_clients, options.allow_remote, options.stalled, tell
        )  # fmt: skip
    if options.follow:
        return Tail(options.file, sink, options.max_line or LONGEST_LINE, tell)
    check_readable([options.file])
    return FileInput(options.file, sink, environment.stdin, options.max_line or LONGEST_LINE)


def refusals_of(options: RunOptions, field: str | None = None) -> RejectedLines:
    """Return the counter of refused lines, with the quarantine file if asked for.

    options: of the command.
    field: of `--key-by`.
    """
    return RejectedLines(
        options.quarantine if options.on_error == OnError.QUARANTINE else None, field
    )


__all__ = ["open_input", "refusals_of"]
