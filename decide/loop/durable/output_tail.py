"""The end of the output file against the log: replies there whose lines the log has lost.

Replies are logged before they are sent, except those to refused lines. So a reply that follows the
last logged one and is no error shows that the end of the log is missing, as where its newest
segment was cut off between two records.
See also: reply_log.py for logged replies, recovery.py for replies that the output lacks.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ....posteriors.errors import UsageError
from ....streams.storage.log_faults import free_path, write_file

_values = msgspec.json.Decoder()


class LoggedEnd(NamedTuple):
    """The last logged reply.

    end: bytes of the output up to its end; 0 if the output was no file.
    reply: its bytes.
    line: number of its line.
    """

    end: int
    reply: bytes
    line: int


def check_output(
    descriptor: int, logged: LoggedEnd, log: Path, salvage: bool, tell: Callable[[str], None]
) -> None:
    """Check that the log has the lines of all replies in the output.

    descriptor: of the output file.
    logged: the last logged reply.
    log: folder of the log.
    salvage: whether to move what follows that reply out of the output.
    tell: prints a line for the user.
    Raises: UsageError if replies follow whose lines are not logged, and salvage is not asked for.
    """
    tail = _read_tail(descriptor, logged)
    count = sum(map(_is_answer, tail.splitlines(keepends=True)))
    if not count:
        return
    name = os.readlink(f"/proc/self/fd/{descriptor}")
    found = (
        f"{name}: holds {count} replies behind byte {logged.end} to lines after {logged.line} that "
        f"{log} does not hold"
    )
    if not salvage:
        raise UsageError(
            f"{found}; restore the log, or go on with --resume --salvage, which keeps all up to "
            f"line {logged.line} and moves those replies out of the file"
        )
    aside = free_path(log / "output")
    try:
        write_file(aside, tail)
        os.ftruncate(descriptor, logged.end)
    except OSError as error:
        raise UsageError(f"{name}: cannot be salvaged ({error.strerror})") from error
    tell(f"{found}; dropped those lines, {len(tail):,} bytes moved to {aside}")


def _read_tail(descriptor: int, logged: LoggedEnd) -> bytes:
    """What follows the last logged reply; empty where the file is another, or cannot be read."""
    begin = logged.end - len(logged.reply)
    if begin < 0 or os.fstat(descriptor).st_size <= logged.end:
        return b""
    try:
        # The descriptor itself is for appending.
        with open(f"/proc/self/fd/{descriptor}", "rb") as file:
            file.seek(begin)
            content = file.read()
    except OSError:
        return b""
    return content[len(logged.reply) :] if content.startswith(logged.reply) else b""


def _is_answer(line: bytes) -> bool:
    """Whether bytes of the output are a whole reply to a line that was accepted."""
    try:
        reply: Any = _values.decode(line)
    except msgspec.DecodeError:  # cut short, or of another hand
        return False
    whole = line.endswith(b"\n") and isinstance(reply, dict)
    return whole and "id" in reply and "error" not in reply
