"""`uncertain run redis://...`: shared, its server killed, wrong entries, wrong use.

See also: test_redis_killed.py for a run that is killed, tests/streams/inputs/test_redis.py for the
entries of any consumer.
"""

import json
import random
import threading
import time
from typing import Any

import pytest
from console import call, lines
from killing import LINEAR, known_of
from redis_here import Draining
from uncertain.cli.commands.run import RunOptions
from uncertain.cli.live.inputs import OnError
from uncertain.cli.live.run import build_server, serve
from uncertain.decide.loop.server.server import Server
from uncertain.streams.formats.record import Record, Where
from uncertain.streams.inputs.rejected import RejectedLines

pytestmark = pytest.mark.live

OPTIONS = RunOptions(model="linear:arms=3:features=1", horizon=4)


def served(source: Draining) -> Server:
    """A server without a checkpoint that has answered what the source gave."""
    server = build_server(OPTIONS)
    try:
        serve(server, source, RejectedLines(), OnError.STOP)
    finally:
        source.close()
    return server


def events(count: int) -> list[dict[str, Any]]:
    """Complete events."""
    rng = random.Random(5)
    return [{"id": i, "x": [rng.gauss(0, 1)], "action": i % 3, "propensity": 1 / 3,
             "y": rng.gauss(0, 1)} for i in range(count)]  # fmt: skip


def told_of_file(given: list[dict[str, Any]]) -> Server:
    """A server that was told the same by a file."""
    server = build_server(OPTIONS)
    for one in given:
        server.answer(Record(where=Where("file", 1), **one))
    return server


def test_each_event_of_a_shared_stream_is_learnt_by_one(redis_here) -> None:
    entries = redis_here.add("shared", *events(600))
    sources = [Draining(redis_here, "shared", consumer=name) for name in "ab"]
    servers = []
    threads = [threading.Thread(target=lambda s=s: servers.append(served(s))) for s in sources]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    learnt = [server.counters.learnt for server in servers]
    assert len(learnt) == 2
    assert sum(learnt) == 600
    assert min(learnt) > 0
    assert sorted(entry for entry, _ in redis_here.replies("shared")) == sorted(entries)


KILLS = 40
"""Of a server, at most: enough to hit every kind of request many times."""


def test_a_server_killed_and_started_again_costs_nothing(redis_alone) -> None:
    given = events(2000)
    redis_alone.add("events", *given)
    restarts, over = 0, threading.Event()

    def disturb() -> None:
        nonlocal restarts
        # On a slow machine a server killed for ever after would never get anything done.
        while restarts < KILLS and not over.wait(0.1):
            redis_alone.kill()
            time.sleep(0.02)
            redis_alone.start()
            restarts += 1

    source = Draining(redis_alone, "events")
    disturber = threading.Thread(target=disturb)
    disturber.start()
    server = served(source)
    over.set()
    disturber.join()
    assert restarts > 1
    assert known_of(server) == known_of(told_of_file(given))
    assert [reply["id"] for _, reply in redis_alone.replies("events")] == list(range(2000))


def test_from_end_to_end(redis_here, tmp_path) -> None:
    """Lines in, replies out; wrong entries are named, refused and kept."""
    good = [{"id": 1, "x": [1]}, {"id": 1, "y": 2}, {"id": 2, "x": [1]}, {"id": 2, "y": 2}]
    redis_here.add("whole", *good[:2])
    wrong = redis_here.ask("XADD", "whole", "*", "id", "7", "y", "3").decode()
    redis_here.add("whole", *good[2:], *({"id": i, "x": [1]} for i in range(3, 9)))
    address = redis_here.url("whole")
    result = call(*LINEAR, address)
    assert (result.status, result.out) == (2, "")
    assert len(result.errors) == 3
    assert f"{address}:{wrong}: line: missing; an entry holds one NDJSON line" in result.err
    assert len(redis_here.replies("whole")) == 2
    kept = tmp_path / "kept.ndjson"
    options = ("--on-error", "quarantine", "--quarantine", kept, "--budget", 3)
    result = call(*LINEAR, address, *options, "--group", "other", "--replies", "theirs")
    assert result.status == 0, result.err
    assert "1 lines refused: 1 missing field" in result.err
    assert "reading" in result.err
    row = json.loads(kept.read_text())
    assert (row["source"], row["line"], row["text"]) == (
        f"{address}:{wrong}", 0, '{"id":"7","y":"3"}'
    )  # fmt: skip
    rows = [json.loads(fields[3]) for _, fields in redis_here.ask("XRANGE", "theirs", "-", "+")]
    refused = rows.pop(2)
    assert refused["id"] == "7"
    undisturbed = call(*LINEAR, "--budget", 3, stdin=lines(*good, {"id": 3, "x": [1]},
                       {"id": 4, "x": [1]})).rows  # fmt: skip
    for reply in (*rows, *undisturbed):
        reply.pop("latency", None)
    assert rows == undisturbed
    # What it had taken beyond its budget waits for it.
    assert redis_here.pending("whole", "other") == 1
    assert "1 entries received but not answered" in result.err


def test_what_is_wrong_with_it(redis_here) -> None:
    address = redis_here.url("fine")
    redis_here.ask("SET", "text", "x")
    for words, problem in (
        ((redis_here.url("text"),), "text is a string, not a stream"),
        (("redis://127.0.0.1:1/0/x",), "cannot be reached"),
        (("redis://u:secret@127.0.0.1",), "names no stream; write redis://127.0.0.1:6379/0/events"),
        ((address, "--follow"), "--follow is for a file, not for an address"),
        ((address, "--claim", "1s"), "--claim 1s: too short; write at least 2s"),
        ((address, "--maxlen", "-1"), "--maxlen"),
    ):
        result = call(*LINEAR, *words)
        assert (result.status, len(result.errors)) == (2, 1), result.err
        assert problem in result.err
        assert "secret" not in result.err
