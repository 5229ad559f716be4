"""A store of results: finished entries of JSON and arrays in a TensorStore key-value store.

An entry lies under `KIND/KEY/ATTEMPT/`. The key is the digest of its identity, everything that
determines the result; an attempt belongs to one writer, so no two writers ever write the same key
and nothing is shared between them:

    identity.json, record.json    JSON
    NAME/zarr.json, NAME/c/...    an array each (zarr 3)
    done.json                     written last: length and digest of every other key

An entry without an intact `done.json`, or with other bytes than that lists, is ignored.
See also: ../../decide/judge/engine/result_index.py for identities and records.
"""

from __future__ import annotations

import hashlib
import math
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from ...posteriors.archives import FREE, RATIO
from ...posteriors.errors import UsageError
from ...posteriors.specs import first_line

SCHEMA = 1
"""Version of this layout, part of an identity."""
IDENTITY, RECORD, DONE, GROUP = "identity.json", "record.json", "done.json", "zarr.json"
KEY_DIGITS = 32


class Done(msgspec.Struct):
    """Content of `done.json`.

    schema: version of the layout.
    keys: name -> (bytes, digest).
    seconds: time spent on the entry.
    """

    schema: int
    keys: dict[str, tuple[int, str]]
    seconds: float


@dataclass(frozen=True)
class Entry:
    """An intact entry.

    attempt: its name, which begins with the time of writing.
    seconds: time spent on it.
    values: bytes of its keys, already checked against their digests.
    place: where it is, for messages. record, identity: decoded.
    """

    attempt: str
    seconds: float
    values: Mapping[str, bytes]
    place: str
    record: dict[str, Any]
    identity: dict[str, Any]

    def arrays(self) -> dict[str, np.ndarray]:
        """Return every array by name.

        Raises: UsageError if one is none.
        """
        try:
            return decode_arrays(self.values)
        except Exception as error:  # a damaged array fails in any way at all
            told = f"no arrays ({first_line(error)}); delete this folder and sweep again"
            raise UsageError(f"{self.place}: {told}") from error


def canonical_bytes(identity: Mapping[str, Any]) -> bytes:
    """Return an identity as the bytes that its key is the digest of.

    identity: JSON.
    """
    return msgspec.json.encode(identity, order="deterministic")


def result_key(identity: Mapping[str, Any]) -> str:
    """Return the key of an identity.

    identity: JSON.
    """
    return digest(canonical_bytes(identity))[:KEY_DIGITS]


def digest(value: bytes) -> str:
    """Return the SHA-256 of bytes, hexadecimal.

    value: bytes.
    """
    return hashlib.sha256(value).hexdigest()


class Store:
    """A store at a path (a folder, made when first written to) or a TensorStore URL.

    place: path or URL.
    Raises: UsageError if it can be neither.
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
        with self._storage_errors(
            "opened", "write a path, or a URL of a TensorStore driver such as s3://"
        ):
            self._keys = ts.KvStore.open(spec).result()

    def commit(
        self,
        kind: str,
        identity: Mapping[str, Any],
        record: Mapping[str, Any],
        arrays: Mapping[str, np.ndarray],
        seconds: float = 0.0,
    ) -> str:
        """Write an entry, its last key at the very end.

        kind: first part of its path.
        identity: everything that determines the result.
        record: JSON.
        arrays: by name.
        seconds: time spent on it.
        Returns: name of the attempt.
        """
        values = {IDENTITY: canonical_bytes(identity), RECORD: msgspec.json.encode(record)}
        values |= encode_arrays(arrays)
        keys = {name: (len(value), digest(value)) for name, value in values.items()}
        attempt = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{secrets.token_hex(6)}"
        prefix = f"{kind}/{result_key(identity)}/{attempt}/"
        with self._storage_errors("written", "check rights and space"):
            writes = [self._keys.write(prefix + name, value) for name, value in values.items()]
            for write in writes:
                write.result()
            done = msgspec.json.encode(Done(SCHEMA, keys, seconds))
            self._keys.write(prefix + DONE, done).result()
        return attempt

    def attempts(self, kind: str, key: str = "") -> dict[str, list[str]]:
        """List finished attempts by key, the oldest first.

        kind: first part of the path.
        key: only this key, if given.
        """
        start = f"{kind}/{key}/" if key else f"{kind}/"
        found: dict[str, list[str]] = {}
        for name in self._list(start):
            _, held, attempt, *rest = name.split("/")
            if rest == [DONE]:
                found.setdefault(held, []).append(attempt)
        return {held: sorted(found[held]) for held in sorted(found)}

    def read(self, kind: str, key: str, attempts: list[str] | None = None) -> Entry | None:
        """Read the entry of a key; None if no attempt is whole.

        kind: first part of the path.
        key: key of the entry.
        attempts: result of `attempts` for the key, if known.
        """
        if attempts is None:
            attempts = self.attempts(kind, key).get(key, [])
        for attempt in attempts:
            entry = self._intact(f"{kind}/{key}/{attempt}/", key, attempt)
            if entry is not None:
                return entry
        return None

    def entries(self, kind: str) -> Iterator[tuple[str, Entry]]:
        """Yield every intact entry with its key, in the order of the keys.

        kind: first part of the path.
        """
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
        try:
            about = [msgspec.json.decode(whole[n], type=dict) for n in (RECORD, IDENTITY)]
        except Exception:  # as above
            return None
        return Entry(attempt, done.seconds, whole, f"{self.place}/{prefix[:-1]}", *about)

    def _values(self, names: list[str]) -> list[bytes | None]:
        with self._storage_errors("read", "check the path and its rights"):
            reads = [self._keys.read(name) for name in names]
            found = [read.result() for read in reads]
        return [one.value if one.state == "value" else None for one in found]

    def _list(self, start: str) -> list[str]:
        import tensorstore as ts

        # The first key after all that begin so; "0" follows "/".
        span = ts.KvStore.KeyRange(start, start[:-1] + "0")
        with self._storage_errors("listed", "check the path and its rights"):
            return [name.decode() for name in self._keys.list(span).result()]

    @contextmanager
    def _storage_errors(self, what: str, remedy: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # which classes TensorStore raises is its own affair
            raise UsageError(f"{self.place}: cannot be {what} ({error}); {remedy}") from error


def encode_arrays(arrays: Mapping[str, np.ndarray]) -> dict[str, bytes]:
    """Return keys and bytes of a zarr group of arrays, one chunk each, without arrays of size 0.

    arrays: by name.
    """
    import tensorstore as ts

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


def decode_arrays(values: Mapping[str, bytes]) -> dict[str, np.ndarray]:
    """Return the arrays among the keys of an entry.

    values: bytes by key.
    """
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
            opened = ts.open(spec, context=context).result()
            stored = sum(len(v) for key, v in values.items() if key.startswith(f"{array}/"))
            # Few bytes can say that an array is huge; what is not there reads as zeros.
            for shape in (opened.shape, opened.chunk_layout.read_chunk.shape or ()):
                size = math.prod(n or 1 for n in shape) * opened.dtype.numpy_dtype.itemsize
                if size > FREE and size > RATIO * stored:
                    raise ValueError(f"{array}: {stored} bytes unpack to {size}")
            found[array] = np.asarray(opened.read().result())
    return found
