"""Opening of files, gzipped files and standard streams; every failure is one clear line.

See also: registry.py for the formats.
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

from ...posteriors.errors import UsageError
from .record import ErrorHandler, Where, raise_error

GZIP_MAGIC = b"\x1f\x8b"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
PARQUET_MAGIC, ZIP_MAGIC = b"PAR1", b"PK\x03\x04"
"""Of files that have no lines."""
STANDARD = "-"
LONGEST_LINE = 1 << 26
"""Bytes; a longer line is not a log but a mistake (or a whole file without line ends)."""


class Source:
    """An input opened for reading once, line by line; it closes at its end or when dropped.

    path: file name, `-` for standard input.
    stdin: stream to read for `-`; None is the process's own.
    ahead: whether to read the first line now; without it, `read_chunk` gives bytes as they come.
    name: path for messages, `<stdin>` for `-`.
    head: first line that is not blank, still part of the iteration; of Parquet or an archive its
        first four bytes.
    gzipped: whether the input is compressed.
    Raises: UsageError at once if the path cannot be read.
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
        self.gzipped = magic == GZIP_MAGIC
        if self.gzipped:
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
        return self.read_ahead()

    def read_ahead(self) -> bytes:
        """Return the next line that is not blank, still part of the iteration; none at the end."""
        while line := self._line():
            if not self._kept:
                line = line.removeprefix(BYTE_ORDER_MARK)
            self._kept.append(line)
            if line.strip():
                return line
        return b""

    def read_chunk(self, size: int) -> bytes:
        """Return at most `size` bytes as soon as there are any; none at the end.

        size: bytes.
        """
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

    def text_lines(self, on_error: ErrorHandler = raise_error) -> Iterator[str]:
        """Yield every line as UTF-8 text; one that is none becomes blank, for the line numbers.

        on_error: receives the error of such a line.
        """
        for number, line in enumerate(self, 1):
            try:
                text = line.decode()
            except UnicodeDecodeError as error:
                what, remedy = (
                    f"not UTF-8 text ({error.reason})",
                    "convert it, for example with iconv",
                )
                on_error(Where(self.name, number).error("", what, remedy, "not UTF-8"))
                text = "\n"
            yield text

    def open_seekable(self) -> BinaryIO:
        """Return the whole input as an uncompressed file that can be read in any order.

        A pipe or a gzipped file is copied to a temporary file on disk.
        """
        if self.path != STANDARD and not self.gzipped:
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
    """Check that all inputs can be read, before any work.

    paths: file names; `-` is skipped.
    Raises: UsageError for the first that cannot.
    """
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
    """Open a file for writing.

    path: file name; `-` is standard output, `.gz` compresses.
    stdout: stream for `-`; None is the process's own.
    Raises: UsageError if it cannot be written.
    """
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
def open_output_atomically(path: str, stdout: BinaryIO | None = None) -> Iterator[BinaryIO]:
    """Open an output that appears under its name only once it is complete.

    The body writes to a temporary file beside it, which replaces the old file at the end; if the
    body raises, the old file stays. Standard output, pipes and devices are written directly.

    path: file name; `-` is standard output, `.gz` compresses.
    stdout: stream for `-`; None is the process's own.
    Raises: UsageError if it cannot be written.
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
