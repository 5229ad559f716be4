"""A run that is killed anywhere goes on as if it had not been: same belief, each line once.

See also: tests/cli/live/test_resume.py for killing a real process.
"""

import itertools
import json
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from killing import known_of
from msgspec import structs
from playing import OPTIONS, Killed, Steps, play, said, stream
from uncertain.cli.commands.run import RunOptions
from uncertain.cli.live.run import build_server
from uncertain.decide.loop.durable import durable as durable_module
from uncertain.decide.loop.durable.durable import CheckpointInterval, DurableServer
from uncertain.decide.loop.durable.input_position import record_checksum
from uncertain.decide.loop.durable.seen_ids import SeenIds, line_key
from uncertain.decide.loop.durable.snapshot import restore_snapshot, take_snapshot
from uncertain.decide.loop.server.server import Server
from uncertain.posteriors.errors import UsageError
from uncertain.streams.formats.ndjson import encode_line
from uncertain.streams.formats.record import LineError, Record, Where
from uncertain.streams.storage.checkpoint import Checkpoints
from uncertain.streams.storage.log_segments import FRAME, HEAD, OLD_MAGIC, REPLY, scan_segment
from uncertain.streams.storage.wal import FSYNC, NEVER


def killed_and_resumed(folder: Path, last: int) -> Server:
    """Killed once, at that step, and run again to the end."""
    try:
        play(folder, Steps(last))
    except Killed:
        return play(folder, Steps())
    raise AssertionError("it was not killed")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, list[Any], int]:
    """What a run knows and said that nobody killed, and how many steps it took."""
    folder, steps = tmp_path_factory.mktemp("undisturbed"), Steps()
    server = play(folder, steps)
    return known_of(server), said(folder / "out"), steps.count


def test_undisturbed_it_does_what_a_plain_server_does(undisturbed) -> None:
    server = build_server(OPTIONS)
    replies, repeated = [], set()
    for record in stream():
        key = line_key(record)
        if key in repeated:
            continue
        try:
            replies.append(json.loads(encode_line(server.answer(record))))
        except LineError:
            continue
        if record.id != "nobody":
            repeated.add(key)
    for reply in replies:
        reply.pop("latency", None)
    assert known_of(server) == undisturbed[0]
    assert replies == undisturbed[1]


@pytest.mark.parametrize("offset", range(4))
def test_killed_anywhere_it_ends_the_same(tmp_path: Path, undisturbed, offset: int) -> None:
    known, replies, steps = undisturbed
    assert steps > 150
    for last in range(1 + offset, steps, 8):
        folder = tmp_path / str(last)
        folder.mkdir()
        assert known_of(killed_and_resumed(folder, last)) == known, last
        assert said(folder / "out") == replies, last


def test_killed_again_and_again_it_ends_the_same(tmp_path: Path, undisturbed) -> None:
    known, replies, _ = undisturbed
    for kills in itertools.count():
        try:
            # Far enough for one line at least, whatever comes first.
            server = play(tmp_path, Steps(14 + kills % 5))
            break
        except Killed:
            continue
    assert kills > 5
    assert known_of(server) == known
    assert said(tmp_path / "out") == replies


def test_without_the_replay_the_belief_is_another(tmp_path, undisturbed, monkeypatch) -> None:
    """Negative control: the checks above see what the log is for."""

    def passed_over(self: DurableServer, record: Record, reply: Any) -> None:
        self.number += 1
        self._last = record
        self._seen.add(line_key(record))

    monkeypatch.setattr(DurableServer, "_replay_line", passed_over)
    server = killed_and_resumed(tmp_path, 80)
    assert known_of(server) != undisturbed[0]


def test_a_feeder_that_begins_again_is_recognised(tmp_path: Path, undisturbed) -> None:
    """No place in the input, as with a pipe: ids tell what was taken in."""
    known, replies, _ = undisturbed
    given = stream()
    nowhere = [Record(r.id, Where("<stdin>", 0), r.t, r.x, r.actions, r.action, r.propensity, r.y)
               for r in given]  # fmt: skip
    with pytest.raises(Killed):
        play(tmp_path, Steps(90), given=nowhere)
    server = play(tmp_path, Steps(), given=nowhere)
    (arrays, facts), (wanted_arrays, wanted) = known_of(server), known
    assert arrays == wanted_arrays
    # It was told of nobody twice over.
    assert facts["counts"].pop("unmatched") >= wanted["counts"]["unmatched"]
    assert facts["counts"].items() <= wanted["counts"].items()
    assert [r for r in said(tmp_path / "out") if r["id"] != "nobody"] == [
        r for r in replies if r["id"] != "nobody"
    ]


