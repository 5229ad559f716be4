"""Ids of accepted lines, so that a repeated line is learnt once.

See also: reply_log.py for the answer to a repeated line.
"""

from __future__ import annotations

import hashlib

import msgspec
import numpy as np

from ....streams.formats.record import EVENT, OBSERVATION, WITHDRAWAL, Record

REMEMBERED = 100_000
"""Remembered lines; bounded, because a stream may be endless."""
KEY_BYTES = 8
"""A new line collides with one of 100 000 remembered lines once in 10^14 lines."""


def line_key(record: Record) -> int:
    """Compute the key of a line: a hash of its id, its stream, and whether it asks or observes.

    record: the record.

    Returns: 64-bit number.
    """
    tells = record.kind in (EVENT, OBSERVATION, WITHDRAWAL)
    whose = () if record.key is None else (record.key,)
    name = msgspec.json.encode((tells, record.id, *whose))
    return int.from_bytes(hashlib.blake2b(name, digest_size=KEY_BYTES).digest(), "little")


class SeenIds:
    """Keys of the last `capacity` lines.

    capacity: number of keys.
    """

    def __init__(self, capacity: int = REMEMBERED) -> None:
        self._ring = np.zeros(capacity, np.uint64)
        self._keys: set[int] = set()
        self._next = 0

    def __contains__(self, key: int) -> bool:
        return key in self._keys

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, key: int) -> None:
        """Add a new key; beyond the capacity the oldest is forgotten.

        key: key of a line.
        """
        place = self._next % len(self._ring)
        if self._next >= len(self._ring):
            self._keys.discard(int(self._ring[place]))
        self._ring[place] = key
        self._keys.add(key)
        self._next += 1

    def array(self) -> np.ndarray:
        """List all keys `[n]` uint64, the oldest first."""
        if self._next < len(self._ring):
            return self._ring[: self._next].copy()
        return np.roll(self._ring, -(self._next % len(self._ring)))

    def restore(self, keys: np.ndarray) -> None:
        """Add keys to an empty object.

        keys: `[n]` uint64, as `array` returned them.
        """
        for key in keys.tolist():
            self.add(key)
