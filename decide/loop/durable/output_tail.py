"""The end of the output file against the log: replies there whose lines the log has lost.

Replies are logged before they are sent, except those to refused lines. So a reply that follows the
last logged one and is no error shows that the end of the log is missing, as where its newest
segment was cut off between two records. Half a line there answers no line, and is removed.
See also: reply_log.py for logged replies, recovery.py for replies that the output lacks.
"""

from __future__ import annotations

import os
import zlib
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
    length: its bytes; 0 before the first one.
    check: CRC-32 of it.
    device, inode: of the output.
    """

    end: int
    length: int
    check: int
    device: int = 0
    inode: int = 0


def check_output(
    descriptor: int,
    logged: LoggedEnd,
    line: int,
    log: Path,
    salvage: Callable[[str], None] | None,
    tell: Callable[[str], None],
) -> None:
    """Check that the log has the lines of all replies in the output.

    descriptor: of the output file.
    logged: the last logged reply.
    line: number of its line, or of a later one that had no reply.
    log: folder of the log.
    salvage: prints a line after what follows was moved out of the output; None refuses it.
    tell: prints a line for the user.
    Raises: UsageError if replies follow whose lines are not logged.
    """
    tail = _read_tail(descriptor, logged)
    count = sum(map(_is_answer, tail.splitlines(keepends=True)))
    half = tail[tail.rfind(b"\n") + 1 :]
    if not count and half and half[:2] in (b"{", b'{"'):
        # The next reply would stand on the same line.
        os.ftruncate(descriptor, os.fstat(descriptor).st_size - len(half))
        tell(f"{len(half)} bytes of a reply that was cut short removed from the output")
    if not count:
        return
    name = os.readlink(f"/proc/self/fd/{descriptor}")
    found = (
        f"{name}: holds {count} replies behind byte {logged.end} to lines after {line} that {log} "
        "does not hold"
    )
    if salvage is None:
        raise UsageError(
            f"{found}; restore the log, or name another output if they are of another run, or go "
            f"on with --resume --salvage, which keeps all up to line {line} and moves those "
            "replies out of the file"
        )
    aside = free_path(log / "output")
    try:
        write_file(aside, tail)
        os.ftruncate(descriptor, logged.end)
    except OSError as error:
        raise UsageError(f"{name}: cannot be salvaged ({error.strerror})") from error
    salvage(f"{found}; dropped those lines, {len(tail):,} bytes moved to {aside}")


def _read_tail(descriptor: int, logged: LoggedEnd) -> bytes:
    """What follows the last logged reply; empty where the file is another, or cannot be read."""
    begin, found = logged.end - logged.length, os.fstat(descriptor)
    same = logged.length > 0 or (found.st_dev, found.st_ino) == logged[3:]
    if begin < 0 or found.st_size <= logged.end or not same:
        return b""
    try:
        # The descriptor itself is for appending.
        with open(f"/proc/self/fd/{descriptor}", "rb") as file:
            file.seek(begin)
            content = file.read()
    except OSError:
        return b""
    reply, tail = content[: logged.length], content[logged.length :]
    return tail if zlib.crc32(reply) == logged.check else b""


def _is_answer(line: bytes) -> bool:
    """Whether bytes of the output are a whole reply to a line that was accepted."""
    try:
        reply: Any = _values.decode(line)
    except msgspec.DecodeError:  # cut short, or of another hand
        return False
    whole = line.endswith(b"\n") and isinstance(reply, dict)
    return whole and "id" in reply and "error" not in reply
