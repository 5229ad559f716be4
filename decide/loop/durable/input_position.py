"""Position in the input, and the schedule and cost of checkpoints.

See also: durable.py for their use.
"""

from __future__ import annotations

import os
import zlib
from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from ....posteriors.units import MS_PER_S
from ....streams.formats.record import Record, Where
from ....streams.inputs.addresses import is_address

_lines = msgspec.msgpack.Encoder()


@dataclass(frozen=True)
class CheckpointInterval:
    """When a checkpoint is due; None for never.

    lines: number of lines since the last one.
    seconds: since the last one.
    """

    lines: int | None = None
    seconds: float | None = None


class InputPosition(NamedTuple):
    """Position in an input.

    file: absolute path or address; empty for any other input.
    line: number of the last accepted line.
    bytes: up to its end.
    check: CRC-32 of its content.
    """

    file: str = ""
    line: int = 0
    bytes: int = 0
    check: int = 0


@dataclass
class CheckpointCost:
    """Durations and failures of checkpoints.

    seconds: of each checkpoint.
    failed: number of checkpoints that could not be written.
    reason: of the first failure.
    """

    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=100_000))
    failed: int = 0
    reason: str = ""

    def summary(self, folder: str) -> list[str]:
        """Summarise the durations and failures for the user.

        folder: path of the checkpoints.

        Returns: lines of text.
        """
        found = []
        if self.seconds:
            ordered = sorted(self.seconds)
            middle, most = (x * MS_PER_S for x in (ordered[len(ordered) // 2], ordered[-1]))
            found.append(
                f"{len(ordered)} checkpoints in {folder}: p50 {middle:,.1f} ms, max {most:,.1f} ms"
            )
        if self.failed:
            found.append(f"{self.failed} checkpoints not written ({self.reason})")
        return found


def position_after(record: Record, end: int) -> InputPosition:
    """Compute the position after a record.

    record: the record.
    end: bytes of the input up to the end of its line.

    Returns: the position.
    """
    return InputPosition(_absolute(record.where), record.where.line, end, record_checksum(record))


def record_checksum(record: Record) -> int:
    """Compute the CRC-32 of a record's content, independent of its position.

    A field that is newer than the first checkpoints counts only where it is given, so that they
    can be resumed.

    record: the record.

    Returns: the checksum.
    """
    fields = msgspec.structs.asdict(record) | {"where": Where("", 0)}
    if not record.withdrawn:
        del fields["withdrawn"]
    return zlib.crc32(_lines.encode(fields))


def _absolute(where: Where) -> str:
    """Absolute path of a file, or its address; empty for any other input."""
    if is_address(where.file):
        return where.file
    return "" if where.file.startswith("<") else os.path.abspath(where.file)
