"""Redis streams whose server, connection, group or key goes away, or was never right.

See also: test_redis.py for a healthy server.
"""

import os
import signal
import sys
import threading
import time
from collections import Counter
from contextlib import closing

import pytest
from redis_here import answered, opened
from uncertain.posteriors.errors import UsageError
from uncertain.streams.inputs import redis_link, redis_stream
from uncertain.streams.inputs.redis_address import GroupMember, parse_redis_address
from uncertain.streams.inputs.redis_stream import RedisStream

pytestmark = pytest.mark.live


def test_a_server_that_is_killed_and_started_again(redis_alone):
    """Between reading and answering, again and again: nothing twice, nothing missing."""
    entries = redis_alone.add("events", *map(str, range(300)))
    told, found, restarts = [], [], 0
    with closing(opened(redis_alone, "events", told)) as source:
        while len(found) < 300:
            arrival = source.take(5)
            assert arrival is not None
            if len(found) % 100 == 50:
                redis_alone.kill()
                starter = threading.Timer(0.1, redis_alone.start)
                starter.start()
                restarts += 1
            arrival.sink.write({"id": 1})
            found.append(arrival.where.file.rpartition(":")[2].encode())
            if len(found) % 100 == 51:
                starter.join()
    assert found == entries
    assert [entry for entry, _ in redis_alone.replies("events")] == entries
    assert redis_alone.pending("events") == 0
    assert restarts == 3
    assert sum("trying again" in line for line in told) == 3
    assert sum("back after" in line for line in told) == 3


def test_a_server_that_is_full_or_may_not_write_is_waited_for(redis_alone):
    """What it refuses for now it has not done, so that is asked again; and told once."""
    entries = redis_alone.add("events", *map(str, range(20)))
    told = []
    with closing(opened(redis_alone, "events", told)) as source:
        arrival = source.take(5)
        assert arrival is not None
        for option, wrong, right in (("maxmemory", 1, 0), ("min-replicas-to-write", 1, 0)):
            redis_alone.ask("CONFIG", "SET", option, wrong)
            mender = threading.Timer(0.3, redis_alone.ask, ("CONFIG", "SET", option, right))
            mender.start()
            arrival.sink.write({"id": 1})
            mender.join()
            assert len(answered(source, 4)) == 4
            arrival = source.take(5)
            assert arrival is not None
        arrival.sink.write({"id": 1})
        # Nor may it give entries away, where it may not write that down.
        assert len(answered(source)) == 9
        entries += redis_alone.add("events", "late")
        redis_alone.ask("CONFIG", "SET", "min-replicas-to-write", 1)
        begin = time.monotonic()
        assert source.take(0.2) is None
        assert source.take(0.0) is None
        assert time.monotonic() - begin < 5
        redis_alone.ask("CONFIG", "SET", "min-replicas-to-write", 0)
        assert len(answered(source, 1, 5)) == 1
    assert [entry for entry, _ in redis_alone.replies("events")] == entries
    assert len(told) == 7
    assert all("trying again" in line for line in told[1::2])
    assert all("back after" in line for line in told[2::2])


def test_while_it_is_away_time_passes_as_ever(redis_alone):
    """Whoever has something else to do meanwhile is not kept waiting."""
    entries = redis_alone.add("events", *map(str, range(20)))
    told = []
    with closing(opened(redis_alone, "events", told)) as source:
        first = answered(source, 3)
        redis_alone.kill()
        arrival = source.take(0.0)
        # One that lay here already; the answer to it has to wait.
        assert arrival is not None
        starter = threading.Timer(0.5, redis_alone.start)
        starter.start()
        arrival.sink.write({"id": 1})
        starter.join()
        redis_alone.kill()
        begin, looks = time.monotonic(), 0
        while time.monotonic() < begin + 0.5:
            assert source.take(0.0) is None
            looks += 1
        assert looks > 100
        begin = time.monotonic()
        assert source.take(0.3) is None
        assert 0.29 < time.monotonic() - begin < 5
        assert source.lag() is None
        redis_alone.start()
        assert first + entries[3:4] + answered(source, 16, 5) == entries
    assert len(told) == 5
    assert [entry for entry, _ in redis_alone.replies("events")] == entries


def test_an_answer_that_got_lost_was_given_all_the_same(redis_here, monkeypatch):
    """The connection ends between what the server does and what it says: in every command."""
    entries = redis_here.add("lost", *map(str, range(30)))
    source = opened(redis_here, "lost")
    client, lost = source._link._client, Counter()
    real = client.execute_command

    def losing(*words):
        done = real(*words)
        lost[words[0]] += 1
        if lost[words[0]] % 3 == 0 and words[0] in ("XREADGROUP", "EVALSHA", "PING"):
            client.connection_pool.disconnect()
            raise ConnectionResetError("reset by the test")
        return done

    monkeypatch.setattr(client, "execute_command", losing)
    monkeypatch.setattr(redis_link, "SHORTEST", 0.001)
    assert answered(source, 30, 5) == entries
    assert lost["XREADGROUP"] > 3
    assert lost["EVALSHA"] > 30
    monkeypatch.undo()
    source.close()
    assert source.notes() == []
    assert [entry for entry, _ in redis_here.replies("lost")] == entries


def test_what_was_given_without_a_word_is_found_later(redis_here, monkeypatch):
    monkeypatch.setattr(redis_stream, "STRAY", 0.0)
    with closing(opened(redis_here, "stray")) as source:
        assert answered(source) == []
        entries = redis_here.add("stray", "1", "2")
        # A request whose connection was given up is carried out after all.
        redis_here.ask("XREADGROUP", "GROUP", "uncertain", "1", "STREAMS", "stray", ">")
        assert answered(source) == entries


