"""A Redis server of a test's own, on a free port of this machine, and reading a stream of it."""

import json
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from uncertain.streams.inputs.base import Arrival
from uncertain.streams.inputs.redis_address import GroupMember
from uncertain.streams.inputs.redis_stream import RedisStream

PATIENCE = 20.0
"""Seconds for a server to come up."""


class RedisHere:
    """Started when made, with a log that outlives a kill; `start` again after `kill` or `stop`."""

    def __init__(self, folder: Path) -> None:
        redis = pytest.importorskip("redis")
        if shutil.which("redis-server") is None:
            pytest.skip("no redis-server: install Debian's package of that name")
        self.folder, self._error = folder, redis.RedisError
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.client = redis.Redis(port=self.port, protocol=2)
        # Answers as they come, the same in all versions of the package.
        self.client.response_callbacks.clear()
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        # By default a write waits up to two seconds for a slow disk, answered already: a killed
        # server forgets it, so that an entry done comes again.
        words = ("--port", self.port, "--bind", "127.0.0.1", "--dir", self.folder, "--save", "",
                 "--appendonly", "yes", "--appendfsync", "always",
                 "--unixsocket", self.folder / "socket")  # fmt: skip
        self.process = subprocess.Popen(
            ["redis-server", *map(str, words)], stdout=subprocess.DEVNULL
        )
        end = time.monotonic() + PATIENCE
        while True:
            try:
                self.ask("PING")
                return
            except self._error:
                assert self.process.poll() is None, "redis-server ended at once"
                assert time.monotonic() < end, "redis-server does not answer"
                time.sleep(0.01)

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End it for good."""
        self.process.terminate()
        self.process.wait()
        self.client.close()

    def url(self, stream: str) -> str:
        """The address of a stream."""
        return f"redis://127.0.0.1:{self.port}/0/{stream}"

    def ask(self, *words: Any) -> Any:
        """What the server answers."""
        return self.client.execute_command(*words)

    def add(self, stream: str, *lines: bytes | str | dict[str, Any]) -> list[bytes]:
        """Entries with a line each; their ids."""
        texts = (json.dumps(line) if isinstance(line, dict) else line for line in lines)
        with self.client.pipeline(transaction=False) as pipe:
            pipe.response_callbacks = {}
            for text in texts:
                pipe.execute_command("XADD", stream, "*", "line", text)
            return pipe.execute()

    def replies(self, stream: str) -> list[tuple[bytes, dict[str, Any]]]:
        """Which entry each reply is for, and the reply, the oldest first."""
        found = []
        for _, (for_, entry, line, reply) in self.ask("XRANGE", f"{stream}:replies", "-", "+"):
            assert (for_, line) == (b"for", b"line")
            found.append((entry, json.loads(reply)))
        return found

    def pending(self, stream: str, group: str = "uncertain") -> int:
        """Entries given to somebody and not answered."""
        return self.ask("XPENDING", stream, group)[0]


def opened(
    server: RedisHere,
    stream: str,
    told: list[str] | None = None,
    longest: int = 1000,
    **member: Any,
) -> RedisStream:
    """A stream as an input. told: what it says to a person goes there."""
    tell = (lambda text: None) if told is None else told.append
    return RedisStream(server.url(stream), GroupMember(**member), longest, tell)


def answered(source: RedisStream, most: int = 10**9, seconds: float = 0.05) -> list[bytes]:
    """Ids of the entries that come without `seconds` between them, each answered with its line."""
    found = []
    while len(found) < most and (arrival := source.take(seconds)) is not None:
        arrival.sink.write({"id": arrival.line.decode()})
        found.append(arrival.where.file.rpartition(":")[2].encode())
    return found


class Draining(RedisStream):
    """Ends when every entry is answered."""

    def __init__(self, here: RedisHere, stream: str, **member: Any) -> None:
        super().__init__(here.url(stream), GroupMember(maxlen=0, **member))
        self.here, self.stream = here, stream

    def take(self, seconds: float | None = None) -> Arrival | None:
        """The next line, None where there is none just now."""
        found = super().take(0.01)
        if found is None and self.lag() == 0:
            self.ended = self.here.pending(self.stream) == 0
        return found
