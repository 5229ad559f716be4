"""Streams that are not in memory: a TensorStore of versions, each written whole or not at all.

A version is what was known of a stream after a line, under its name and that line's number:

    NAM/E...-NUMBER     digest, then whatever the writer makes of a stream

It is the same whenever it is written, so nothing is ever changed in place: whoever goes on from an
earlier line reads the version from before that line, whatever came later. Writes go on in the
background until `settle`. Not here: which versions are still needed (decide/loop/many.py), or what
is in them (decide/loop/spilling.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ..posteriors.base import UsageError

DIGITS = 16
"""Of a line's number, so that names sort as numbers do."""
NAME_BYTES = 16
SHARD = 3
"""Hexadecimal digits of a name that are its folder: 4 096 folders."""
CHECK_BYTES = 16
FLYING = 64
"""Writes under way, at most: the rows they hold are memory too."""


class Held(NamedTuple):
    """What a folder holds: streams, versions of them, and bytes."""

    streams: int
    versions: int
    bytes: int


def name_of(key: str | int) -> str:
    """The name of a stream's versions: hexadecimal digits that any key has."""
    return hashlib.blake2b(msgspec.msgpack.encode(key), digest_size=NAME_BYTES).hexdigest()


class Spilled:
    """Versions in a folder, made when first written to. sync: have each on the disk by `settle`.

    Raises UsageError where it cannot be written or read.
    """

    def __init__(self, folder: Path, sync: bool = False) -> None:
        import tensorstore as ts

        self.folder = folder
        spec: Any = {"driver": "file", "path": f"{folder.absolute()}/"}
        with self._told("opened"):
            context = ts.Context({"file_io_sync": sync})
            self._keys = ts.KvStore.open(spec, context=context).result()
        self._flying: dict[str, tuple[Any, bytes]] = {}
        self._dropping: list[Any] = []

    def versions(self, name: str, before: int) -> list[int]:
        """Numbers below `before` that there are of a stream, in their order."""
        import tensorstore as ts

        start = _path(name, 0)
        with self._told("listed"):
            found = self._keys.list(ts.KvStore.KeyRange(start, _path(name, before))).result()
        numbers = {_number(path.decode()) for path in found}
        numbers |= {_number(path) for path in self._flying if start <= path < _path(name, before)}
        return sorted(numbers)

    def read(self, name: str, number: int) -> bytes:
        """A version as it was written."""
        path = _path(name, number)
        if path in self._flying:
            return self._flying[path][1]
        with self._told("read"):
            content = self._keys.read(path).result().value
        check, value = content[:CHECK_BYTES], content[CHECK_BYTES:]
        if _check(value) != check:
            raise UsageError(
                f"{self.folder / path}: damaged; go on from a copy of the folder, or start anew in "
                "another"
            )
        return value

    def write(self, name: str, number: int, value: bytes) -> None:
        """Have a version written; until it is, it is read from memory."""
        for path in [path for path, (done, _) in self._flying.items() if done.done()]:
            self._land(path)
        while len(self._flying) >= FLYING:
            self._land(next(iter(self._flying)))
        self._fly(_path(name, number), value)

    def drop(self, name: str, number: int) -> None:
        """Remove a version."""
        path = _path(name, number)
        if path in self._flying:
            self._land(path)
        self._dropping = [done for done in self._dropping if not done.done()]
        self._dropping.append(self._keys.write(path, None))

    def settle(self) -> None:
        """Have all that was written in its place; what could not be is tried again next time."""
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
        """Wait for what is under way, whatever becomes of it: nobody is going to read it."""
        with suppress(UsageError):
            self.settle()

    def cut(self, last: int) -> None:
        """Remove versions from after line `last`: of lines that nobody knows any more."""
        for path in self._paths():
            if _number(path) > last:
                self._keys.write(path, None).result()

    def held(self) -> Held:
        """What there is."""
        paths = list(self._paths())
        size = sum((self.folder / path).stat().st_size for path in paths)
        return Held(len({path.partition("-")[0] for path in paths}), len(paths), size)

    def _paths(self) -> Iterator[str]:
        with self._told("listed"):
            found = self._keys.list().result()
        # A write that was cut short leaves a file of another sort.
        yield from (path.decode() for path in found if path[-DIGITS:].isdigit())

    def _fly(self, path: str, value: bytes) -> None:
        self._flying[path] = (self._keys.write(path, _check(value) + value), value)

    def _land(self, path: str) -> None:
        done, value = self._flying[path]
        try:
            with self._told("written"):
                done.result()
        except UsageError:
            self._fly(path, value)
            raise
        del self._flying[path]

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
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