def test_a_group_or_stream_that_is_deleted_is_made_anew(redis_here):
    told = []
    entries = redis_here.add("gone", *map(str, range(6)))
    with closing(opened(redis_here, "gone", told)) as source:
        assert answered(source, 2) == entries[:2]
        # While entries lie here that were not answered.
        redis_here.ask("XGROUP", "DESTROY", "gone", "uncertain")
        assert answered(source) == entries[2:]
        # While one is in its hands.
        entries += redis_here.add("gone", "7", "8")
        arrival = source.take(0.05)
        assert arrival is not None
        redis_here.ask("XGROUP", "DESTROY", "gone", "uncertain")
        arrival.sink.write({"id": 7})
        assert answered(source) == entries[7:]
        # The stream with all that is in it; another one of that name, with lower ids.
        redis_here.ask("DEL", "gone")
        assert answered(source) == []
        redis_here.ask("DEL", "gone")
        redis_here.ask("XADD", "gone", "5-1", "line", "first")
        assert answered(source) == [b"5-1"]
    assert [entry for entry, _ in redis_here.replies("gone")] == [*entries, b"5-1"]
    assert len(told) == 5
    assert f"gone; made anew at what follows {entries[2].decode()}" in told[1]
    assert f"gone; made anew at what follows {entries[6].decode()}" in told[2]
    assert "made anew at its beginning" in told[-1]


def test_a_signal_ends_it(redis_alone):
    before = signal.getsignal(signal.SIGTERM)
    for away in (False, True):
        redis_alone.add("events", "1", "2")
        source = opened(redis_alone, "events")
        arrival = source.take(5)
        assert arrival is not None
        if away:
            redis_alone.kill()
        begin = time.monotonic()
        killer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM))
        killer.start()
        if away:
            arrival.sink.write({"id": 1})
        else:
            assert len(answered(source, seconds=20)) == 1
        assert source.take(20) is None
        assert time.monotonic() - begin < 10
        assert source.ended
        killer.join()
        source.close()
        assert signal.getsignal(signal.SIGTERM) == before
        assert ("1 replies not sent: their entries come again" in source.notes()) == away
    redis_alone.start()
    assert redis_alone.pending("events") == 1
    with closing(opened(redis_alone, "events")) as source:
        assert len(answered(source)) == 3


def test_what_is_refused_at_the_start(redis_here, monkeypatch):
    redis_here.ask("SET", "text", "x")
    for stream, member, words in (
        ("text", {}, "text is a string, not a stream; name another STREAM"),
        ("fine", {"replies": "text"}, "text is a string, not a stream; name another --replies"),
        ("fine", {"replies": "fine"}, "replies would be read as lines"),
    ):
        with pytest.raises(UsageError, match=words):
            opened(redis_here, stream, **member)
    with pytest.raises(UsageError, match=r"^redis://127\S+:1/0/x: cannot be reached .*refused"):
        RedisStream("redis://user:secret@127.0.0.1:1/0/x", GroupMember())
    with pytest.raises(UsageError, match="cannot be reached"):
        RedisStream("redis+unix:nowhere/0/x", GroupMember())
    # A user who may do less than is needed.
    redis_here.ask("ACL", "SETUSER", "weak", "on", ">pw", "+ping", "+select", "+client", "~*")
    weak = redis_here.url("fine").replace("//", "//weak:pw@")
    with pytest.raises(UsageError, match=r"refused by the server \(.*permissions"):
        RedisStream(weak, GroupMember())
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(UsageError, match=r"pip install 'uncertain\[redis\]'"):
        opened(redis_here, "fine")


def test_a_key_that_changes_its_type_ends_it_with_one_line(redis_here):
    with closing(opened(redis_here, "changed")) as source:
        redis_here.ask("DEL", "changed")
        redis_here.ask("SET", "changed", "x")
        with pytest.raises(UsageError, match="changed is a string, not a stream"):
            source.take(1)


@pytest.mark.parametrize(
    "text",
    [
        "redis://", "redis://h", "redis://h/0", "redis://h/0/", "redis://h/x/a", "redis:///0/a",
        "redis://u:secret@h:x/0/a", "redis://u:secret@h/a", "redis://h/0/a#b", "redis+unix:a/0",
        "redis://h/0/a?ssl_ca_certs=x", "rediss://h/0/a?protocol=3", "redis://u:sec/ret@h:1/0/a",
        "redis://u:secret@h/0/a?db=1",
    ],
)  # fmt: skip
def test_wrong_addresses_are_one_line_without_a_password(text):
    with pytest.raises(UsageError) as caught:
        parse_redis_address(text)
    assert "\n" not in str(caught.value)
    assert "; " in str(caught.value)
    assert "sec" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "url", "stream", "name"),
    [
        ("redis://h:7/2/a/b", "redis://h:7/2", "a/b", "redis://h:7/2/a/b"),
        ("redis://h/0/a%20b", "redis://h/0", "a b", "redis://h:6379/0/a b"),
        ("redis://u:p%40@[::1]:7/0/a", "redis://u:p%40@[::1]:7/0", "a", "redis://[::1]:7/0/a"),
        (
            "rediss://h/0/a?ssl_ca_certs=x",
            "rediss://h/0?ssl_ca_certs=x",
            "a",
            "rediss://h:6379/0/a",
        ),
        ("redis+unix:/r/s.sock/3/a", "unix:///r/s.sock?db=3", "a", "redis+unix:/r/s.sock/3/a"),
    ],
)
def test_addresses(text, url, stream, name):
    place = parse_redis_address(text)
    assert (place.url, place.stream, place.name) == (url, stream, name)
