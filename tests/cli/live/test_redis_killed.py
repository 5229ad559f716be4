"""`uncertain run redis://... --checkpoint`, killed: it ends as if it had not been.

See also: test_redis_command.py for servers that are killed, test_resume.py for other inputs.
"""

import json
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from console import call, lines
from killing import LINEAR, Runs, asked_for, compare, known_of, turns
from redis_here import Draining, RedisHere
from uncertain.cli.commands.run import RunOptions
from uncertain.cli.live.checkpointing import DurableRun
from uncertain.cli.live.inputs import OnError
from uncertain.cli.live.run import build_server, serve
from uncertain.decide.loop.durable.durable import CheckpointInterval, DurableServer
from uncertain.decide.loop.server.server import Server
from uncertain.streams.inputs.redis_group import ConsumerGroup
from uncertain.streams.inputs.rejected import RejectedLines
from uncertain.streams.storage.wal import NEVER

pytestmark = pytest.mark.live

OPTIONS = RunOptions(model="linear:arms=3:features=1", horizon=4)


class Killed(BaseException):
    """The process is gone."""


class Steps:
    """Kills before or after one of the things that a process does; counts them."""

    def __init__(self, last: float = float("inf")) -> None:
        self.last, self.count = last, 0

    def of(self, act):
        """The same, counted."""

        def counted(*words):
            self._next()
            done = act(*words)
            self._next()
            return done

        return counted

    def _next(self) -> None:
        self.count += 1
        if self.count == self.last:
            raise Killed


def play(here: RedisHere, stream: str, folder: Path, steps: Steps) -> Server:
    """What `uncertain run --resume --checkpoint` does with a stream, until it has all of it."""
    server, source = build_server(OPTIONS), Draining(here, stream)
    durable = DurableServer(server, str(folder), {}, CheckpointInterval(lines=7), NEVER, True)
    durable.resend(lambda reply: None)
    kept, client = DurableRun(durable, 0), source._link._client
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", steps.of(os.write))
        patch.setattr(client, "execute_command", steps.of(client.execute_command))
        try:
            serve(server, source, RejectedLines(), OnError.SKIP, kept)
            durable.close()
        except Killed:
            # It may have been about to end.
            with suppress(OSError):
                os.close(durable._log._file)
            durable._unlock()
            raise
        finally:
            kept.close()
            source.close()
    return server


def fill(here: RedisHere, stream: str) -> None:
    """Entries of every kind: late, repeated, unmatched, refused, without a line."""
    found: list[Any] = []
    for i in range(4):
        found += [{"id": i, "x": [1.0], "t": 1e9 + i}, {"id": f"e{i}", "x": [0.5], "action": i % 3,
                  "propensity": 0.5, "y": 0.1 * i, "t": 1e9 + i + 0.5}]  # fmt: skip
        if i % 2:
            found += [{"id": "nobody", "y": 1.0}, {"id": i - 1, "y": 0.3}, {"id": i, "y": -0.2}]
            found += [{"id": i, "y": -0.2}, {"id": f"w{i}", "x": [1.0, 2.0]}, None, "not JSON"]
    for number, one in enumerate(found, 1):
        name, text = ("other", "x") if one is None else ("line", one)
        text = text if isinstance(text, str) else json.dumps(text)
        here.ask("XADD", stream, f"{number}-1", name, text)


def told(here: RedisHere, stream: str) -> list[tuple[bytes, Any]]:
    """Replies without what the clock decides or the stream's name does."""
    found = []
    for entry, reply in here.replies(stream):
        reply.pop("latency", None)
        if "error" in reply:
            reply["error"] = reply["error"].replace(here.url(stream), "")
        found.append((entry, reply))
    return found


def killed_once(here: RedisHere, folder: Path, last: int) -> tuple[Any, Any]:
    """What is known and was told by a run that was killed at that step, and one that went on."""
    stream = f"{folder.name}-{last}"
    fill(here, stream)
    with pytest.raises(Killed):
        play(here, stream, folder / stream, Steps(last))
    server = play(here, stream, folder / stream, Steps())
    return known_of(server), told(here, stream)


@pytest.fixture(scope="module")
def undisturbed(redis_here, tmp_path_factory) -> tuple[Any, Any, int]:
    """What a run knows and told that nobody killed, and how many steps it took."""
    steps = Steps()
    fill(redis_here, "undisturbed")
    server = play(redis_here, "undisturbed", tmp_path_factory.mktemp("undisturbed"), steps)
    return known_of(server), told(redis_here, "undisturbed"), steps.count


