"""A store of results: finished entries of JSON and arrays in a TensorStore key-value store.

An entry lives under `KIND/KEY/ATTEMPT/`. The key is the digest of its identity, everything that
determines the result; an attempt is one writer's own, so no two writers ever write the same key
and nothing is shared between them:

    identity.json, record.json    JSON
    NAME/zarr.json, NAME/c/...    an array each (zarr 3)
    done.json                     written last: length and digest of every other key

Whatever lacks an intact `done.json`, or holds other bytes than that says, counts as not there. Not
here: what an identity or a record says (decide/judge).
"""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from ..posteriors.base import UsageError

SCHEMA = 1
"""Of this layout; it is part of what an identity says."""
IDENTITY, RECORD, DONE, GROUP = "identity.json", "record.json", "done.json", "zarr.json"
KEY_DIGITS = 32


class Done(msgspec.Struct):
    """What `done.json` says. keys: name -> (bytes, digest). seconds: spent on the entry."""

    schema: int
    keys: dict[str, tuple[int, str]]
    seconds: float


@dataclass(frozen=True)
class Entry:
    """An intact entry. values: its keys' bytes, already checked against their digests.

    attempt: its name, which begins with when it was written. seconds: spent on it.
    """

    attempt: str
    seconds: float
    values: Mapping[str, bytes]

    @property
    def record(self) -> dict[str, Any]:
        return msgspec.json.decode(self.values[RECORD])

    @property
    def identity(self) -> dict[str, Any]:
        return msgspec.json.decode(self.values[IDENTITY])

    def arrays(self) -> dict[str, np.ndarray]:
        """Every array by name."""
        return decoded(self.values)


def canonical(identity: Mapping[str, Any]) -> bytes:
    """An identity as the bytes its key is the digest of."""
    return msgspec.json.encode(identity, order="deterministic")


def key_of(identity: Mapping[str, Any]) -> str:
    """The key of what has this identity."""
    return digest(canonical(identity))[:KEY_DIGITS]


def digest(value: bytes) -> str:
    return hashlib.sha256(value).hexdigest()