@pytest.mark.parametrize("fsync", FSYNC)
def test_a_pipe_gets_the_last_reply_again(tmp_path: Path, fsync: str) -> None:
    def opened(resume: bool) -> DurableServer:
        server = build_server(OPTIONS)
        return DurableServer(
            server, str(tmp_path), {}, CheckpointInterval(lines=100), fsync, resume
        )

    first = opened(False)
    given = stream()
    replies = [first.answer(record) for record in given[:5]]
    first.abandon()
    second = opened(True)
    assert [json.loads(line) for line in second.unsent] == [
        json.loads(encode_line(replies[-1] or {}))
    ]
    assert second.replayed == 5
    # Asked again, it says what it said; of what is long gone it says that it was there.
    assert second.answer(given[2]) == json.loads(encode_line(replies[2] or {}))
    second._replies._kept.clear()
    assert second.answer(given[2]) == {"id": given[2].id, "repeated": True}
    assert "2 lines repeated: taken in once" in second.summary()
    heard: list[bytes] = []
    second.resend(heard.append)
    assert len(heard) == 1
    second.close()
    third = opened(True)
    assert third.unsent == []
    # Nor is what it said before the checkpoint forgotten.
    assert third.answer(given[2]) == json.loads(encode_line(replies[2] or {}))
    third.close()


def test_another_run_s_folder_is_refused(tmp_path: Path) -> None:
    def begun(
        identity: dict[str, Any], options: RunOptions = OPTIONS, resume: bool = True
    ) -> DurableServer:
        server = build_server(options)
        return DurableServer(
            server, str(tmp_path), identity, CheckpointInterval(lines=9), NEVER, resume
        )

    begun({"model": "a", "version": "1"}).close()
    with pytest.raises(UsageError, match=r"already holds a checkpoint of line 0; .* --resume"):
        begun({"model": "a", "version": "1"}, resume=False)
    with pytest.raises(UsageError, match=r"of another run: version 1, here 2; resume it as"):
        begun({"model": "a", "version": "2"})
    with pytest.raises(UsageError, match=r"model a, here b, extra None, here \[1\]"):
        begun({"model": "b", "version": "1", "extra": (1,)})
    other = RunOptions(model="linear:arms=3:features=9")
    with pytest.raises(
        UsageError, match=r"state {'state0': \[\[\d+\], 'uint32'\]}, here {'state0'"
    ):
        begun({"model": "a", "version": "1"}, other)
    held = begun({"model": "a", "version": "1"})
    with pytest.raises(UsageError, match="another run writes to it"):
        begun({"model": "a", "version": "1"})
    # Nor where the lock's file was deleted meanwhile; negative control: once it ends, another may.
    (tmp_path / "lock").unlink()
    with pytest.raises(UsageError, match="another run writes to it"):
        begun({"model": "a", "version": "1"})
    held.close()
    begun({"model": "a", "version": "1"}).close()


def test_damaged_checkpoints_are_passed_over(tmp_path: Path, undisturbed) -> None:
    with pytest.raises(Killed):
        play(tmp_path, Steps(100))
    kept = Checkpoints(tmp_path / "kept" / "checkpoints")
    assert len(kept.numbers()) == 3
    for number in kept.numbers()[1:]:
        for file in (kept.path(number) / "d").iterdir():
            file.write_bytes(b"")
    server = play(tmp_path, Steps())
    assert known_of(server) == undisturbed[0]
    assert said(tmp_path / "out") == undisturbed[1]
    for number in kept.numbers():
        (kept.path(number) / "manifest.ocdbt").write_bytes(b"nothing")
    with pytest.raises(UsageError, match="no checkpoint in it is whole"):
        play(tmp_path, Steps())


