"""Replies that are logged before they are sent, and answers to repeated lines.

See also: seen_ids.py for repeated lines, recovery.py for the output.
"""

from __future__ import annotations

import os
import zlib
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
        self._logged: tuple[int, bytes] | None = None
        self._mark: LoggedEnd | None = None
        self._kept: OrderedDict[int, bytes] = OrderedDict()

    def size(self) -> int:
        """Measure the output file, bytes."""
        assert self.output is not None
        return os.fstat(self.output).st_size

    def mark_output(self, sync: bool) -> LoggedEnd | None:
        """Return where the last logged reply ends in the output; None if that is no file.

        sync: whether to sync the output to disk.
        """
        if self.output is None:
            return None
        if sync:
            os.fsync(self.output)
        found = os.fstat(self.output)
        last = self._last_end() or LoggedEnd(found.st_size, 0, 0)
        return last._replace(device=found.st_dev, inode=found.st_ino)

    def compare_output(
        self,
        log: Path,
        number: int,
        mark: list[int] | None,
        salvage: Callable[[str], None] | None,
        tell: Callable[[str], None],
    ) -> None:
        """Compare the output file with the log; collect the replies that it lacks.

        log: folder of the log.
        number: number of the line of the checkpoint.
        mark: the output by then, as `mark_output` returned it.
        salvage: prints a line after replies to lost lines were moved out of the output; None
            refuses them.
        tell: prints a line for the user.
        Raises: UsageError if the output has replies to lines that the log has lost.
        """
        if self.output is None:
            return
        line = number
        if mark is not None:
            self._mark = LoggedEnd(*mark)
        logged = [entry for entry in read_entries(log, 0, number) if entry.kind == REPLY]
        if logged and (mark is None or logged[-1].number > number):
            (end,), line = OUTPUT_END.unpack_from(logged[-1].body), logged[-1].number
            self._logged = end, logged[-1].body[OUTPUT_END.size :]
        if (last := self._last_end()) is not None:
            check_output(self.output, last, line, log, salvage, tell)
        self.unsent = missing_output(iter(logged), self.size())

    def _last_end(self) -> LoggedEnd | None:
        """The last logged reply; None before the first one."""
        if self._logged is None:
            return self._mark
        end, reply = self._logged
        return LoggedEnd(end, len(reply), zlib.crc32(reply))

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
            self._logged = end, reply
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
