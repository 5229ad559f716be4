"""Redis streams: each entry is answered once, whoever reads it, and however it is shared.

A real server on this machine; what answers is a stand-in.

See also: test_redis_trouble.py for servers and keys that go away.
"""

import json
import threading
import time
from contextlib import closing

import pytest
from redis_here import answered, opened
from uncertain.posteriors.errors import UsageError
from uncertain.streams.inputs import redis_group, redis_link, redis_stream
from uncertain.streams.inputs.base import QUOTED
from uncertain.streams.inputs.redis_address import GroupMember
from uncertain.streams.inputs.redis_group import entry_order
from uncertain.streams.inputs.redis_stream import MOST, RedisStream

pytestmark = pytest.mark.live


def test_each_entry_is_answered_and_done_with(redis_here):
    entries = redis_here.add("round", *(f'{{"id":{i}}}\n' for i in range(200)))
    told = []
    with closing(opened(redis_here, "round", told)) as source:
        assert source.lag() == 200
        first = source.take()
        assert first is not None
        assert first.line == b'{"id":0}'
        assert first.where.file == f"{redis_here.url('round')}:{entries[0].decode()}"
        assert str(first.where.error("y", "wrong", "mend it")) == (
            f"{first.where.file}: y: wrong; mend it"
        )
        assert redis_here.pending("round") > 0
        first.sink.write({"id": 0})
        assert answered(source) == entries[1:]
        assert redis_here.pending("round") == source.lag() == 0
        later = redis_here.add("round", "late")
        assert answered(source) == later
        assert not source.ended
    assert source.notes() == []
    assert [entry for entry, _ in redis_here.replies("round")] == entries + later
    assert told == [
        f"reading {redis_here.url('round')} as consumer 1 of group uncertain, made now; "
        "replies in round:replies"
    ]


def test_what_was_not_answered_comes_again(redis_here):
    entries = redis_here.add("again", *map(str, range(10)))
    first = opened(redis_here, "again")
    assert answered(first, 3) == entries[:3]
    taken = first.take()
    assert taken is not None
    first.close()
    assert first.notes() == ["4 entries received but not answered: they come again"]
    with closing(opened(redis_here, "again")) as source:
        assert answered(source) == entries[3:]
    # Negative control: to another consumer they do not come again, unless it claims them.
    entries = redis_here.add("again", "a", "b")
    with closing(opened(redis_here, "again")) as source:
        assert source.take(0.05)
    with closing(opened(redis_here, "again", consumer="2")) as source:
        assert answered(source) == []
    with closing(opened(redis_here, "again", consumer="2", claim=0.01)) as source:
        assert answered(source) == entries
        assert source.notes() == ["2 entries taken over from consumers that left them"]


