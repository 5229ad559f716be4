"""Open files, gzipped files and standard streams; everything unreadable is one clear line.

Not here: what the bytes mean.
"""

from __future__ import annotations

import gzip
import io
import os
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast

from ..posteriors.base import UsageError
from .record import Errors, Where, stop

GZIP_MAGIC = b"\x1f\x8b"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
PARQUET_MAGIC, ZIP_MAGIC = b"PAR1", b"PK\x03\x04"
"""Of files that have no lines."""
STANDARD = "-"
LONGEST_LINE = 1 << 26
"""Bytes; a longer line is not a log but a mistake (or a whole file without line ends)."""


class Source:
    """An input opened for reading once, line by line; it closes at its end or when dropped.

    name: as the user wrote it, `<stdin>` for `-`. head: the first line that is not blank, which
    iteration still yields; of Parquet and of an archive its first four bytes. ahead: whether it is
    read now; without, `chunk` gives the bytes as they come. Raises UsageError at once where the
    path cannot be read.
    """

    def __init__(self, path: str, stdin: BinaryIO | None = None, ahead: bool = True) -> None:
        self.path = path
        self.name = "<stdin>" if path == STANDARD else path
        with self._readable():
            raw = self._open(stdin)
            # The first bytes decide: people rename files, and pipes have no names.
            magic = raw.peek(len(GZIP_MAGIC))[: len(GZIP_MAGIC)]
        self._raw = raw
        self._file: io.BufferedReader = raw
        self.packed = magic == GZIP_MAGIC
        if self.packed:
            # It reads as a buffered file does, but is typed as no subclass of one.
            self._file = cast(io.BufferedReader, gzip.GzipFile(fileobj=raw))
        self._kept: list[bytes] = []
        try:
            self.head = self._head() if ahead else b""
        except UsageError:
            self.close()
            raise

    def _open(self, stdin: BinaryIO | None) -> io.BufferedReader:
        if self.path != STANDARD:
            return open(self.path, "rb")
        file = stdin if stdin is not None else sys.stdin.buffer
        if isinstance(file, io.BufferedReader):
            return file
        # A test's stand-in for standard input is a raw stream in all but its type.
        return io.BufferedReader(cast(io.RawIOBase, file))

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise UsageError(f"{self.name}: broken gzip ({error}); compress it again") from error
        except OSError as error:
            reason = error.strerror or str(error)
            raise UsageError(f"{self.name}: cannot be read ({reason}); check the path") from error

    def _line(self) -> bytes:
        with self._readable():
            line = self._file.readline(LONGEST_LINE)
        if len(line) == LONGEST_LINE:
            raise UsageError(
                f"{self.name}: a line of {LONGEST_LINE} bytes; is it one event a line?"
            )
        return line

    def _head(self) -> bytes:
        with self._readable():
            magic = self._file.peek(len(ZIP_MAGIC))[: len(ZIP_MAGIC)]
        if magic in (PARQUET_MAGIC, ZIP_MAGIC):
            return magic
        while line := self._line():
            if not self._kept:
                line = line.removeprefix(BYTE_ORDER_MARK)
            self._kept.append(line)
            if line.strip():
                return line
        return b""

    def chunk(self, size: int) -> bytes:
        """At most `size` bytes, as soon as there are any; none at the end."""
        try:
            return self._file.read1(size)
        except (OSError, EOFError, zlib.error):
            # Entered only here: it would cost a live line as much as decoding it does.
            with self._readable():
                raise

    def __iter__(self) -> Iterator[bytes]:
        """Every line, ends included, blank ones too so that counting gives line numbers."""
        try:
            yield from self._kept
            self._kept = []
            while line := self._line():
                yield line
        finally:
            self.close()

    def text(self, errors: Errors = stop) -> Iterator[str]:
        """Every line as UTF-8 text; one that is none is blank, so that counting stays right."""
        for number, line in enumerate(self, 1):
            try:
                text = line.decode()
            except UnicodeDecodeError as error:
                what, remedy = (
                    f"not UTF-8 text ({error.reason})",
                    "convert it, for example with iconv",
                )
                errors(Where(self.name, number).error("", what, remedy, "not UTF-8"))
                text = "\n"
            yield text

    def seekable(self) -> BinaryIO:
        """The whole input as an uncompressed file that can be read in any order.

        Of a pipe or of something gzipped it is a temporary copy on the disk.
        """
        if self.path != STANDARD and not self.packed:
            return self._file
        copy = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115, whoever asked closes it
        try:
            copy.writelines(self._kept)
            with self._readable():
                shutil.copyfileobj(self._file, copy)
            copy.seek(0)
        except BaseException:
            copy.close()
            raise
        finally:
            self.close()
        return copy

    def close(self) -> None:
        """Close a file; standard input stays open."""
        if self.path != STANDARD:
            self._file.close()
            self._raw.close()


def check_readable(paths: list[str]) -> None:
    """Refuse a list of inputs of which one cannot be read, before any work."""
    for path in paths:
        if path == STANDARD:
            continue
        if not Path(path).exists():
            raise UsageError(f"{path}: no such file; check the path")
        if Path(path).is_dir():
            raise UsageError(f"{path}: is a folder; name a file in it")
        if not os.access(path, os.R_OK):
            raise UsageError(f"{path}: cannot be read (permission denied); check its rights")


def open_output(path: str, stdout: BinaryIO | None = None) -> BinaryIO:
    """A file opened for writing now (`-` is standard output, `.gz` compresses), or UsageError."""
    if path == STANDARD:
        return stdout or sys.stdout.buffer
    with _writable(path):
        if path.endswith(".gz"):
            return cast(BinaryIO, gzip.open(path, "wb"))  # as above
        return open(path, "wb")


@contextmanager
def _writable(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(f"{path}: cannot be written ({reason}); choose another path") from error


@contextmanager
def whole_output(path: str, stdout: BinaryIO | None = None) -> Iterator[BinaryIO]:
    """Like `open_output`, but there is never a half file under the name.

    What is written goes to a temporary file beside it, which takes its place at the end; where the
    body raises, what was there stays. Standard output and what is no plain file (a pipe, a device)
    are written to as they are.
    """
    target = os.path.realpath(path)
    if path == STANDARD or (os.path.exists(target) and not os.path.isfile(target)):
        file = open_output(path, stdout)
        yield file
        file.flush()
        if path != STANDARD:
            file.close()
        return
    part = f"{target}.{os.getpid()}.part"
    try:
        with ExitStack() as stack:
            with _writable(path):
                raw = stack.enter_context(open(part, "wb"))
            file = raw
            if path.endswith(".gz"):
                packed = gzip.GzipFile(os.path.basename(target), "wb", fileobj=raw)
                file = cast(BinaryIO, stack.enter_context(packed))
            yield file
        os.replace(part, target)
    finally:
        with suppress(OSError):
            os.remove(part)
