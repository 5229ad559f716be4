"""Answers that outlive the process: every line is logged, answered once, and replayed on resume.

The order is what counts. A line is logged before it is answered, its reply before it leaves; a
checkpoint is taken between lines. So whatever a reply was based on can be computed again, and what
left can be told from what did not. Not here: the files (streams/checkpoint.py, streams/wal.py),
what the server knows (snapshot.py), or what is to be done again (recovering.py).
"""

from __future__ import annotations

import os
import time
import zlib
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ...posteriors.base import UsageError
from ...streams import wal
from ...streams.checkpoint import Checkpoint, Checkpoints
from ...streams.ndjson import encode
from ...streams.record import LineError, Record, Where
from ...streams.wal import LINE, REPLY, Entry, Log
from .known import Known, key_of
from .recovering import CHECKPOINTS, LOG, PLACE, differences, lacking, locked, turns
from .serve import Server
from .snapshot import Snapshot, layout, put_back, taken

ANSWERS_KEPT = 1_000
"""Replies at hand for clients that ask again."""
MILLISECONDS = 1e3
"""In one second."""
SAME = (
    "action", "actions", "propensity", "propensities", "scores", "gain", "realised_gain", "nll",
    "step", "ahead", "stop",
)  # fmt: skip
"""Of a reply, what does not depend on the clock."""

_lines = msgspec.msgpack.Encoder()
_records = msgspec.msgpack.Decoder(Record)
_values = msgspec.json.Decoder()


@dataclass(frozen=True)
class Every:
    """When a checkpoint is due: after so many lines, or seconds. None: never for that reason."""

    lines: int | None = None
    seconds: float | None = None


class Place(NamedTuple):
    """How far an input was read. file: absolute, empty where it is none. line, bytes: of the last
    line taken in, and up to its end. check: CRC-32 of what it said."""

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


