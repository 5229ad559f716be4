"""Replies that are logged before they are sent, and answers to repeated lines.

See also: seen_ids.py for repeated lines, recovery.py for the output.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from ....streams.formats.record import Record
from ....streams.storage.log_segments import REPLY, read_entries
from ....streams.storage.wal import WriteAheadLog
from .output_tail import LoggedEnd, check_output
from .recovery import OUTPUT_END, missing_output

RECENT_REPLIES = 1_000
"""Replies remembered for clients that repeat a line."""

_values = msgspec.json.Decoder()


class ReplyLog:
    """Logged replies of a run.

    output: descriptor of the file that replies are appended to; None for any other output.
    unsent: replies that may not have been sent.
    repeated: number of repeated lines.
    """

    def __init__(self, output: int | None) -> None:
        self.output, self.repeated = output, 0
        self.unsent: list[bytes] = []
        self._kept: OrderedDict[int, bytes] = OrderedDict()

    def size(self) -> int:
        """Measure the output file, bytes."""
        assert self.output is not None
        return os.fstat(self.output).st_size

    def mark_output(self, sync: bool) -> list[int] | None:
        """Return size, device and inode of the output file; None for any other output.

        sync: whether to sync it to disk.
        """
        if self.output is None:
            return None
        if sync:
            os.fsync(self.output)
        found = os.fstat(self.output)
        return [found.st_size, found.st_dev, found.st_ino]

    def compare_output(
        self,
        log: Path,
        number: int,
        mark: list[int] | None,
        salvage: bool,
        tell: Callable[[str], None],
    ) -> None:
        """Compare the output file with the log; collect the replies that it lacks.

        log: folder of the log.
        number: number of the line of the checkpoint.
        mark: the output by then, as `mark_output` returned it.
        salvage: whether to move replies to lost lines out of the output.
        tell: prints a line for the user.
        Raises: UsageError if the output has replies to lines that the log has lost.
        """
        if self.output is None:
            return
        logged = [entry for entry in read_entries(log, 0, number) if entry.kind == REPLY]
        last = None
        if logged:
            (end,), reply = OUTPUT_END.unpack_from(logged[-1].body), logged[-1].body
            last = LoggedEnd(end, reply[OUTPUT_END.size :], logged[-1].number)
        elif mark is not None and mark[1:] == (self.mark_output(False) or [])[1:]:
            last = LoggedEnd(mark[0], b"", number)
        if last is not None:
            check_output(self.output, last, log, salvage, tell)
        self.unsent = missing_output(iter(logged), self.size())

    def append(self, log: WriteAheadLog, number: int, key: int, reply: bytes) -> None:
        """Log the reply to a line, with the position that its end will have in the output.

        log: the log.
        number: number of the line.
        key: key of the line (seen_ids.py).
        reply: the encoded reply.
        """
        end = 0
        if self.output is not None:
            end = self.size() + sum(map(len, self.unsent)) + len(reply)
        log.append(REPLY, number, OUTPUT_END.pack(end) + reply)
        self.remember(key, reply)

    def remember(self, key: int, reply: bytes) -> None:
        """Remember a reply for clients that repeat a line; the oldest of many is forgotten.

        key: key of the line.
        reply: the encoded reply.
        """
        self._kept[key] = reply
        if len(self._kept) > RECENT_REPLIES:
            self._kept.popitem(last=False)

    def repeated_reply(self, record: Record, key: int) -> dict[str, Any] | None:
        """Answer a repeated line.

        record: the record.
        key: key of the line.

        Returns: the remembered reply, or a note that the line was repeated; None if the output has
            the reply.
        """
        self.repeated += 1
        if self.output is not None:
            return None
        before = self._kept.get(key)
        return {"id": record.id, "repeated": True} if before is None else _values.decode(before)