def test_lines_that_are_gone_are_noticed(tmp_path: Path, undisturbed) -> None:
    """Of version 1, which had no chain: numbers alone show that a record is gone."""
    with pytest.raises(Killed):
        play(tmp_path, Steps(100))
    newest = Checkpoints(tmp_path / "kept" / "checkpoints").numbers()[-1]
    file = tmp_path / "kept" / "log" / f"{newest + 1:016}.log"
    records = old_records(file)
    for gone in range(len(records)):
        file.write_bytes(OLD_MAGIC + b"".join(records[:gone] + records[gone + 1 :]))
        # A line whose reply is gone looks like one that was refused.
        if gone == len(records) - 1 or records[gone][8] == REPLY:
            continue
        with pytest.raises(UsageError, match=f"{file}: damaged at bytes"):
            play(tmp_path, Steps())
    file.write_bytes(OLD_MAGIC + b"".join(records))
    assert known_of(play(tmp_path, Steps())) == undisturbed[0]
    assert said(tmp_path / "out") == undisturbed[1]


def old_records(file: Path) -> list[bytes]:
    """The records of a segment as version 1 had them."""
    found = []
    for entry in scan_segment(file).entries():
        payload = HEAD.pack(entry.kind, entry.number) + entry.body
        found.append(FRAME.pack(len(payload), zlib.crc32(payload)) + payload)
    return found


def test_a_newest_segment_that_is_gone_is_noticed(tmp_path: Path, undisturbed) -> None:
    with pytest.raises(Killed):
        play(tmp_path, Steps(100))
    newest = Checkpoints(tmp_path / "kept" / "checkpoints").numbers()[-1]
    segment = tmp_path / "kept" / "log" / f"{newest + 1:016}.log"
    content = segment.read_bytes()
    segment.unlink()
    with pytest.raises(
        UsageError, match=f"{segment}: missing; .* --salvage, which keeps all up to line {newest}"
    ):
        play(tmp_path, Steps())
    # Restored, nothing is lost.
    segment.write_bytes(content)
    assert known_of(play(tmp_path, Steps())) == undisturbed[0]


def test_without_the_newest_segment_it_goes_on_from_the_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        play(tmp_path, Steps(100))
    newest = Checkpoints(tmp_path / "kept" / "checkpoints").numbers()[-1]
    (tmp_path / "kept" / "log" / f"{newest + 1:016}.log").write_bytes(b"")
    server = build_server(OPTIONS)
    kept = DurableServer(
        server, str(tmp_path / "kept"), {"of": "test"}, CheckpointInterval(), NEVER, True
    )
    assert (kept.number, kept.replayed) == (newest, 0)
    kept.abandon()


def test_a_checkpoint_that_cannot_be_written_is_told_once(tmp_path, monkeypatch) -> None:
    told: list[str] = []
    kept = DurableServer(
        build_server(OPTIONS), str(tmp_path), {}, CheckpointInterval(lines=2), NEVER,
        tell=told.append,
    )  # fmt: skip

    def full(*arguments: Any) -> None:
        raise UsageError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(Checkpoints, "commit", full)
        for record in stream()[:8]:
            kept.answer(record)
            kept.checkpoint_if_due()
    assert told == ["the disk is full; going on, the log keeps what is taken in"]
    assert "3 checkpoints not written (the disk is full)" in kept.summary()
    kept.abandon()
    again = build_server(OPTIONS)
    resumed = DurableServer(again, str(tmp_path), {}, CheckpointInterval(lines=2), NEVER, True)
    assert resumed.replayed == 7
    assert known_of(again) == known_of(kept.server)
    resumed.close()


def test_answers_that_differ_are_told(tmp_path: Path, monkeypatch) -> None:
    kept = DurableServer(build_server(OPTIONS), str(tmp_path), {}, CheckpointInterval(), NEVER)
    for record in stream()[:5]:
        kept.answer(record)
    kept.abandon()
    told: list[str] = []
    other = build_server(RunOptions(model=OPTIONS.model, horizon=4, seed=1))
    monkeypatch.setattr(durable_module, "restore_snapshot", lambda server, snapshot: None)
    resumed = DurableServer(
        other, str(tmp_path), {}, CheckpointInterval(), NEVER, True, tell=told.append
    )
    assert resumed.differing > 0
    assert "are not those given before" in told[-1]
    resumed.close()


