"""Play a stream of lines as `uncertain run --resume --checkpoint` does, and be killed at any step.

See also: killing.py for processes of their own.
"""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from uncertain.cli.commands.run import RunOptions
from uncertain.cli.live.run import build_server
from uncertain.decide.loop.durable.durable import CheckpointInterval, DurableServer
from uncertain.decide.loop.server.server import Server
from uncertain.streams.formats.ndjson import encode_line
from uncertain.streams.formats.record import LineError, Record, Where
from uncertain.streams.storage.checkpoint import Checkpoints
from uncertain.streams.storage.wal import NEVER

OPTIONS = RunOptions(model="linear:arms=3:features=1", horizon=4)


def stream() -> list[Record]:
    """Lines of every kind: late, repeated, unmatched, refused, dropped beyond the horizon."""
    found: list[dict[str, Any]] = []
    for i in range(6):
        found += [{"id": i, "x": [1.0], "t": 1e9 + i}, {"id": f"e{i}", "x": [0.5], "action": i % 3,
                  "propensity": 0.5, "y": 0.1 * i, "t": 1e9 + i + 0.5}]  # fmt: skip
        if i % 2:
            found += [{"id": i - 1, "y": 0.3}, {"id": i, "y": -0.2}, {"id": i, "y": -0.2}]
        if i == 2:
            found += [{"id": "nobody", "y": 1.0}, {"id": 2, "x": [1.0, 2.0]}, {"id": "w", "x": []}]
    found += [{"id": f"late{i}", "x": [2.0]} for i in range(6)]
    found += [{"id": "late5", "y": 1.0}, {"id": "late0", "y": 1.0}, {"id": "nobody", "y": 1.0}]
    return [Record(where=Where("stream", n), **one) for n, one in enumerate(found, 1)]


class Killed(BaseException):
    """The process is gone."""


class Steps:
    """Counts what could be the last thing that the process does; kills it at one of them."""

    def __init__(self, last: float = float("inf")) -> None:
        self.last, self.count = last, 0

    def write(self, write: Callable[[bytes], Any], data: bytes) -> Any:
        """Write; or only a part of it, or all, and be gone."""
        self.count += 2
        if self.count - 1 == self.last:
            write(data[: len(data) // 2])
            raise Killed
        done = write(data)
        if self.count == self.last:
            raise Killed
        return done


def play(
    folder: Path,
    steps: Steps,
    output: str = "out",
    given: list[Record] | None = None,
    salvage: Callable[[str], None] | None = None,
) -> Server:
    """Do what `uncertain run --resume --checkpoint` does with the stream."""
    server = build_server(OPTIONS)
    real_write, real_commit = os.write, Checkpoints.commit

    def commit(self: Checkpoints, number: int, *rest: Any) -> None:
        def write(data: bytes) -> None:
            if data == b"whole":
                real_commit(self, number, *rest)
            else:
                (self.path(number) / "d").mkdir(parents=True)

        steps.write(write, b"whole")

    with (folder / output).open("ab", buffering=0) as file, pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", lambda to, data: steps.write(lambda d: real_write(to, d), data))
        patch.setattr(Checkpoints, "commit", commit)
        kept = DurableServer(
            server,
            str(folder / "kept"),
            {"of": "test"},
            CheckpointInterval(lines=5),
            NEVER,
            True,
            file.fileno(),
            salvage=salvage,
        )
        try:
            kept.resend(lambda reply: steps.write(file.write, reply))
            for record in (given or stream())[kept.lines_taken("stream") :]:
                try:
                    reply = kept.answer(record)
                except LineError:
                    continue
                if reply is not None:
                    steps.write(file.write, encode_line(reply))
                kept.checkpoint_if_due()
            kept.close()
        except Killed:
            # It may have been about to end.
            with suppress(OSError):
                os.close(kept._log._file)
            kept._unlock()
            raise
    return server


def said(file: Path) -> list[dict[str, Any]]:
    """Replies without what the clock decides."""
    rows = [json.loads(line) for line in file.read_bytes().splitlines()]
    return [{name: value for name, value in row.items() if name != "latency"} for row in rows]
