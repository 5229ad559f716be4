"""States of streams that are not in memory: a TensorStore of versions, each written atomically.

A version is the state of a stream after a line, under the stream's name and that line's number:

    NAM/E...-NUMBER     digest, then the bytes of the state

A damaged version is refused, or set aside as `damaged/NAME-NUMBER.damaged` by `--salvage`.
Versions are never changed in place: a run resumed from an earlier line reads the version from
before that line, whatever came later. Writes go on in the background until `settle`.
See also: ../../decide/loop/server/keyed_streams.py for the versions still needed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ...posteriors.errors import UsageError
from . import private
from .log_faults import free_path

DIGITS = 16
"""Of a line's number, so that names sort as numbers do."""
NAME_BYTES = 16
SHARD = 3
"""Hexadecimal digits of a name that are its folder: 4 096 folders."""
CHECK_BYTES = 16
FLYING = 64
"""Writes under way, at most: the rows they hold are memory too."""


class SpillSize(NamedTuple):
    """Size of a folder.

    streams: number of streams.
    versions: number of their versions.
    bytes: size on disk.
    """

    streams: int
    versions: int
    bytes: int


def stream_name(key: str | int) -> str:
    """Return the name of a stream's versions: hexadecimal digits for any key.

    key: key of the stream.
    """
    return hashlib.blake2b(msgspec.msgpack.encode(key), digest_size=NAME_BYTES).hexdigest()


def version_check(name: str, number: int) -> int:
    """Return 64 bits of a version's name; their XOR over versions stands for a set of them.

    name: name of the stream.
    number: of the line.
    """
    content = hashlib.blake2b(_path(name, number).encode(), digest_size=8).digest()
    return int.from_bytes(content, "little")