def test_a_server_put_back_traces_nothing_and_goes_on_alike() -> None:
    options = RunOptions(model="location", posterior="smc:particles=8", rule="eig", candidates=4)
    one, other = build_server(options), build_server(options)
    given = [Record(i // 2, Where("s", i), y=0.5 if i % 2 else None) for i in range(8)]
    for record in given[:5]:
        one.answer(record)
    before = other.traces()
    restore_snapshot(other, take_snapshot(one))
    assert known_of(other) == known_of(one)
    replies = [[server.answer(record) for record in given[5:]] for server in (one, other)]
    for row in itertools.chain(*replies):
        del row["latency"]
    assert replies[0] == replies[1]
    assert known_of(other) == known_of(one)
    assert other.traces() == before


def test_the_oldest_lines_are_forgotten() -> None:
    known = SeenIds(3)
    for key in (2**64 - 1, 5, 7, 11):
        known.add(key)
    assert [key in known for key in (2**64 - 1, 5, 7, 11)] == [False, True, True, True]
    assert known.array().tolist() == [5, 7, 11]
    again = SeenIds(3)
    again.restore(known.array())
    again.add(13)
    assert (again.array().tolist(), len(again)) == ([7, 11, 13], 3)
    keys = {line_key(Record(id, Where("", 0), y=y)) for id in (1, "1") for y in (None, 1.0)}
    assert len(keys) == 4
    np.testing.assert_array_equal(SeenIds(3).array(), np.zeros(0))


def test_thinking_is_done_again_as_it_was_done(tmp_path: Path) -> None:
    """How much was thought is the clock's doing, so what was done is recorded and followed."""
    options = replace(OPTIONS, model="location", posterior="svgd", particles=8, think=20)
    options = replace(options, rule="eig", candidates=4)
    given = [
        Record(where=Where("stream", n), **line)
        for n, line in enumerate(
            [{"id": i // 2} | ({"y": 0.2 * i} if i % 2 else {}) for i in range(16)], 1
        )
    ]

    def played(folder: str, thinks: tuple[int, ...], resume: bool, ends: bool) -> Server:
        server = build_server(options)
        place = str(tmp_path / folder)
        kept = DurableServer(
            server, place, {"of": "test"}, CheckpointInterval(lines=6), NEVER, resume
        )
        kept.resend(lambda reply: None)
        for number, record in enumerate(given[kept.number :], kept.number):
            for _ in range(thinks[number % len(thinks)]):
                if server.can_refine:
                    server.refine_once()
            reply = kept.answer(record)
            assert reply is not None
            kept.checkpoint_if_due()
            if not ends and number == 10:
                # Thought about and checkpointed, but not told by any reply yet.
                server.refine_once()
                kept._whole = None
                kept.checkpoint()
                server.refine_once()
                kept.answer(given[11])
                kept.abandon()
                return server
        kept.close()
        return server

    killed = played("kept", (2, 0, 3), False, False)
    resumed = build_server(options)
    DurableServer(
        resumed, str(tmp_path / "kept"), {"of": "test"}, CheckpointInterval(lines=6), NEVER, True
    ).close()
    assert known_of(resumed) == known_of(killed)
    # And from there to the end, whatever the clock says then.
    played("kept", (1,), True, True)
    # Negative control: other thinking is another belief.
    other = played("other", (2, 0, 1), False, False)
    assert known_of(other)[0] != known_of(killed)[0]


def test_a_line_has_the_checksum_of_the_first_checkpoints() -> None:
    """A checkpoint names its last line by it: a field that is newer must not change it."""
    record = Record(
        id=7, where=Where("a", 3), t=1.5, x=[1.0, 2.0], actions=["a", 2, [1.0]], y=0.25,
        weight=2.0, cost=[1.0],
    )  # fmt: skip
    assert record_checksum(record) == 4139724937
    assert record_checksum(structs.replace(record, where=Where("b", 9))) == 4139724937
    assert record_checksum(structs.replace(record, withdrawn=True)) != 4139724937
