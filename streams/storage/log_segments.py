"""Segments of a write-ahead log, read: its records, and where they stop being whole.

A file `FIRST.log` is a header and records. The header holds the number of the first line, the
checksum of the record before it in the segment before, and its own CRC-32. The CRC-32 of a record
begins from that of the record before it, the first from the header's: a record that was removed,
repeated or swapped breaks the chain. Version 1 had neither numbers nor a chain.
A record that was being written when the process or the machine stopped is torn: it is short, or
zeros from some byte on, and nothing follows it. Anything else is damage.
See also: wal.py for writing, log_faults.py for refusal and salvage.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ...posteriors.errors import UsageError

MAGIC, OLD_MAGIC = b"uncertain log 2\n", b"uncertain log 1\n"
START = struct.Struct("<QI")
"""Number of the first line, and checksum of the record before it; 0 if there is none."""
CHECK = struct.Struct("<I")
HEADER_SIZE = len(MAGIC) + START.size + CHECK.size
FRAME = struct.Struct("<II")
"""Length and CRC-32 of the rest."""
HEAD = struct.Struct("<BQ")
"""Kind and number, before the body."""
LINE, REPLY = 1, 2
"""Kinds: an accepted line, and the reply to the line of the same number."""
KINDS = (LINE, REPLY)
DIGITS = 16
"""Of a segment's first number in its name, so that names sort as numbers do."""


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
    begin: bytes before its first record; 0 if its header is not whole.
    before: checksum of the record before its first, by its header; None in version 1.
    whole: bytes up to the end of its last whole record.
    size: bytes of the file.
    count: number of whole records.
    line: number of its last whole line, else of the line before it.
    check: checksum that the next record begins from; in version 1, of the last whole record.
    content: its bytes.
    """

    path: Path
    begin: int
    before: int | None
    whole: int
    size: int
    count: int
    line: int
    check: int
    content: bytes = field(repr=False)

    @property
    def torn(self) -> int:
        """Bytes after the last whole record."""
        return self.size - self.whole

    @property
    def seed(self) -> int:
        """Checksum that the CRC-32 of the next record begins from."""
        return 0 if self.before is None else self.check

    def damage(self) -> str:
        """Say how it is damaged: "" if it is whole, or torn at its end."""
        if not self.begin:
            return self._header_damage()
        following = self.next_whole()
        if following is not None:
            return f"damaged at bytes {self.whole} to {following}, with whole records behind"
        if self._ends_full():
            return (
                f"damaged at bytes {self.whole} to {self.size}, a record of full length whose "
                "checksum or number is wrong"
            )
        return ""

    def next_whole(self) -> int | None:
        """Find a whole record behind the damage, which a torn tail never has.

        Returns: bytes before it; None if there is none.
        """
        if not self.torn or not self.begin:
            return None
        # Wherever the damage ends, some byte after it begins a record if any is left.
        for at in range(self.whole + 1, self.size - FRAME.size - HEAD.size + 1):
            if self.content[at + FRAME.size] in KINDS and self._looks_whole(at):
                return at
        return None

    def entries(self) -> Iterator[LogEntry]:
        """Yield every whole record."""
        at = self.begin
        while at < self.whole:
            length, _ = FRAME.unpack_from(self.content, at)
            at += FRAME.size
            kind, number = HEAD.unpack_from(self.content, at)
            yield LogEntry(kind, number, self.content[at + HEAD.size : at + length])
            at += length

    def last_line(self) -> int:
        """Find the number of the last line of which anything is left, also behind the damage."""
        at, last = self.next_whole(), self.line
        if at is None:
            at = self.whole or HEADER_SIZE
        while at + FRAME.size + HEAD.size <= self.size:
            length, _ = FRAME.unpack_from(self.content, at)
            if not self._plausible(at):
                break
            last = max(last, HEAD.unpack_from(self.content, at + FRAME.size)[1])
            at += FRAME.size + length
        return last

    def _plausible(self, at: int) -> bool:
        """Whether length, kind and number of a record fit the file."""
        length, _ = FRAME.unpack_from(self.content, at)
        kind, number = HEAD.unpack_from(self.content, at + FRAME.size)
        fits = HEAD.size <= length <= self.size - at - FRAME.size
        # No segment holds more lines than bytes.
        return fits and kind in KINDS and self.line <= number <= self.line + self.size

    def _looks_whole(self, at: int) -> bool:
        """Whether a whole record begins at a byte, though the one before it may be lost."""
        if self.before is None:
            return _record_end(self.content, at, 0) > 0
        if self.torn >= FRAME.size:
            # Its chain begins from the checksum that the damaged record had.
            _, before = FRAME.unpack_from(self.content, self.whole)
            if _record_end(self.content, at, before):
                return True
        if not self._plausible(at):
            return False
        # That checksum is lost; the record behind, or the end of the file, shows that it fits.
        length, check = FRAME.unpack_from(self.content, at)
        end = at + FRAME.size + length
        return end == self.size or _record_end(self.content, end, check) > 0

    def _ends_full(self) -> bool:
        """Whether the bytes after the last whole record are all there, and wrong."""
        rest = self.content[self.whole :]
        written = len(rest.rstrip(b"\0"))
        if written < FRAME.size:
            return False
        length, check = FRAME.unpack_from(rest)
        # A record that is right but for its length looks short.
        payload = rest[FRAME.size :]
        return FRAME.size + length <= written or zlib.crc32(payload, self.seed) == check

    def _header_damage(self) -> str:
        """How the header is damaged: "" if it is torn."""
        written = self.content.rstrip(b"\0")
        if len(written) < HEADER_SIZE and any(
            magic.startswith(written[: len(magic)]) for magic in (MAGIC, OLD_MAGIC)
        ):
            return ""
        if (start := _read_start(self.content)) is not None:
            return f"holds lines from number {start[0]} on, which its name does not say"
        return f"damaged at bytes 0 to {min(HEADER_SIZE, self.size)}, its header"


def header_of(first: int, before: int) -> bytes:
    """Return the header of a segment.

    first: number of its first line.
    before: checksum of the record before it; 0 if there is none.
    """
    start = MAGIC + START.pack(first, before)
    return start + CHECK.pack(zlib.crc32(start))


def segment_paths(folder: Path) -> list[Path]:
    """Return the files of the log in order.

    folder: folder of the log.
    """
    return sorted(folder.glob("*.log"))


def segment_path(folder: Path, first: int) -> Path:
    """Return the file of a segment.

    folder: folder of the log.
    first: number of its first line.
    """
    return folder / f"{first:0{DIGITS}}.log"


def first_line_of(path: Path) -> int:
    """Return the number of the first line that a segment may hold.

    path: the file.
    """
    return int(path.stem)


def scan_segment(path: Path) -> Segment:
    """Read a segment and find the end of its last whole record.

    path: the file.
    """
    content, line = path.read_bytes(), first_line_of(path) - 1
    begin, before, check = 0, None, 0
    if content[: len(OLD_MAGIC)] == OLD_MAGIC:
        begin = len(OLD_MAGIC)
    elif (start := _read_start(content)) is not None and start[0] == line + 1:
        begin, before = HEADER_SIZE, start[1]
        (check,) = CHECK.unpack_from(content, HEADER_SIZE - CHECK.size)
    at, count = begin, 0
    while begin and (end := _record_end(content, at, 0 if before is None else check)):
        kind, number = HEAD.unpack_from(content, at + FRAME.size)
        if kind not in KINDS or number != line + (kind == LINE):
            break
        _, check = FRAME.unpack_from(content, at)
        at, count, line = end, count + 1, number
    return Segment(path, begin, before, at, len(content), count, line, check, content)


def _read_start(content: bytes) -> tuple[int, int] | None:
    """First line and checksum before it, from a whole header of this version."""
    if len(content) < HEADER_SIZE or content[: len(MAGIC)] != MAGIC:
        return None
    start = START.unpack_from(content, len(MAGIC))
    return start if header_of(*start) == content[:HEADER_SIZE] else None


def _record_end(content: bytes, at: int, before: int) -> int:
    """The end of the whole record that begins at a byte; 0 if none does."""
    if at + FRAME.size > len(content):
        return 0
    length, check = FRAME.unpack_from(content, at)
    end = at + FRAME.size + length
    # No record is shorter than its head: a tail of zeros is no record of length 0.
    if length < HEAD.size or end > len(content):
        return 0
    return end if zlib.crc32(content[at + FRAME.size : end], before) == check else 0


def link_damage(segment: Segment, check: int | None) -> str:
    """Say how a segment does not continue the chain; "" if it does.

    segment: the segment.
    check: checksum of the record before it; None if unknown.
    """
    if segment.before is None or check is None or segment.before == check:
        return ""
    return "does not continue the log before it"


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