def test_consumers_share_a_stream(redis_here):
    """Four at once, each entry at exactly one of them."""
    entries = redis_here.add("shared", *map(str, range(1000)))
    found = {}

    def serve(name):
        with closing(opened(redis_here, "shared", consumer=name)) as source:
            found[name] = answered(source, seconds=0.2)

    threads = [threading.Thread(target=serve, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(map(len, found.values())) == 1000
    assert set().union(*found.values()) == set(entries)
    assert sum(len(ids) > 0 for ids in found.values()) > 1
    assert sorted(entry for entry, _ in redis_here.replies("shared")) == sorted(entries)


def test_two_processes_are_not_the_same_consumer(redis_here, monkeypatch):
    monkeypatch.setattr(redis_link, "LOOKS", 2)
    with closing(opened(redis_here, "twice")):
        with pytest.raises(UsageError, match="as the same consumer; give each its own --consumer"):
            opened(redis_here, "twice")
        # Another name, group or stream is another consumer.
        for other in ({"consumer": "2"}, {"group": "2"}):
            opened(redis_here, "twice", **other).close()
        opened(redis_here, "thrice").close()
    opened(redis_here, "twice").close()


def test_one_that_slept_too_long_leaves_what_was_taken_over(redis_here, monkeypatch):
    monkeypatch.setattr(redis_stream, "FRESH", 0.02)
    entries = redis_here.add("slept", *map(str, range(4)))
    with (
        closing(opened(redis_here, "slept")) as slow,
        closing(opened(redis_here, "slept", consumer="2", claim=0.05)) as quick,
    ):
        taken = slow.take()
        time.sleep(0.06)
        assert answered(quick, 3) == entries[:3]
        # It had one in its hands: that one is answered once all the same.
        taken.sink.write({"id": "late"})
        assert answered(slow) == []
        assert answered(quick) == entries[3:]
        assert slow.notes() == ["1 entries another consumer took over meanwhile: raise its --claim"]
    replies = redis_here.replies("slept")
    assert [entry for entry, _ in replies] == entries
    assert "late" not in str(replies)


def test_a_reply_and_its_acknowledgement_are_one_step(redis_here, monkeypatch):
    """Whatever the order of ids, and however often it is tried."""
    entries = redis_here.add("once", *map(str, range(3)))
    source = opened(redis_here, "once")
    found = [source.take(0.05) for _ in range(3)]
    for arrival in (*reversed(found), *found):
        assert arrival is not None
        arrival.sink.write({"id": 1})
    assert [entry for entry, _ in redis_here.replies("once")] == entries[::-1]
    # A reply that cannot be added leaves its entry as it was.
    redis_here.add("once", "more")
    arrival = source.take(0.05)
    assert arrival is not None
    redis_here.ask("DEL", "once:replies")
    redis_here.ask("SET", "once:replies", "text")
    with pytest.raises(UsageError, match="once:replies is a string, not a stream"):
        arrival.sink.write({"id": 1})
    assert redis_here.pending("once") == 1
    source.close()
    redis_here.ask("DEL", "once:replies")
    # Negative control: in two steps a kill between them makes a second reply.
    half = redis_group.ANSWER.partition("return redis.call('XACK'")[0] + "return 1"
    monkeypatch.setattr(redis_group, "ANSWER", half)
    for _ in range(2):
        with closing(opened(redis_here, "once")) as source:
            assert len(answered(source)) == 1
    assert len(redis_here.replies("once")) == 2


def test_replies_are_kept_up_to_a_number(redis_here):
    for stream, maxlen, least, most in (("some", 100, 100, 250), ("all", 0, 400, 400)):
        redis_here.add(stream, *map(str, range(400)))
        with closing(opened(redis_here, stream, maxlen=maxlen)) as source:
            answered(source)
        assert least <= len(redis_here.replies(stream)) <= most
    with closing(opened(redis_here, "all", replies="elsewhere", group="other")) as source:
        assert len(answered(source)) == 400
    assert redis_here.ask("XLEN", "elsewhere") == 400


def test_entries_that_are_no_lines(redis_here):
    wrong = redis_here.ask("XADD", "wrong", "*", "id", "7", "text", b"\xff" * 3)
    redis_here.add("wrong", "x" * 5000, "y" * (QUOTED + 5000), '{"a":1}\n\n{"b":2}')
    with closing(opened(redis_here, "wrong")) as source:
        arrival = source.take(0.05)
        assert arrival is not None
        assert str(arrival.wrong) == (
            f"{source.name}:{wrong.decode()}: line: missing; an entry holds one NDJSON line in a "
            "field of this name"
        )
        assert json.loads(arrival.line) == {"id": "7", "text": r"\xff" * 3}
        for length in (5000, QUOTED + 5000):
            arrival = source.take(0.05)
            assert arrival is not None
            assert arrival.length == length > source.longest
            assert len(arrival.line) == min(length, QUOTED)
        arrival = source.take(0.05)
        assert arrival is not None
        assert arrival.wrong is None
        assert b'"b"' in arrival.line


def test_what_is_deleted_before_it_is_read_is_counted(redis_here):
    entries = redis_here.add("deleted", *map(str, range(5)))
    with closing(opened(redis_here, "deleted")) as source:
        assert source.take(0.05)
    redis_here.ask("XDEL", "deleted", entries[0], entries[3])
    with closing(opened(redis_here, "deleted")) as source:
        assert answered(source) == [entries[1], entries[2], entries[4]]
        assert source.notes() == ["2 entries deleted before they could be read"]
    assert redis_here.pending("deleted") == 0


def test_few_are_taken_at_once_where_they_last_or_are_large(redis_here, monkeypatch):
    redis_here.add("pace", *map(str, range(1000)))
    with closing(opened(redis_here, "pace")) as source:
        answered(source, 500)
        assert source._count == MOST
        monkeypatch.setattr(redis_stream, "PACE", 0.0)
        answered(source, 400)
        assert source._count == 1
    redis_here.add("large", *("x" * 10_000 for _ in range(100)))
    monkeypatch.undo()
    monkeypatch.setattr(redis_stream, "BUDGET", 40_000)
    with closing(opened(redis_here, "large")) as source:
        assert len(answered(source)) == 100
        assert source._count <= 4


def test_over_a_unix_socket(redis_here):
    entries = redis_here.add("local", "1")
    address = f"redis+unix:{redis_here.folder}/socket/0/local"
    with closing(RedisStream(address, GroupMember())) as source:
        assert answered(source) == entries


def test_ids_are_ordered_as_numbers():
    assert entry_order(b"9-1") < entry_order(b"10-0") < entry_order(b"10-2") < entry_order(b"10-10")