class Store:
    """The store at a path (a folder, made when first written to) or a TensorStore URL.

    Raises UsageError where that can be neither.
    """

    def __init__(self, place: str) -> None:
        import tensorstore as ts

        self.place = place
        if "://" in place:
            spec: Any = place if place.endswith(("/", ":")) else place + "/"
        else:
            if os.path.exists(place) and not os.path.isdir(place):
                raise UsageError(f"{place}: is a file; a store is a folder: choose another path")
            spec = {"driver": "file", "path": os.path.join(os.path.abspath(place), "")}
        with self._told("opened", "write a path, or a URL of a TensorStore driver such as s3://"):
            self._keys = ts.KvStore.open(spec).result()

    def commit(
        self,
        kind: str,
        identity: Mapping[str, Any],
        record: Mapping[str, Any],
        arrays: Mapping[str, np.ndarray],
        seconds: float = 0.0,
    ) -> str:
        """Write an entry, its last key at the very end; the attempt's name."""
        values = {IDENTITY: canonical(identity), RECORD: msgspec.json.encode(record)}
        values |= encoded(arrays)
        keys = {name: (len(value), digest(value)) for name, value in values.items()}
        attempt = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{secrets.token_hex(6)}"
        prefix = f"{kind}/{key_of(identity)}/{attempt}/"
        with self._told("written", "check rights and space"):
            writes = [self._keys.write(prefix + name, value) for name, value in values.items()]
            for write in writes:
                write.result()
            done = msgspec.json.encode(Done(SCHEMA, keys, seconds))
            self._keys.write(prefix + DONE, done).result()
        return attempt

    def attempts(self, kind: str, key: str = "") -> dict[str, list[str]]:
        """Finished attempts of each key, of one key if it is given, the oldest first."""
        start = f"{kind}/{key}/" if key else f"{kind}/"
        found: dict[str, list[str]] = {}
        for name in self._list(start):
            _, held, attempt, *rest = name.split("/")
            if rest == [DONE]:
                found.setdefault(held, []).append(attempt)
        return {held: sorted(found[held]) for held in sorted(found)}

    def read(self, kind: str, key: str, attempts: list[str] | None = None) -> Entry | None:
        """The entry with this key, None where no attempt at it is there whole.

        attempts: what `attempts` found, where that is known.
        """
        if attempts is None:
            attempts = self.attempts(kind, key).get(key, [])
        for attempt in attempts:
            entry = self._intact(f"{kind}/{key}/{attempt}/", key, attempt)
            if entry is not None:
                return entry
        return None

    def entries(self, kind: str) -> Iterator[tuple[str, Entry]]:
        """Every intact entry with its key, in the order of the keys."""
        for key, attempts in self.attempts(kind).items():
            entry = self.read(kind, key, attempts)
            if entry is not None:
                yield key, entry

    def _intact(self, prefix: str, key: str, attempt: str) -> Entry | None:
        written = self._values([prefix + DONE])[0] or b""
        try:
            done = msgspec.json.decode(written, type=Done)
        except Exception:  # that it refuses is all that is read from it
            return None
        read = self._values([prefix + name for name in done.keys])
        values = dict(zip(done.keys, read, strict=True))
        for name, (size, expected) in done.keys.items():
            value = values[name]
            if value is None or len(value) != size or digest(value) != expected:
                return None
        whole = {name: value for name, value in values.items() if value is not None}
        # An entry moved to another's key is no result of that other.
        if RECORD not in whole or digest(whole.get(IDENTITY, b""))[:KEY_DIGITS] != key:
            return None
        return Entry(attempt, done.seconds, whole)

    def _values(self, names: list[str]) -> list[bytes | None]:
        with self._told("read", "check the path and its rights"):
            reads = [self._keys.read(name) for name in names]
            found = [read.result() for read in reads]
        return [one.value if one.state == "value" else None for one in found]

    def _list(self, start: str) -> list[str]:
        import tensorstore as ts

        # The first key after all that begin so; "0" follows "/".
        span = ts.KvStore.KeyRange(start, start[:-1] + "0")
        with self._told("listed", "check the path and its rights"):
            return [name.decode() for name in self._keys.list(span).result()]

    @contextmanager
    def _told(self, what: str, remedy: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # which classes TensorStore raises is its own affair
            raise UsageError(f"{self.place}: cannot be {what} ({error}); {remedy}") from error


def encoded(arrays: Mapping[str, np.ndarray]) -> dict[str, bytes]:
    """Keys and bytes of a zarr group of arrays, each one chunk; arrays of size 0 are left out."""
    import tensorstore as ts

    # Made in memory first, so that digests are of what was meant, not of what was read back.
    context = ts.Context()
    group = {"zarr_format": 3, "node_type": "group", "attributes": {}}
    made = {GROUP: msgspec.json.encode(group)}
    for name, array in arrays.items():
        if not array.size:
            continue
        spec = {
            "driver": "zarr3",
            "kvstore": {"driver": "memory", "path": f"{name}/"},
            "metadata": {
                "chunk_grid": {
                    "name": "regular",
                    "configuration": {"chunk_shape": list(array.shape)},
                },
                "codecs": [
                    {"name": "bytes", "configuration": {"endian": "little"}},
                    {"name": "zstd", "configuration": {"level": 3}},
                ],
            },
        }
        made_of = ts.open(
            spec, context=context, create=True, dtype=array.dtype.name, shape=list(array.shape)
        ).result()
        made_of.write(array).result()
    memory = ts.KvStore.open({"driver": "memory"}, context=context).result()
    return made | {name.decode(): memory[name] for name in memory.list().result()}


def decoded(values: Mapping[str, bytes]) -> dict[str, np.ndarray]:
    """The arrays among an entry's keys."""
    import tensorstore as ts

    context = ts.Context()
    memory = ts.KvStore.open({"driver": "memory"}, context=context).result()
    for name, value in values.items():
        memory[name] = value
    found = {}
    for name in values:
        array, _, rest = name.rpartition("/")
        if array and rest == GROUP:
            spec = {"driver": "zarr3", "kvstore": {"driver": "memory", "path": f"{array}/"}}
            found[array] = np.asarray(ts.open(spec, context=context).result().read().result())
    return found
