"""A write-ahead log: accepted lines and their replies, kept before any reply is sent.

Append-only segments `FIRST.log`. A torn record was being written when the process or the machine
stopped; it is recognised and cut off. Other damage is refused.
See also: log_segments.py for reading and the format, log_faults.py for damage, checkpoint.py for
checkpoints,
../../decide/loop/durable/durable.py for the records' meaning.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from threading import Event as Flag
from threading import Lock, Thread
from types import MappingProxyType

from ...posteriors.errors import UsageError
from . import private
from .log_faults import tail_fault
from .log_segments import (
    CHECK,
    FRAME,
    HEAD,
    HEADER_SIZE,
    first_line_of,
    header_of,
    scan_segment,
    segment_path,
    segment_paths,
)

ALWAYS, INTERVAL, NEVER = FSYNC = ("always", "interval", "never")
SECONDS_BETWEEN = 1.0
"""At most, between two fsyncs under `interval`."""


class WriteAheadLog:
    """The log in a folder, open for appending; a torn tail is cut off (`cut_bytes`).

    Appended records survive the process in any mode.

    folder: the folder, made if missing.
    fsync: `always`, before `settle` returns; `interval`, once a second in a thread; `never`, left
        to the operating system.
    first: number of the first line, for a new log.
    known: checksums that segments begin from, by name, for one whose header is not whole.
    Raises: UsageError, old records intact, if the disk is full or read-only, or if the newest
        segment is damaged otherwise than by a torn tail.
    """

    def __init__(
        self,
        folder: Path,
        fsync: str = INTERVAL,
        first: int = 1,
        known: Mapping[str, int | None] = MappingProxyType({}),
    ) -> None:
        self.folder, self.fsync, self.cut_bytes = folder, fsync, 0
        self._dirty, self._closed = False, Flag()
        self._failed: OSError | None = None
        # Held while the file is synced or changed for another.
        self._using = Lock()
        with self._storage_errors():
            private.make_folder(folder)
            files = segment_paths(folder)
            if files:
                self._reopen(files[-1], files[-2:-1], known.get(files[-1].name))
            else:
                self._create(first, 0)
        self._flusher: Thread | None = None
        if fsync == INTERVAL:
            self._flusher = Thread(target=self._flush_now_and_then, daemon=True)
            self._flusher.start()

    @property
    def segment(self) -> str:
        """Name of the segment that records go to."""
        return os.path.basename(self._path)

    @property
    def begins_from(self) -> int:
        """Checksum that the segment begins from; 0 in a segment of version 1."""
        return self._before

    def append(self, kind: int, number: int, body: bytes) -> None:
        """Write a record, all of it or nothing.

        kind: LINE or REPLY.
        number: number of the line.
        body: bytes.
        Raises: UsageError if it cannot be written, or if the file is no longer at its path.
        """
        payload = HEAD.pack(kind, number) + body
        check = zlib.crc32(payload, self._seed)
        record = FRAME.pack(len(payload), check) + payload
        # Every line pays for this twice: a context manager would cost as much as the write.
        try:
            if self._failed is not None:
                raise self._failed
            self.check_place()
            self._write(record)
        except OSError as error:
            raise self._refusal(error) from error
        self._check = check
        if self._chained:
            self._seed = check
        self._dirty = True

    def check_place(self) -> None:
        """Check that the open file is still the one at its path.

        Raises: UsageError if not, since its records would be lost.
        """
        with self._storage_errors(), suppress(FileNotFoundError, NotADirectoryError):
            if os.path.samestat(os.stat(self._path), self._opened):
                return
        raise UsageError(
            f"{self.folder}: was removed, moved or replaced during the run; put it back and go on "
            "with --resume"
        )

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
        if self.size == HEADER_SIZE:
            return
        if self.fsync != NEVER:
            self.sync()
        with self._storage_errors(), self._using:
            before = (
                self._file, self._path, self._opened, self.size,
                self._seed, self._check, self._before, self._chained,
            )  # fmt: skip
            try:
                self._create(first, self._check)
            except OSError:
                # A new segment that cannot be begun is none: the log goes on in this one.
                begun, path = self._file, self._path
                (
                    self._file, self._path, self._opened, self.size,
                    self._seed, self._check, self._before, self._chained,
                ) = before  # fmt: skip
                if begun != self._file:
                    os.close(begun)
                    os.unlink(path)
                raise
            os.close(before[0])

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

    def _create(self, first: int, before: int) -> None:
        path = segment_path(self.folder, first)
        self._open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND)
        self.size = 0
        self._begin(first, before)
        if self.fsync != NEVER:
            sync_folder(self.folder)

    def _begin(self, first: int, before: int) -> None:
        """Write the header of an empty segment, which its first record begins from."""
        header = header_of(first, before)
        self._write(header)
        (self._seed,) = CHECK.unpack_from(header, HEADER_SIZE - CHECK.size)
        self._check, self._before, self._chained = self._seed, before, True

    def _reopen(self, path: Path, previous: list[Path], before: int | None) -> None:
        segment = scan_segment(path)
        if (fault := tail_fault(segment)) is not None:
            raise fault.refusal()
        self._open(path, os.O_WRONLY | os.O_APPEND)
        self.cut_bytes, self.size = segment.torn, segment.whole
        self._seed, self._check = segment.seed, segment.check
        self._before, self._chained = segment.before or 0, segment.before is not None
        # A segment of version 1 goes on as such; without records it becomes one of this version.
        if not segment.count and not self._chained:
            self.size = 0
        if self.size < segment.size:
            os.ftruncate(self._file, self.size)
        if not self.size:
            if before is None:
                before = scan_segment(previous[0]).check if previous else 0
            self._begin(first_line_of(path), before)

    def _open(self, path: Path, flags: int) -> None:
        self._file = os.open(path, flags, private.FILE)
        self._path, self._opened = os.path.abspath(path), os.fstat(self._file)

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
            except OSError as error:  # raised by the next append: this thread has no caller
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