def test_killed_at_any_command_or_write_it_ends_the_same(redis_here, tmp_path, undisturbed) -> None:
    known, replies, steps = undisturbed
    assert len(replies) == len({entry for entry, _ in replies}) == 22
    assert sum("error" in reply for _, reply in replies) == 6
    assert known[1]["counts"]["unmatched"] == 2
    for last in range(1, steps - 4, 4):
        assert killed_once(redis_here, tmp_path, last) == (known, replies), last


def test_without_reading_again_what_was_not_answered_events_are_lost(
    redis_here, tmp_path, undisturbed, monkeypatch
) -> None:
    """Negative control."""
    monkeypatch.setattr(ConsumerGroup, "read_pending", lambda *_: [])
    fill(redis_here, "control")
    with pytest.raises(Killed):
        play(redis_here, "control", tmp_path, Steps(30))
    given = redis_here.pending("control")
    assert given > 0
    monkeypatch.setattr(RedisHere, "pending", lambda *_: 0)
    server = play(redis_here, "control", tmp_path, Steps())
    assert len(told(redis_here, "control")) == len(undisturbed[1]) - given
    assert known_of(server) != undisturbed[0]


class RedisRuns(Runs):
    """The same over a Redis stream of `total` lines, which has no end: it is told when to."""

    def __init__(self, folder: Path, here: RedisHere, total: int, *options: object) -> None:
        super().__init__(folder, here.url("events"), "--maxlen", 0, *options)
        self.here, self.total = here, total

    def size(self) -> int:
        """How much was answered: replies."""
        return self.here.ask("XLEN", "events:replies")

    def kill_at(self, more: int, *options: object) -> bool:
        """As for a file."""
        left = self.total - self.size()
        return left > 0 and super().kill_at(min(more, left), *options)

    def finish(self, *options: object) -> str:
        """Run until all is answered, and end it; what it says."""
        process = self.begin("--resume", "--status", "100ms", *options)
        assert process.stderr is not None
        said = b""
        # How it goes it says only once it is there to be told.
        while not said.endswith(b" refused\n") or self.size() < self.total:
            assert process.poll() is None, said
            said += process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        said += process.communicate(timeout=60)[1]
        assert process.returncode == 0, said
        assert b"asked to end: go on with --resume" in said
        replies = [reply for _, reply in self.here.replies("events")]
        self.out.write_text(lines(*replies))
        return said.decode()


def disturbed(folder: Path, here: RedisHere, kills: int, events: int) -> tuple[int, str, str]:
    """Kill it as often, and compare with a run of a file that nobody killed; how often that was,
    what the last one said, and the last entry."""
    given = turns(events)
    texts = given.splitlines()
    entries = [entry for at in range(0, len(texts), 10_000)
               for entry in here.add("events", *texts[at : at + 10_000])]  # fmt: skip
    runs = RedisRuns(folder, here, len(entries), "--every", "1s")
    done = runs.killed_often(kills, len(entries), 3)
    said = runs.finish()
    assert [entry for entry, _ in here.replies("events")] == entries
    assert here.pending("events") == 0
    runs.options = [*LINEAR, "--every", "1s"]
    compare(runs, given)
    return done, said, entries[-1].decode()


def test_killed_at_random_moments_it_ends_as_if_it_had_not_been(tmp_path, redis_alone) -> None:
    done, said, last = disturbed(tmp_path, redis_alone, 2, 500)
    assert done == 2
    assert "as consumer 1 of group uncertain; replies in events:replies\n" in said
    # The checkpoint that it took when it was told to end.
    kept = tmp_path / "kept"
    row = [row for row in call("inspect", kept).rows if row["kind"] == "checkpoint"][-1]
    assert row["input"]["file"] == f"{redis_alone.url('events')}:{last}"
    assert f"events:{last} " in call("inspect", kept, terminal=True).out


@pytest.mark.soak
def test_two_hundred_kills_over_a_hundred_thousand_events(tmp_path, redis_alone) -> None:
    kills, events = asked_for()
    done, said, _ = disturbed(tmp_path, redis_alone, kills, events)
    print(f"\n{done} kills over {events} events: none lost, none twice, belief the same; {said}")
    assert done > 0.9 * kills
