"""How far a run has come: its place in the input, when a checkpoint is due, and what they cost.

Not here: taking one (durable.py).
"""

from __future__ import annotations

import os
import zlib
from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from ...streams.addresses import is_address
from ...streams.record import Record, Where

MILLISECONDS = 1e3
"""In one second."""

_lines = msgspec.msgpack.Encoder()


@dataclass(frozen=True)
class Every:
    """When a checkpoint is due: after so many lines, or seconds. None: never for that reason."""

    lines: int | None = None
    seconds: float | None = None


class Place(NamedTuple):
    """How far an input was read. file: absolute, empty where it is none, or an address. line,
    bytes: of the last line taken in, and up to its end. check: CRC-32 of what it said."""

    file: str = ""
    line: int = 0
    bytes: int = 0
    check: int = 0


@dataclass
class Cost:
    """seconds: of each checkpoint. failed: how many could not be written. reason: of the first."""

    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=100_000))
    failed: int = 0
    reason: str = ""

    def summary(self, folder: str) -> list[str]:
        """For a person."""
        found = []
        if self.seconds:
            ordered = sorted(self.seconds)
            middle, most = (x * MILLISECONDS for x in (ordered[len(ordered) // 2], ordered[-1]))
            found.append(
                f"{len(ordered)} checkpoints in {folder}: p50 {middle:,.1f} ms, max {most:,.1f} ms"
            )
        if self.failed:
            found.append(f"{self.failed} checkpoints not written ({self.reason})")
        return found


def place_of(record: Record, end: int) -> Place:
    """Behind a record, whose line ends `end` bytes into its input."""
    return Place(absolute(record.where), record.where.line, end, check_of(record))


def check_of(record: Record) -> int:
    """CRC-32 of what a record says, wherever it stands."""
    return zlib.crc32(_lines.encode(msgspec.structs.replace(record, where=Where("", 0))))


def absolute(where: Where) -> str:
    """The path of a place in a file, or its address."""
    if is_address(where.file):
        return where.file
    return "" if where.file.startswith("<") else os.path.abspath(where.file)
