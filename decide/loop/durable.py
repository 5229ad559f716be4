"""Answers that outlive the process: every line is logged, answered once, and replayed on resume.

The order is what counts. A line is logged before it is answered, its reply before it leaves; a
checkpoint is taken between lines. So whatever a reply was based on can be computed again, and what
left can be told from what did not. Not here: the files (streams/checkpoint.py, streams/wal.py),
what the server knows (snapshot.py), or what a folder asks to be done again (recovering.py).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from ...posteriors.base import UsageError
from ...streams import wal
from ...streams.checkpoint import Checkpoint, Checkpoints
from ...streams.ndjson import encode
from ...streams.record import LineError, Record
from ...streams.wal import LINE, Entry, Log
from . import recovering
from .known import Known, key_of
from .progress import Cost, Every, Place, check_of, place_of
from .recovering import CHECKPOINTS, LOG, PLACE, differences, lacking, locked, turns
from .replies import KEPT, Replies
from .serve import Server
from .snapshot import Snapshot, layout, put_back, taken

_lines = msgspec.msgpack.Encoder()
_records = msgspec.msgpack.Decoder(Record)
_values = msgspec.json.Decoder()


class Durable:
    """A server whose folder holds what it knows.

    identity: JSON, all that the belief depends on besides its input. output: descriptor of the
    file that replies are appended to, None where they go elsewhere. tell: says a line to a person.
    `unsent`: replies that may not have left before; `resend` them first of all. Raises UsageError
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
        self.cost, self.replayed, self.differing = Cost(), 0, 0
        self.number = 0
        self._replies = Replies(output)
        self._fsync, self._tell = fsync, tell
        self._known = Known()
        self._place, self._last, self._end = Place(), None, 0
        self._doubtful: Place | None = None
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
            self._doubtful = self.place()
        if self.server.many is not None:
            # Where the machine lost power, they may have learnt what the log has lost.
            self.server.many.store.cut(self.number)
        if point is None:
            # There is an identity to compare with, however early the process is killed.
            self._keep()
        self._next()

    def resend(self, send: Callable[[bytes], None]) -> None:
        """Send what may not have left before, if anything; what was replayed is then kept."""
        for reply in self.unsent:
            send(reply)
        self.unsent.clear()
        self.checkpoint()

    def answer(
        self, record: Record, arrived: int | None = None, end: int = 0
    ) -> dict[str, Any] | None:
        """The reply to a record, None where it had one that its output holds already.

        end: bytes of the input up to the end of the line. arrived: as in `Server.answer`. Raises
        LineError, as the server does.
        """
        key = key_of(record)
        doubtful, self._doubtful = self._doubtful, None
        # The last line before a resume may come again; if it matched nothing, it is not known.
        if key in self._known or (doubtful and doubtful == place_of(record, doubtful.bytes)):
            said = self._replies.again(record, key)
            return said and self.server.named(record, said)
        self._log.append(LINE, self.number + 1, _lines.encode(record))
        reply = self._answered(record, key, arrived, None)
        self._end = end
        self._replies.log(self._log, self.number, key, encode(reply))
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

    @property
    def unsent(self) -> list[bytes]:
        """Replies that may not have left before."""
        return self._replies.unsent

    def place(self) -> Place:
        """How far the input was read."""
        if self._last is not None:
            self._place, self._last = place_of(self._last, self._end), None
        return self._place

    def taken_in(self, file: str) -> int:
        """Lines of a file up to the last that was taken in before; 0 of any other file."""
        place = self.place()
        return place.line if place.file == os.path.abspath(file) else 0

    def took_last(self, record: Record) -> bool:
        """Whether a record says what the last line taken in before said."""
        return check_of(record) == self.place().check

    def summary(self) -> list[str]:
        """For a person, at the end."""
        found = self.cost.summary(self.folder)
        if self._replies.repeated:
            found.append(f"{self._replies.repeated} lines repeated: taken in once")
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
        self.server.retain(self._checkpoints.numbers())

    def _keep(self) -> bool:
        """Commit a checkpoint; whether there was anything new to keep."""
        new = self.number != self._whole
        if new:
            if self._replies.output is not None and self._fsync != wal.NEVER:
                os.fsync(self._replies.output)
            arrays, facts = taken(self.server)
            arrays["known"] = self._known.array()
            said = {"written": time.time(), "input": list(self.place()), "server": facts}
            self._checkpoints.commit(self.number, self.identity, said, arrays)
            self._whole = self.number
            self.server.retain(self._checkpoints.numbers())
        self._log.rotate(self.number + 1)
        self._log.prune(self._checkpoints.numbers()[0])
        return new

    def _next(self) -> None:
        self._due_number, self._due_time = self.number, time.monotonic()

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

    def _replay(self, log: Path) -> None:
        """Learn again what was logged after the checkpoint, and find what may not have left."""
        replies = self._replies
        if replies.output is not None:
            replies.unsent = lacking(wal.entries(log, 0, self.number), replies.size())
        last: Entry | None = None
        # Replies from before the checkpoint may be asked for again.
        recent = max(self.number - KEPT, 0)
        for line, reply in turns(wal.entries(log, recent, self.number)):
            if line.number <= self.number:
                if reply is not None:
                    key = key_of(_records.decode(line.body))
                    replies.remember(key, reply.body[PLACE.size :])
                continue
            last = reply
            if line.number != self.number + 1:
                raise UsageError(
                    f"{log}: line {self.number + 1} is missing, line {line.number} is there; name "
                    "another folder to start anew"
                )
            self._redo(_records.decode(line.body), reply)
        if replies.output is None and last is not None:
            replies.unsent = [last.body[PLACE.size :]]
        for line in recovering.notes(self.replayed, self.differing):
            self._tell(line)

    def _redo(self, record: Record, reply: Entry | None) -> None:
        key = key_of(record)
        before = None if reply is None else _values.decode(reply.body[PLACE.size :])
        try:
            found = encode(self._answered(record, key, None, before))
        except LineError:
            return
        self.replayed += 1
        if reply is None or before is None:
            self._replies.log(self._log, self.number, key, found)
            self.unsent.append(found)
            return
        self._replies.remember(key, reply.body[PLACE.size :])
        self.differing += recovering.differing(before, _values.decode(found))


__all__ = ["Durable", "Every"]
