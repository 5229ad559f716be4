"""Which lines were taken in already, so that one that comes again counts once.

Not here: what is answered then (durable.py).
"""

from __future__ import annotations

import hashlib

import msgspec
import numpy as np

from ...streams.record import EVENT, OBSERVATION, Record

REMEMBERED = 100_000
"""Lines: a stream may have no end, memory has."""
KEY_BYTES = 8
"""Two of 100 000 remembered lines and a new one agree by chance once in 10^14 lines."""


def key_of(record: Record) -> int:
    """A number that stands for a line: its id, whether it asks or tells, and of which stream."""
    tells = record.kind in (EVENT, OBSERVATION)
    whose = () if record.key is None else (record.key,)
    name = msgspec.json.encode((tells, record.id, *whose))
    return int.from_bytes(hashlib.blake2b(name, digest_size=KEY_BYTES).digest(), "little")


class Known:
    """Keys of the last `capacity` lines."""

    def __init__(self, capacity: int = REMEMBERED) -> None:
        self._ring = np.zeros(capacity, np.uint64)
        self._keys: set[int] = set()
        self._next = 0

    def __contains__(self, key: int) -> bool:
        return key in self._keys

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, key: int) -> None:
        """Remember a key that is new; beyond the capacity the oldest is forgotten."""
        place = self._next % len(self._ring)
        if self._next >= len(self._ring):
            self._keys.discard(int(self._ring[place]))
        self._ring[place] = key
        self._keys.add(key)
        self._next += 1

    def array(self) -> np.ndarray:
        """Every key, `[n]` uint64, the oldest first."""
        if self._next < len(self._ring):
            return self._ring[: self._next].copy()
        return np.roll(self._ring, -(self._next % len(self._ring)))

    def restore(self, keys: np.ndarray) -> None:
        """Remember what `array` gave, in one that is empty."""
        for key in keys.tolist():
            self.add(key)
