"""Replies that are logged before they leave, and what is said to lines that come again.

Not here: which lines those are (known.py), or what an output lacks (recovering.py).
"""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import Any

import msgspec

from ...streams.record import Record
from ...streams.wal import REPLY, Log
from .recovering import PLACE

KEPT = 1_000
"""Replies at hand for clients that ask again."""

_values = msgspec.json.Decoder()


class Replies:
    """output: descriptor of the file that replies are appended to, None where they go elsewhere.

    `unsent`: those that may not have left. repeated: lines that came again.
    """

    def __init__(self, output: int | None) -> None:
        self.output, self.repeated = output, 0
        self.unsent: list[bytes] = []
        self._kept: OrderedDict[int, bytes] = OrderedDict()

    def size(self) -> int:
        """Bytes of the output file."""
        assert self.output is not None
        return os.fstat(self.output).st_size

    def log(self, log: Log, number: int, key: int, reply: bytes) -> None:
        """Log the reply to a line, with the place in the output that it is going to have."""
        end = 0
        if self.output is not None:
            end = self.size() + sum(map(len, self.unsent)) + len(reply)
        log.append(REPLY, number, PLACE.pack(end) + reply)
        self.remember(key, reply)

    def remember(self, key: int, reply: bytes) -> None:
        """Have a reply at hand, for a while."""
        self._kept[key] = reply
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)

    def again(self, record: Record, key: int) -> dict[str, Any] | None:
        """What is said to a line that was taken in; None where the output has its reply."""
        self.repeated += 1
        if self.output is not None:
            return None
        before = self._kept.get(key)
        return {"id": record.id, "repeated": True} if before is None else _values.decode(before)
