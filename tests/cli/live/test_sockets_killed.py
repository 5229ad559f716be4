"""`uncertain run` at a socket, TCP or unix, killed: a client that comes back loses nothing.

See also: tests/streams/inputs/test_sockets.py for clients of all sorts, test_resume.py and
test_redis_killed.py for other inputs.
"""

import signal
import socket
import threading
import time
from pathlib import Path

import pytest
from killing import LINEAR, Runs, asked_for, compare, plain, turns

pytestmark = pytest.mark.live

WINDOW = 64
"""Lines that the client sends ahead of the replies it has heard."""
PATIENCE = 60.0
"""Seconds for a server to come back, and for a reply."""


both = pytest.mark.parametrize("kind", ["tcp", "unix"])


def connected(address: str) -> socket.socket:
    """A connection to `tcp:HOST:PORT` or `unix:PATH`; OSError where nobody listens."""
    kind, _, where = address.partition(":")
    if kind == "unix":
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.settimeout(PATIENCE)
            connection.connect(where)
        except OSError:
            connection.close()
            raise
        return connection
    host, _, port = where.rpartition(":")
    connection = socket.create_connection((host, int(port)), PATIENCE)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


class Feeder(threading.Thread):
    """Sends lines, and hears a reply to each, in order, whoever is killed meanwhile.

    After a lost connection it begins at the first line whose reply it has not heard, or, where it
    `forgets`, behind the last that it sent. heard: replies. ended: whether it has nothing to do.
    """

    def __init__(self, address: str, given: list[bytes], forgets: bool = False) -> None:
        super().__init__(daemon=True)
        self.address, self.given, self.forgets = address, given, forgets
        self.heard: list[bytes] = []
        self.connections, self.sent_again, self.sent = 0, 0, 0
        self.wrong: BaseException | None = None

    def run(self) -> None:
        try:
            first = 0
            while first < len(self.given):
                with self._connected() as connection:
                    answered = self._talk(connection, first)
                first = self.sent if self.forgets else first + answered
        except BaseException as error:
            self.wrong = error
            raise

    def _connected(self) -> socket.socket:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                connection = connected(self.address)
                self.connections += 1
                return connection
            except OSError:
                # It was killed, and is not there again yet.
                assert time.monotonic() < end, "nobody listens"
                time.sleep(0.01)

    def _talk(self, connection: socket.socket, first: int) -> int:
        """Lines from `first` on that were answered before the connection broke."""
        self.sent_again += self.sent - first
        ahead, answered = first, 0
        rest = b""
        try:
            while first + answered < len(self.given):
                until = min(first + answered + WINDOW, len(self.given))
                if ahead < until:
                    connection.sendall(b"".join(self.given[ahead:until]))
                    ahead = until
                    self.sent = max(self.sent, ahead)
                chunk = connection.recv(1 << 16)
                if not chunk:
                    break
                # A reply without its end is not heard.
                *replies, rest = (rest + chunk).split(b"\n")
                self.heard += replies
                answered += len(replies)
        except TimeoutError:
            raise
        except OSError:
            pass
        return answered


class SocketRuns(Runs):
    """The same at a socket of this machine, with somebody who feeds it; it is told when to end."""

    def __init__(self, folder: Path, feeder: Feeder, *options: object) -> None:
        super().__init__(folder, feeder.address, *options)
        self.feeder = feeder
        # Compiled once for all tests here.
        self.environment["XDG_CACHE_HOME"] = str(folder.parent / "cache")

    def size(self) -> int:
        """How much was answered: replies that the client has."""
        return len(self.feeder.heard)

    def kill_at(self, more: int, *options: object) -> bool:
        """As for a file."""
        left = len(self.feeder.given) - self.size()
        return left > 0 and super().kill_at(min(more, left), *options)

    def finish(self, *options: object) -> str:
        """Run until the client has all its replies, and end it; what it says."""
        process = self.begin("--resume", "--status", "100ms", *options)
        assert process.stderr is not None
        said = b""
        # How it goes it says only once it is there to be told.
        while not said.endswith(b" clients\n") or self.feeder.is_alive():
            assert process.poll() is None, said
            said += process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        said += process.communicate(timeout=PATIENCE)[1]
        assert process.returncode == 0, said
        assert b"asked to end: go on with --resume" in said
        assert self.feeder.wrong is None
        self.out.write_bytes(b"".join(reply + b"\n" for reply in self.feeder.heard))
        return said.decode()


def free_address(kind: str, folder: Path) -> str:
    """One that nobody listens at; `kind` is tcp or unix."""
    if kind == "unix":
        return f"unix:{folder}/socket"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp:127.0.0.1:{probe.getsockname()[1]}"


def disturbed(folder: Path, kind: str, kills: int, events: int) -> tuple[int, Feeder, str]:
    """Kill it as often, and compare with a run of a file that nobody killed; how often that was,
    who fed it, and what the last one said."""
    given = turns(events)
    feeder = Feeder(free_address(kind, folder), given.encode().splitlines(True))
    runs = SocketRuns(folder, feeder, "--every", "1s")
    feeder.start()
    done = runs.killed_often(kills, len(feeder.given), 4)
    said = runs.finish()
    runs.options = [*LINEAR, "--every", "1s"]
    compare(runs, given)
    return done, feeder, said


@both
def test_killed_at_random_moments_it_ends_as_if_it_had_not_been(tmp_path: Path, kind: str) -> None:
    done, feeder, said = disturbed(tmp_path, kind, 1, 200)
    assert done == 1
    assert feeder.connections > 1
    assert feeder.sent_again > 0
    assert "lines replayed from the log" in said


@both
@pytest.mark.nightly
def test_a_client_that_sends_nothing_again_misses_replies(tmp_path: Path, kind: str) -> None:
    """Negative control: what was on its way to a killed process is gone."""
    given = turns(150).encode().splitlines(True)
    feeder = Feeder(free_address(kind, tmp_path), given, forgets=True)
    runs = SocketRuns(tmp_path, feeder, "--every", "1s")
    feeder.start()
    assert runs.kill_at(20)
    runs.finish()
    ids = [row["id"] for row in plain(runs.out.read_bytes())]
    assert 20 <= len(ids) < len(given)


@both
@pytest.mark.soak
def test_two_hundred_kills_over_a_hundred_thousand_events(tmp_path: Path, kind: str) -> None:
    kills, events = asked_for()
    done, feeder, said = disturbed(tmp_path, kind, kills, events)
    print(f"\n{kind}: {done} kills over {events} events, {feeder.sent_again} lines sent again: "
          f"none lost, none twice, belief the same; {said}")  # fmt: skip
    assert done > 0.9 * kills
