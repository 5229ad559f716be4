"""A server that survives a crash: every line is logged, answered once, and replayed on resume.

A line is logged before it is answered, its reply before it is sent; checkpoints are between lines.
A resumed run computes the same replies again, and knows which may not have been sent.

See also: snapshot.py for the server's state, recovery.py for the decisions on resume,
streams/storage/checkpoint.py and streams/storage/wal.py for the files.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import msgspec

from ....posteriors.errors import UsageError
from ....streams.formats.ndjson import encode_line
from ....streams.formats.record import LineError, Record
from ....streams.storage import wal
from ....streams.storage.checkpoint import Checkpoint, Checkpoints
from ....streams.storage.log_segments import LINE, LogEntry, read_entries
from ....streams.storage.wal import WriteAheadLog
from ..server.server import Server
from . import recovery
from .input_position import (
    CheckpointCost,
    CheckpointInterval,
    InputPosition,
    position_after,
    record_checksum,
)
from .reply_log import RECENT_REPLIES, ReplyLog
from .seen_ids import SeenIds, line_key
from .snapshot import Snapshot, restore_snapshot, state_layout, take_snapshot

_lines = msgspec.msgpack.Encoder()
_records = msgspec.msgpack.Decoder(Record)
_values = msgspec.json.Decoder()


class DurableServer:
    """A server with a folder of checkpoints and log.

    server: the server, just made.
    folder: path of the folder.
    identity: JSON, all that the belief depends on besides the input.
    every: when a checkpoint is due.
    fsync: when the log is synced (streams/storage/wal.py).
    resume: whether to continue from the folder.
    output: descriptor of the file that replies are appended to; None for any other output.
    tell: prints a line for the user.
    salvage: prints a line about each loss, and the run goes on; None refuses damage.

    Raises: UsageError if the folder is in use without `resume`, or belongs to another identity.
    """

    def __init__(
        self,
        server: Server,
        folder: str,
        identity: Mapping[str, Any],
        every: CheckpointInterval,
        fsync: str = wal.INTERVAL,
        resume: bool = False,
        output: int | None = None,
        tell: Callable[[str], None] = lambda text: None,
        salvage: Callable[[str], None] | None = None,
    ) -> None:
        self.server, self.folder, self.every = server, folder, every
        self.identity = {**identity, "state": state_layout(server)}
        self.cost, self.replayed, self.differing = CheckpointCost(), 0, 0
        self.number = 0
        self._fsync, self._tell, self._salvage = fsync, tell, salvage
        self._replies, self._seen = ReplyLog(output), SeenIds()
        self._position, self._last, self._end = InputPosition(), None, 0
        self._doubtful: InputPosition | None = None
        self._whole: int | None = None
        root = Path(folder)
        self._checkpoints = Checkpoints(root / recovery.CHECKPOINTS, fsync != wal.NEVER)
        self._unlock = recovery.lock_folder(root)
        with ExitStack() as failed:
            failed.callback(self._unlock)
            self._begin(root, resume)
            failed.pop_all()

    def _begin(self, root: Path, resume: bool) -> None:
        point = recovery.newest_checkpoint(
            self._checkpoints, self.folder, self.identity, resume, self._tell
        )
        log = root / recovery.LOG
        known: dict[Any, Any] = {}
        if point is not None:
            recovery.check_log(log, point, self._salvage)
            self._restore(point)
            known = {point.facts.get("log"): point.facts.get("chain")}
        self._log = WriteAheadLog(log, self._fsync, self.number + 1, known)
        if self._log.cut_bytes:
            self._tell(f"{self._log.cut_bytes} bytes of a torn record cut off the log")
        if point is not None:
            output = point.facts.get("output")
            self._replies.compare_output(log, self.number, output, self._salvage, self._tell)
            self._replay(log)
            self._doubtful = self.position()
        if self.server.keyed is not None:
            # After a power loss, spilled streams may be ahead of the log.
            self.server.keyed.store.delete_after(self.number)
        if point is None:
            # Store the identity, however early the process is killed.
            self._commit()
        self._schedule()

    def resend(self, send: Callable[[bytes], None]) -> None:
        """Send the replies that may be unsent, then take a checkpoint. Call it first.

        send: sends one reply.
        """
        for reply in self.unsent:
            send(reply)
        self.unsent.clear()
        self.checkpoint()

    def answer(
        self, record: Record, arrived: int | None = None, end: int = 0
    ) -> dict[str, Any] | None:
        """Answer a record and log both.

        record: the record.
        arrived: as in `Server.answer`.
        end: bytes of the input up to the end of the line.

        Returns: the reply; None for a repeated line whose reply is in the output already.
        Raises: LineError if the record does not fit.
        """
        key = line_key(record)
        doubtful, self._doubtful = self._doubtful, None
        # The last line before a resume may come again; if it matched nothing, it is not known.
        if key in self._seen or (doubtful and doubtful == position_after(record, doubtful.bytes)):
            said = self._replies.repeated_reply(record, key)
            return said and self.server.with_key(record, said)
        self._log.append(LINE, self.number + 1, _lines.encode(record))
        reply = self._serve(record, key, arrived, None)
        self._end = end
        self._replies.append(self._log, self.number, key, encode_line(reply))
        self._log.settle()
        return reply

    def checkpoint_if_due(self) -> None:
        """Take a checkpoint if one is due; call it after the reply is sent."""
        lines, seconds = self.every.lines, self.every.seconds
        if (lines is not None and self.number >= self._due_number + lines) or (
            seconds is not None and time.monotonic() >= self._due_time + seconds
        ):
            self.checkpoint()

    def checkpoint(self) -> None:
        """Take a checkpoint. A failure is printed once: the log has everything.

        Raises: UsageError if the folder is no longer in its place.
        """
        self._log.check_place()
        begin = time.perf_counter()
        try:
            if self._commit():
                self.cost.seconds.append(time.perf_counter() - begin)
        except UsageError as error:
            self.cost.failed += 1
            if self.cost.failed == 1:
                self.cost.reason = str(error)
                self._tell(f"{error}; going on, the log keeps what is taken in")
        self._schedule()

    def close(self) -> None:
        """Take a last checkpoint and close the folder, at the end of the input."""
        with ExitStack() as last:
            last.callback(self._unlock)
            last.callback(self._log.close)
            self.checkpoint()

    def abandon(self) -> None:
        """Close the folder after an error, leaving the last checkpoint and the log as they are."""
        with suppress(UsageError):
            self._log.close()
        self._unlock()

    @property
    def unsent(self) -> list[bytes]:
        """Replies that may not have been sent before."""
        return self._replies.unsent

    def position(self) -> InputPosition:
        """Compute the position after the last accepted line."""
        if self._last is not None:
            self._position, self._last = position_after(self._last, self._end), None
        return self._position

    def lines_taken(self, file: str) -> int:
        """Count the lines of a file up to the last accepted one.

        file: path of the input.
        Returns: 0 for any other file.
        """
        place = self.position()
        return place.line if place.file == os.path.abspath(file) else 0

    def is_last_line(self, record: Record) -> bool:
        """Test whether a record equals the last accepted line.

        record: a record of the input.

        Returns: whether their checksums agree.
        """
        return record_checksum(record) == self.position().check

    def summary(self) -> list[str]:
        """Summarise checkpoints and repeated lines for the user."""
        found = self.cost.summary(self.folder)
        if self._replies.repeated:
            found.append(f"{self._replies.repeated} lines repeated: taken in once")
        return found

    def _restore(self, point: Checkpoint) -> None:
        facts = point.facts
        restore_snapshot(self.server, Snapshot(point.arrays, facts["server"]))
        self._position = InputPosition(*facts["input"])
        self.number = self._whole = point.number
        self._seen.restore(point.arrays["known"])
        self.server.retain_checkpoints(self._checkpoints.numbers())

    def _commit(self) -> bool:
        """Commit a checkpoint, and report whether anything was new."""
        new = self.number != self._whole
        # The checkpoint names the segment behind it, so that its loss is noticed.
        self._log.rotate(self.number + 1)
        if new:
            output = self._replies.mark_output(self._fsync != wal.NEVER)
            arrays, facts = take_snapshot(self.server)
            arrays["known"] = self._seen.array()
            said = {"written": time.time(), "input": list(self.position()), "server": facts}
            said |= {"log": self._log.segment, "chain": self._log.begins_from, "output": output}
            self._checkpoints.commit(self.number, self.identity, said, arrays)
            self._whole = self.number
            self.server.retain_checkpoints(self._checkpoints.numbers())
        self._log.prune(self._checkpoints.numbers()[0])
        return new

    def _schedule(self) -> None:
        self._due_number, self._due_time = self.number, time.monotonic()

    def _serve(
        self, record: Record, key: int, arrived: int | None, before: dict[str, Any] | None
    ) -> dict[str, Any]:
        """The server's reply to a logged record; the line counts even if it does not fit."""
        self.number += 1
        unmatched = self.server.counters.unmatched
        reply = self.server.answer(record, arrived, before)
        # The decision of an unmatched observation may arrive later.
        if self.server.counters.unmatched == unmatched:
            self._seen.add(key)
        self._last = record
        return reply

    def _replay(self, log: Path) -> None:
        """Learn the lines logged after the checkpoint again; collect replies that may be unsent."""
        last: LogEntry | None = None
        # Clients may repeat lines from before the checkpoint.
        recent = max(self.number - RECENT_REPLIES, 0)
        for line, reply in recovery.pair_replies(read_entries(log, recent, self.number)):
            if line.number <= self.number:
                if reply is not None:
                    key = line_key(_records.decode(line.body))
                    self._replies.remember(key, reply.body[recovery.OUTPUT_END.size :])
                continue
            last = reply
            if line.number != self.number + 1:
                raise UsageError(f"{log}: has line {line.number} where {self.number + 1} follows")
            self._replay_line(_records.decode(line.body), reply)
        if self._replies.output is None and last is not None:
            self._replies.unsent = [last.body[recovery.OUTPUT_END.size :]]
        for line in recovery.replay_notes(self.replayed, self.differing):
            self._tell(line)

    def _replay_line(self, record: Record, reply: LogEntry | None) -> None:
        key = line_key(record)
        before = None if reply is None else _values.decode(reply.body[recovery.OUTPUT_END.size :])
        try:
            found = encode_line(self._serve(record, key, None, before))
        except LineError:
            return
        self.replayed += 1
        if reply is None or before is None:
            self._replies.append(self._log, self.number, key, found)
            self.unsent.append(found)
            return
        self._replies.remember(key, reply.body[recovery.OUTPUT_END.size :])
        self.differing += recovery.replies_differ(before, _values.decode(found))