class Durable:
    """A server whose folder holds what it knows.

    identity: JSON, all that the belief depends on besides its input. output: descriptor of the
    file that replies are appended to, None where they go elsewhere. tell: says a line to a person.
    `unsent`: replies that may not have left before, to be sent first of all. Raises UsageError
    where the folder holds something already and `resume` is not set, or something of another
    identity.
    """

    def __init__(
        self,
        server: Server,
        folder: str,
        identity: Mapping[str, Any],
        every: Every,
        fsync: str = wal.INTERVAL,
        resume: bool = False,
        output: int | None = None,
        tell: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.server, self.folder, self.every = server, folder, every
        self.identity = {**identity, "state": layout(server)}
        self.cost, self.repeated, self.replayed, self.differing = Cost(), 0, 0, 0
        self.unsent: list[bytes] = []
        self.number = 0
        self._output, self._fsync, self._tell = output, fsync, tell
        self._known = Known()
        self._answers: OrderedDict[int, bytes] = OrderedDict()
        self._place, self._last, self._end = Place(), None, 0
        self._whole: int | None = None
        root = Path(folder)
        self._checkpoints = Checkpoints(root / CHECKPOINTS, fsync != wal.NEVER)
        self._lock = locked(root)
        try:
            self._begin(root, resume)
        except BaseException:
            os.close(self._lock)
            raise

    def _begin(self, root: Path, resume: bool) -> None:
        point = self._found(root, resume)
        if point is not None:
            self._restore(point)
        self._log = Log(root / LOG, self._fsync, self.number + 1)
        if self._log.cut:
            self._tell(f"{self._log.cut} bytes of a torn record cut off the log")
        if point is not None:
            self._replay(root / LOG)
        # So that there is an identity to compare with, however early the process is killed.
        self._keep()
        self._next()

    def answer(
        self, record: Record, arrived: int | None = None, end: int = 0
    ) -> dict[str, Any] | None:
        """The reply to a record, None where it had one that its output holds already.

        end: bytes of the input up to the end of the line. arrived: as in `Server.answer`. Raises
        LineError, as the server does.
        """
        key = key_of(record)
        if key in self._known:
            return self._again(record, key)
        self._log.append(LINE, self.number + 1, _lines.encode(record))
        reply = self._answered(record, key, arrived, None)
        self._end = end
        self._logged(key, encode(reply))
        self._log.settle()
        return reply

    def sent(self) -> None:
        """The reply has left: take a checkpoint if one is due."""
        lines, seconds = self.every.lines, self.every.seconds
        if (lines is not None and self.number >= self._due_number + lines) or (
            seconds is not None and time.monotonic() >= self._due_time + seconds
        ):
            self.checkpoint()

    def checkpoint(self) -> None:
        """Keep what is known now. One that cannot be written is told once: the log has it all."""
        begin = time.perf_counter()
        try:
            if self._keep():
                self.cost.seconds.append(time.perf_counter() - begin)
        except UsageError as error:
            self.cost.failed += 1
            if self.cost.failed == 1:
                self.cost.reason = str(error)
                self._tell(f"{error}; going on, the log keeps what is taken in")
        self._next()

    def close(self) -> None:
        """The input has ended, or enough was done: a last checkpoint."""
        try:
            self.checkpoint()
            self._log.close()
        finally:
            os.close(self._lock)

    def abandon(self) -> None:
        """Something went wrong: leave the last checkpoint and the log as they are."""
        with suppress(UsageError):
            self._log.close()
        os.close(self._lock)

    def place(self) -> Place:
        """How far the input was read."""
        if self._last is not None:
            where, check = self._last.where, zlib.crc32(said_by(self._last))
            self._place = Place(absolute(where), where.line, self._end, check)
            self._last = None
        return self._place

    def taken_in(self, file: str) -> int:
        """Lines of a file up to the last that was taken in before; 0 of any other file."""
        place = self.place()
        return place.line if place.file == os.path.abspath(file) else 0

    def took_last(self, record: Record) -> bool:
        """Whether a record says what the last line taken in before said."""
        return zlib.crc32(said_by(record)) == self.place().check

    def summary(self) -> list[str]:
        """For a person, at the end."""
        found = []
        if self.cost.seconds:
            ordered = sorted(self.cost.seconds)
            middle, most = (x * MILLISECONDS for x in (ordered[len(ordered) // 2], ordered[-1]))
            found.append(
                f"{len(ordered)} checkpoints in {self.folder}: p50 {middle:,.1f} ms, "
                f"max {most:,.1f} ms"
            )
        for count, what in (
            (self.repeated, "lines repeated: taken in once"),
            (self.cost.failed, f"checkpoints not written ({self.cost.reason})"),
        ):
            if count:
                found.append(f"{count} {what}")
        return found

    def _found(self, root: Path, resume: bool) -> Checkpoint | None:
        """The newest whole checkpoint, refused where it is not to be used."""
        numbers, files = self._checkpoints.numbers(), wal.segments(root / LOG)
        if not resume and (numbers or files):
            last = f" of line {numbers[-1]}" if numbers else ""
            raise UsageError(
                f"{self.folder}: already holds a checkpoint{last}; go on from it with --resume, or "
                "name another folder"
            )
        point, wrong = self._checkpoints.newest()
        for line in wrong:
            self._tell(f"{line}; looking further back")
        if point is None and (wrong or any(wal.scan(file).count for file in files)):
            raise UsageError(
                f"{self.folder}: no checkpoint in it is whole; name another folder to start anew"
            )
        if point is None and resume:
            self._tell(f"nothing to resume in {self.folder}: starting anew")
        if point is not None and (unlike := differences(point.identity, self.identity)):
            raise UsageError(
                f"{self.folder}: its checkpoint is of another run: {unlike}; resume it as it was, "
                "or name another folder"
            )
        return point

    def _restore(self, point: Checkpoint) -> None:
        facts = point.facts
        put_back(self.server, Snapshot(point.arrays, facts["server"]))
        self._place = Place(*facts["input"])
        self.number = self._whole = point.number
        self._known.restore(point.arrays["known"])

    def _keep(self) -> bool:
        """Commit a checkpoint; whether there was anything new to keep."""
        new = self.number != self._whole
        if new:
            if self._output is not None and self._fsync != wal.NEVER:
                os.fsync(self._output)
            arrays, facts = taken(self.server)
            arrays["known"] = self._known.array()
            said = {"written": time.time(), "input": list(self.place()), "server": facts}
            self._checkpoints.commit(self.number, self.identity, said, arrays)
            self._whole = self.number
        self._log.rotate(self.number + 1)
        self._log.prune(self._checkpoints.numbers()[0])
        return new

    def _next(self) -> None:
        self._due_number, self._due_time = self.number, time.monotonic()

    def _again(self, record: Record, key: int) -> dict[str, Any] | None:
        self.repeated += 1
        if self._output is not None:
            return None
        before = self._answers.get(key)
        return {"id": record.id, "repeated": True} if before is None else _values.decode(before)

    def _answered(
        self, record: Record, key: int, arrived: int | None, before: dict[str, Any] | None
    ) -> dict[str, Any]:
        """The server's reply to a record that the log has; it counts whether it fits or not."""
        self.number += 1
        unmatched = self.server.tally.unmatched
        reply = self.server.answer(record, arrived, before)
        # The decision that an unmatched observation is of may be yet to come.
        if self.server.tally.unmatched == unmatched:
            self._known.add(key)
        self._last = record
        return reply

    def _logged(self, key: int, reply: bytes) -> None:
        end = 0
        if self._output is not None:
            end = size_of(self._output) + sum(map(len, self.unsent)) + len(reply)
        self._log.append(REPLY, self.number, PLACE.pack(end) + reply)
        self._remember(key, reply)

    def _remember(self, key: int, reply: bytes) -> None:
        self._answers[key] = reply
        if len(self._answers) > ANSWERS_KEPT:
            self._answers.popitem(last=False)

    def _replay(self, log: Path) -> None:
        """Learn again what was logged after the checkpoint, and find what may not have left."""
        if self._output is not None:
            self.unsent = lacking(wal.entries(log), size_of(self._output))
        last: Entry | None = None
        for line, last in turns(wal.entries(log, self.number)):
            if line.number != self.number + 1:
                raise UsageError(
                    f"{log}: line {self.number + 1} is missing, line {line.number} is there; name "
                    "another folder to start anew"
                )
            self._redo(_records.decode(line.body), last)
        if self._output is None and last is not None:
            self.unsent = [last.body[PLACE.size :]]
        if self.replayed:
            self._tell(f"{self.replayed} lines replayed from the log")
        if self.differing:
            self._tell(
                f"{self.differing} replayed answers are not those given before; was that another "
                "machine?"
            )

    def _redo(self, record: Record, reply: Entry | None) -> None:
        key = key_of(record)
        before = None if reply is None else _values.decode(reply.body[PLACE.size :])
        try:
            found = encode(self._answered(record, key, None, before))
        except LineError:
            return
        self.replayed += 1
        if reply is None or before is None:
            self._logged(key, found)
            self.unsent.append(found)
            return
        self._remember(key, reply.body[PLACE.size :])
        again = _values.decode(found)
        self.differing += any(again.get(name) != before.get(name) for name in SAME)


def said_by(record: Record) -> bytes:
    """A record without its place."""
    return _lines.encode(msgspec.structs.replace(record, where=Where("", 0)))


def absolute(where: Where) -> str:
    """The path of a place in a file."""
    return "" if where.file.startswith("<") else os.path.abspath(where.file)


def size_of(descriptor: int) -> int:
    return os.fstat(descriptor).st_size