class Spill:
    """Versions in a folder, made when first written to.

    folder: the folder.
    sync: whether each is on disk after `settle`.
    salvage: prints a line about each loss, and the run goes on; None refuses damage.
    Raises: UsageError if it cannot be written or read.
    """

    def __init__(
        self, folder: Path, sync: bool = False, salvage: Callable[[str], None] | None = None
    ) -> None:
        import tensorstore as ts

        self.folder, self._salvage = folder, salvage
        spec: Any = {"driver": "file", "path": f"{folder.absolute()}/"}
        with self._storage_errors("opened"):
            context = ts.Context({"file_io_sync": sync})
            self._keys = ts.KvStore.open(spec, context=context).result()
        self._flying: dict[str, tuple[Any, bytes]] = {}
        self._dropping: list[Any] = []

    def versions(self, name: str, before: int) -> list[int]:
        """Return the numbers of a stream's versions in order.

        name: name of the stream.
        before: only numbers below.
        """
        import tensorstore as ts

        start = _path(name, 0)
        with self._storage_errors("listed"):
            found = self._keys.list(ts.KvStore.KeyRange(start, _path(name, before))).result()
        numbers = {_number(path.decode()) for path in found}
        numbers |= {_number(path) for path in self._flying if start <= path < _path(name, before)}
        return sorted(numbers)

    def read_newest(self, name: str, versions: list[int]) -> bytes | None:
        """Read a stream's newest version; under `--salvage`, the newest that is whole.

        name: name of the stream.
        versions: their numbers in order; damaged ones are set aside and removed from the list.

        Returns: its bytes; None if there is none.
        Raises: UsageError if it is damaged.
        """
        while versions:
            path = _path(name, versions[-1])
            if path in self._flying:
                return self._flying[path][1]
            with self._storage_errors("read"):
                content = self._keys.read(path).result().value
            check, value = content[:CHECK_BYTES], content[CHECK_BYTES:]
            if _check(value) == check:
                return value
            before = versions[-2] if len(versions) > 1 else 0
            kept = f"as it was after line {before}" if before else "at its prior"
            self.report_loss(f"{self.folder / path}: damaged", f"the stream {kept}")
            with self._storage_errors("set aside"):
                aside = free_path(self.folder / "damaged" / f"{name}-{versions.pop():0{DIGITS}}")
                private.make_folder(aside.parent)
                (self.folder / path).rename(aside)
        return None

    def report_loss(self, problem: str, kept: str) -> None:
        """Report damage: a line for the user under `--salvage`, otherwise a refusal.

        problem: the damage.
        kept: with what a salvage goes on.
        Raises: UsageError without `--salvage`.
        """
        if self._salvage is None:
            raise UsageError(
                f"{problem}; restore it, or resume with --salvage, which goes on with {kept}"
            )
        self._salvage(f"{problem}; going on with {kept}")

    def newest_check(self, last: int, apart: Container[str]) -> int:
        """Compute the XOR of `version_check` over the newest version of each stream.

        last: only versions of lines up to this number.
        apart: names of streams to leave out.
        """
        newest: dict[str, int] = {}
        for path in self._paths():
            name, number = path[: -DIGITS - 1].replace("/", "", 1), _number(path)
            if number <= last and name not in apart:
                newest[name] = max(number, newest.get(name, 0))
        found = 0
        for name, number in newest.items():
            found ^= version_check(name, number)
        return found

    def write(self, name: str, number: int, value: bytes) -> None:
        """Write a version in the background; until it is on disk it is read from memory.

        name: name of the stream.
        number: of the line.
        value: bytes of the state.
        """
        for path in [path for path, (done, _) in self._flying.items() if done.done()]:
            self._land(path)
        while len(self._flying) >= FLYING:
            self._land(next(iter(self._flying)))
        self._fly(_path(name, number), value)

    def delete(self, name: str, number: int) -> None:
        """Remove a version.

        name: name of the stream.
        number: of the line.
        """
        path = _path(name, number)
        if path in self._flying:
            self._land(path)
        self._dropping = [done for done in self._dropping if not done.done()]
        self._dropping.append(self._keys.write(path, None))

    def settle(self) -> None:
        """Wait until all writes are done; failed ones are tried again next time."""
        failed: UsageError | None = None
        for done in self._dropping:
            # What cannot be removed takes room, no more.
            with suppress(Exception):
                done.result()
        for path in list(self._flying):
            try:
                self._land(path)
            except UsageError as error:
                failed = error
        if failed is not None:
            raise failed

    def abandon(self) -> None:
        """Wait for the writes under way, whether they succeed or not: no one will read them."""
        with suppress(UsageError):
            self.settle()

    def delete_after(self, last: int) -> None:
        """Remove versions from after a line, left by lines that the run no longer has.

        last: number of the line.
        """
        for path in self._paths():
            if _number(path) > last:
                self._keys.write(path, None).result()

    def measure(self) -> SpillSize:
        """Measure the folder."""
        paths = list(self._paths())
        size = sum((self.folder / path).stat().st_size for path in paths)
        return SpillSize(len({path.partition("-")[0] for path in paths}), len(paths), size)

    def _paths(self) -> Iterator[str]:
        with self._storage_errors("listed"):
            found = self._keys.list().result()
        # A write that was cut short leaves a file of another sort.
        yield from (path.decode() for path in found if path[-DIGITS:].isdigit())

    def _fly(self, path: str, value: bytes) -> None:
        with suppress(OSError):  # which the write meets too
            private.make_folder(self.folder)
        self._flying[path] = (self._keys.write(path, _check(value) + value), value)

    def _land(self, path: str) -> None:
        done, value = self._flying[path]
        try:
            with self._storage_errors("written"):
                done.result()
        except UsageError:
            self._fly(path, value)
            raise
        del self._flying[path]

    @contextmanager
    def _storage_errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # which classes TensorStore raises is its own affair
            raise UsageError(
                f"{self.folder}: streams cannot be {what} ({error}); check rights and space"
            ) from error


def _path(name: str, number: int) -> str:
    return f"{name[:SHARD]}/{name[SHARD:]}-{number:0{DIGITS}}"


def _number(path: str) -> int:
    return int(path[-DIGITS:])


def _check(value: bytes) -> bytes:
    return hashlib.blake2b(value, digest_size=CHECK_BYTES).digest()
