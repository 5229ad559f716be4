"""A write-ahead log: accepted lines and their replies, kept before any reply is sent.

Append-only segments `FIRST.log`, each a header and records with their length and CRC-32. A torn
record was being written when the process or the machine stopped; it is recognised and cut off.
See also: checkpoint.py for checkpoints, ../../decide/loop/durable/durable.py for the records'
meaning.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from threading import Event as Flag
from threading import Lock, Thread
from typing import NamedTuple

from ...posteriors.errors import UsageError

HEADER = b"uncertain log 1\n"
FRAME = struct.Struct("<II")
"""Length and CRC-32 of the rest."""
HEAD = struct.Struct("<BQ")
"""Kind and number, before the body."""
LINE, REPLY = 1, 2
"""Kinds: an accepted line, and the reply to the line of the same number."""
ALWAYS, INTERVAL, NEVER = FSYNC = ("always", "interval", "never")
SECONDS_BETWEEN = 1.0
"""At most, between two fsyncs under `interval`."""
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
    while at + FRAME.size <= len(content):
        length, check = FRAME.unpack_from(content, at)
        payload = content[at + FRAME.size : at + FRAME.size + length]
        # No record is shorter than its head: a tail of zeros is no record of length 0.
        if length < HEAD.size or len(payload) < length or zlib.crc32(payload) != check:
            break
        at, count = at + FRAME.size + length, count + 1
    return Segment(path, at, len(content), count, content)


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


class WriteAheadLog:
    """The log in a folder, open for appending; a torn tail is cut off (`cut_bytes`).

    Appended records survive the process in any mode.

    folder: the folder, made if missing.
    fsync: `always`, before `settle` returns; `interval`, once a second in a thread; `never`, left
        to the operating system.
    first: number of the first line, for a new log.
    Raises: UsageError, old records intact, if the disk is full or read-only.
    """

    def __init__(self, folder: Path, fsync: str = INTERVAL, first: int = 1) -> None:
        self.folder, self.fsync, self.cut_bytes = folder, fsync, 0
        self._dirty, self._closed = False, Flag()
        self._failed: OSError | None = None
        # Held while the file is synced or changed for another.
        self._using = Lock()
        with self._storage_errors():
            folder.mkdir(parents=True, exist_ok=True)
            files = segment_paths(folder)
            if files:
                self._reopen(files[-1])
            else:
                self._create(first)
        self._flusher: Thread | None = None
        if fsync == INTERVAL:
            self._flusher = Thread(target=self._flush_now_and_then, daemon=True)
            self._flusher.start()

    def append(self, kind: int, number: int, body: bytes) -> None:
        """Write a record, all of it or nothing.

        kind: LINE or REPLY.
        number: number of the line.
        body: bytes.
        Raises: UsageError if it cannot be written.
        """
        payload = HEAD.pack(kind, number) + body
        record = FRAME.pack(len(payload), zlib.crc32(payload)) + payload
        # Every line pays for this twice: a context manager would cost as much as the write.
        try:
            if self._failed is not None:
                raise self._failed
            self._write(record)
        except OSError as error:
            raise self._refusal(error) from error
        self._dirty = True

    def settle(self) -> None:
        """Sync to disk under `always`."""
        if self.fsync == ALWAYS:
            self.sync()

    def sync(self) -> None:
        """Sync appended records to disk."""
        self._dirty = False
        with self._storage_errors():
            os.fdatasync(self._file)

    def rotate(self, first: int) -> None:
        """Go on in a new segment, unless this one is empty.

        first: number of the first line there.
        """
        if self.size == len(HEADER):
            return
        if self.fsync != NEVER:
            self.sync()
        with self._storage_errors(), self._using:
            before = self._file
            self._create(first)
            os.close(before)

    def prune(self, oldest: int) -> None:
        """Remove segments that hold only lines up to `oldest`.

        oldest: number of a line.
        """
        files = segment_paths(self.folder)
        for path, following in pairwise(files):
            if first_line_of(following) <= oldest + 1:
                with self._storage_errors():
                    path.unlink()

    def close(self) -> None:
        """Sync, unless `never`, and close."""
        self._closed.set()
        if self._flusher is not None:
            self._flusher.join()
        try:
            if self.fsync != NEVER:
                self.sync()
        finally:
            os.close(self._file)

    def _create(self, first: int) -> None:
        path = self.folder / f"{first:0{DIGITS}}.log"
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        self.size = 0
        self._write(HEADER)
        if self.fsync != NEVER:
            sync_folder(self.folder)

    def _reopen(self, path: Path) -> None:
        segment = scan_segment(path)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND)
        self.cut_bytes, self.size = segment.torn, segment.whole
        if self.cut_bytes:
            os.ftruncate(self._file, self.size)
        if not self.size:
            self._write(HEADER)

    def _write(self, record: bytes) -> None:
        try:
            done = os.write(self._file, record)
            while done < len(record):
                done += os.write(self._file, record[done:])
        except OSError:
            os.ftruncate(self._file, self.size)
            raise
        self.size += len(record)

    def _flush_now_and_then(self) -> None:
        while not self._closed.wait(SECONDS_BETWEEN):
            if not self._dirty:
                continue
            self._dirty = False
            try:
                with self._using:
                    os.fdatasync(self._file)
            except OSError as error:  # told by the next append: nobody listens here
                self._failed = error

    @contextmanager
    def _storage_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._refusal(error) from error

    def _refusal(self, error: OSError) -> UsageError:
        return UsageError(
            f"{self.folder}: the log cannot be written ({error.strerror or error}); nothing "
            "accepted is lost: put that right and go on with --resume"
        )


def sync_folder(folder: Path) -> None:
    """Sync a folder's own entries to disk.

    folder: the folder.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
