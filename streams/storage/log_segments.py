"""Segments of a write-ahead log, read: its records, and where they stop being whole.

A file `FIRST.log` is a header and records with their length and CRC-32. A record that was being
written when the process or the machine stopped is torn, and nothing follows it; damage in the
middle has whole records behind it.
See also: wal.py for writing.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ...posteriors.errors import UsageError

HEADER = b"uncertain log 1\n"
FRAME = struct.Struct("<II")
"""Length and CRC-32 of the rest."""
HEAD = struct.Struct("<BQ")
"""Kind and number, before the body."""
LINE, REPLY = 1, 2
"""Kinds: an accepted line, and the reply to the line of the same number."""
KINDS = (LINE, REPLY)


class LogEntry(NamedTuple):
    """One record.

    kind: LINE or REPLY.
    number: number of the line, from 1.
    body: bytes.
    """

    kind: int
    number: int
    body: bytes


@dataclass(frozen=True)
class Segment:
    """A file of the log.

    path: the file.
    whole: bytes up to the end of its last whole record.
    size: bytes of the file.
    count: number of whole records.
    content: its bytes.
    """

    path: Path
    whole: int
    size: int
    count: int
    content: bytes = field(repr=False)

    @property
    def torn(self) -> int:
        """Bytes after the last whole record."""
        return self.size - self.whole

    def next_whole(self) -> int | None:
        """Find a whole record behind the damage, which a torn tail never has.

        Returns: bytes before it; None if there is none.
        """
        if not self.torn:
            return None
        # Wherever the damage ends, some byte after it begins a record if any is left.
        for at in range(self.whole, self.size - FRAME.size - HEAD.size + 1):
            if self.content[at + FRAME.size] in KINDS and _record_end(self.content, at):
                return at
        return None

    def entries(self) -> Iterator[LogEntry]:
        """Yield every whole record."""
        at = len(HEADER)
        while at < self.whole:
            length, _ = FRAME.unpack_from(self.content, at)
            at += FRAME.size
            kind, number = HEAD.unpack_from(self.content, at)
            yield LogEntry(kind, number, self.content[at + HEAD.size : at + length])
            at += length


def segment_paths(folder: Path) -> list[Path]:
    """Return the files of the log in order.

    folder: folder of the log.
    """
    return sorted(folder.glob("*.log"))


def first_line_of(path: Path) -> int:
    """Return the number of the first line that a segment may hold.

    path: the file.
    """
    return int(path.stem)


def scan_segment(path: Path) -> Segment:
    """Read a segment and find the end of its last whole record.

    path: the file.
    """
    content = path.read_bytes()
    if content[: len(HEADER)] != HEADER:
        return Segment(path, 0, len(content), 0, content)
    at, count = len(HEADER), 0
    while end := _record_end(content, at):
        at, count = end, count + 1
    return Segment(path, at, len(content), count, content)


def _record_end(content: bytes, at: int) -> int:
    """The end of the whole record that begins at a byte; 0 if none does."""
    if at + FRAME.size > len(content):
        return 0
    length, check = FRAME.unpack_from(content, at)
    end = at + FRAME.size + length
    # No record is shorter than its head: a tail of zeros is no record of length 0.
    if length < HEAD.size or end > len(content):
        return 0
    return end if zlib.crc32(content[at + FRAME.size : end]) == check else 0


def check_tail(segment: Segment) -> None:
    """Check that the newest segment ends in a torn record at most.

    segment: the newest.
    Raises: UsageError if a whole record follows the damage: a cut there would lose acknowledged
        lines.
    """
    following = segment.next_whole()
    if following is None:
        return
    size = max(segment.whole, len(HEADER))
    raise UsageError(
        f"{segment.path}: damaged at bytes {segment.whole} to {following}, with whole records "
        f"behind; restore it, or cut it there (truncate --size {size}) to go on from before the "
        "damage"
    )


def read_entries(folder: Path, after: int = 0, needed: int | None = None) -> Iterator[LogEntry]:
    """Yield records of lines with a number above `after`.

    folder: folder of the log.
    after: number of a line.
    needed: damage in a segment that only holds lines up to here is ignored; `after` unless given.
    Raises: UsageError if another segment than the last is damaged: later lines would be replayed
        onto a belief that lacks the lost ones.
    """
    least = after if needed is None else needed
    files = segment_paths(folder)
    for path, following in zip(files, [*files[1:], None], strict=True):
        if following is not None and first_line_of(following) <= after + 1:
            continue
        segment = scan_segment(path)
        if segment.torn and following is not None and first_line_of(following) > least + 1:
            raise UsageError(
                f"{path}: damaged at byte {segment.whole} before {following.name}; move later "
                "segments away to go on from before the damage"
            )
        yield from (entry for entry in segment.entries() if entry.number > after)
