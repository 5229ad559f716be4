"""Damage to what a run keeps: the right result or a refusal, never a silent loss or a reply twice.

See also: test_durable.py for kills, tests/streams/storage/test_wal.py for the log alone.
"""

import os
import random
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import many_streams
import numpy as np
import pytest
from killing import known_of
from playing import OPTIONS, Killed, Steps, play, said, stream
from uncertain.cli.live.run import build_server
from uncertain.decide.loop.durable.durable import CheckpointInterval, DurableServer
from uncertain.decide.loop.durable.recovery import SPILLED
from uncertain.posteriors.errors import UsageError
from uncertain.streams.formats.record import Record
from uncertain.streams.storage import log_faults
from uncertain.streams.storage.results import Store, result_key
from uncertain.streams.storage.spill import Spill
from uncertain.streams.storage.wal import NEVER

DAMAGES = int(os.environ.get("UNCERTAIN_DAMAGES", "1000"))
KILLED_AT = (70, 100, 131, 150)
"""Steps at which the damaged runs were killed."""
KEYED, LINES = 7, 160
"""Streams, and their lines."""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, list[Any]]:
    """What a run knows and replied that was neither killed nor damaged."""
    folder = tmp_path_factory.mktemp("undisturbed")
    return known_of(play(folder, Steps())), said(folder / "out")


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """What killed runs left."""
    found = []
    for last in KILLED_AT:
        folder = tmp_path_factory.mktemp("killed")
        with pytest.raises(Killed):
            play(folder, Steps(last))
        found.append(folder)
    return found


def copied(state: Path, folder: Path) -> Path:
    return Path(shutil.copytree(state, folder))


def segments(folder: Path) -> list[Path]:
    return sorted((folder / "kept" / "log").glob("*.log"))


def flip(file: Path, rng: random.Random) -> None:
    content = bytearray(file.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    file.write_bytes(content)


def truncate(file: Path, rng: random.Random) -> None:
    os.truncate(file, rng.randrange(file.stat().st_size))


def delete(file: Path, rng: random.Random) -> None:
    file.unlink()


def repeat_tail(file: Path, rng: random.Random) -> None:
    content = file.read_bytes()
    file.write_bytes(content + content[rng.randrange(len(content)) :])


def swap(file: Path, rng: random.Random) -> None:
    """With another file beside it, or else with nothing."""
    others = [other for other in file.parent.iterdir() if other.is_file() and other != file]
    if others:
        other = rng.choice(sorted(others))
        content = file.read_bytes()
        file.write_bytes(other.read_bytes())
        other.write_bytes(content)


KINDS: tuple[Callable[[Path, random.Random], None], ...] = (
    flip, truncate, delete, repeat_tail, swap,
)  # fmt: skip


def damage(folder: Path, rng: random.Random) -> str:
    """Do a random damage to a random file below a folder; what it was."""
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and file.stat().st_size]
    # Few files are of the log, and those are short.
    logs = [file for file in files if file.suffix == ".log"]
    file = rng.choice(logs if logs and rng.random() < 0.7 else files)
    kind = rng.choice(KINDS)
    kind(file, rng)
    return f"{kind.__name__} {file.relative_to(folder)}"


def resumed(folder: Path, undisturbed: tuple[Any, list[Any]], where: str) -> str:
    """Resume to the end, by `salvage` where it is refused, and compare; the refusal."""
    refusal, lines = "", []
    try:
        server = play(folder, Steps())
    except UsageError as error:
        refusal = str(error)
        assert "\n" not in refusal, where
        assert refusal.startswith(str(folder)), (where, refusal)
        kept = re.search(r"--resume --salvage, which keeps all up to line (\d+)", refusal)
        assert kept, (where, refusal)
        server = play(folder, Steps(), salvage=lines.append)
        after = re.compile(rf"after (line |lines after )?{kept[1]}\b")
        assert any(map(after.search, lines)), (where, refusal, lines)
    # The input is read again from the last line kept, so the end is that of all lines.
    assert known_of(server) == undisturbed[0], (where, refusal, lines)
    assert said(folder / "out") == undisturbed[1], (where, refusal, lines)
    return refusal


@pytest.mark.soak
def test_single_damages_to_log_and_checkpoints(tmp_path: Path, states, undisturbed) -> None:
    refused = 0
    for seed in range(DAMAGES * 6 // 10):
        rng = random.Random(seed)
        folder = copied(rng.choice(states), tmp_path / str(seed))
        where = f"seed {seed}: {damage(folder / 'kept', rng)}"
        refused += bool(resumed(folder, undisturbed, where))
        shutil.rmtree(folder)
    print(f"\n{DAMAGES * 6 // 10} damages, {refused} refused and salvaged; none silent")
    assert refused


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("newest", [True, False])
def test_each_kind_of_damage_to_a_segment(
    tmp_path: Path, states, undisturbed, kind: Callable[..., None], newest: bool
) -> None:
    for seed in range(2):
        folder = copied(states[1], tmp_path / str(seed))
        file = segments(folder)[-1 if newest else -2]
        kind(file, random.Random(seed))
        refusal = resumed(folder, undisturbed, kind.__name__)
        # Lines before the checkpoint are in it.
        assert newest or kind is swap or not refusal


def test_a_salvage_equals_a_run_over_the_kept_lines(tmp_path: Path, states) -> None:
    for seed in range(3):
        folder = copied(states[1], tmp_path / str(seed))
        file, losses = segments(folder)[-1], []
        flip(file, random.Random(seed))
        server = build_server(OPTIONS)
        kept = DurableServer(
            server, str(folder / "kept"), {"of": "test"}, CheckpointInterval(), NEVER, True,
            salvage=losses.append,
        )  # fmt: skip
        (loss,) = losses
        assert f"going on after line {kept.number}" in loss
        taken = kept.lines_taken("stream")
        kept.abandon()
        (tmp_path / f"prefix{seed}").mkdir()
        wanted = play(tmp_path / f"prefix{seed}", Steps(), given=stream()[:taken])
        assert known_of(server) == known_of(wanted)


def test_a_segment_that_is_cut_between_records_is_noticed(
    tmp_path: Path, states, undisturbed
) -> None:
    """Nothing in the log shows it; the output goes on behind the last logged reply."""
    folder = copied(states[1], tmp_path / "cut")
    file = segments(folder)[-1]
    entries = list(log_faults.scan_segment(file).entries())
    assert len(entries) >= 4
    size = file.stat().st_size - sum(17 + len(entry.body) for entry in entries[-2:])
    os.truncate(file, size)
    assert not log_faults.scan_segment(file).torn
    assert "out: holds 1 replies behind byte" in resumed(folder, undisturbed, "cut")
    (aside,) = (folder / "kept" / "log").glob("output.damaged")
    assert aside.read_bytes().count(b"\n") == 1


def test_a_log_that_is_cut_before_its_first_checkpoint_is_noticed(
    tmp_path: Path, undisturbed
) -> None:
    """No reply is left in the log; the checkpoint knows where the output began."""
    with pytest.raises(Killed):
        play(tmp_path, Steps(30))
    (file,) = segments(tmp_path)
    os.truncate(file, 0)
    assert "replies behind byte 0" in resumed(tmp_path, undisturbed, "cut")


def test_errors_in_the_output_are_no_lost_lines(tmp_path: Path, states, undisturbed) -> None:
    folder = copied(states[1], tmp_path / "copy")
    with (folder / "out").open("ab") as file:
        file.write(b'{"id":7,"error":"stream:9: not JSON"}\n{"id":8,"err')
    assert known_of(play(folder, Steps())) == undisturbed[0]
    # Half a line is gone: the next reply would stand on it.
    found = said(folder / "out")
    assert [row for row in found if "error" not in row] == undisturbed[1]
    assert len(found) == len(undisturbed[1]) + 1


def foreign(folder: Path, tmp_path: Path) -> None:
    """Swap the newest segment for that of a run with the same lines but other numbers in them."""
    other = [replace_y(record) for record in stream()]
    with pytest.raises(Killed):
        play(tmp_path / "other", Steps(100), given=other)
    names = {file.name: file for file in segments(tmp_path / "other")}
    newest = segments(folder)[-1]
    shutil.copy(names[newest.name], newest)


def replace_y(record: Record) -> Record:
    return Record(record.id, record.where, record.t, record.x, record.actions, record.action,
                  record.propensity, None if record.y is None else 9.0)  # fmt: skip


def test_a_segment_of_another_run_is_refused(tmp_path: Path, states, undisturbed) -> None:
    (tmp_path / "other").mkdir()
    folder = copied(states[1], tmp_path / "swapped")
    foreign(folder, tmp_path)
    assert "does not continue the log before it" in resumed(folder, undisturbed, "foreign")


def test_without_the_chain_it_is_not_noticed(
    tmp_path: Path, states, undisturbed, monkeypatch
) -> None:
    """Negative control: the checks above see what the chain is for."""
    monkeypatch.setattr(log_faults, "link_damage", lambda segment, check: "")
    (tmp_path / "other").mkdir()
    folder = copied(states[1], tmp_path / "swapped")
    foreign(folder, tmp_path)
    server = play(folder, Steps())
    assert known_of(server) != undisturbed[0]


def begun(folder: Path, salvage: Callable[[str], None] | None = None) -> DurableServer:
    """A server of keyed streams, resumed."""
    store = Spill(folder / SPILLED, salvage=salvage)
    server = build_server(replace(many_streams.LINEAR, streams=2, alarm=0), store)
    kept = DurableServer(
        server, str(folder), {"of": "test"}, CheckpointInterval(lines=23), NEVER, True,
        salvage=salvage,
    )  # fmt: skip
    kept.unsent.clear()
    return kept


def replies(kept: DurableServer, count: int = LINES) -> list[Any]:
    """Replies to the lines that follow, without what the clock decides."""
    found = []
    try:
        for record in many_streams.turns(KEYED, LINES)[kept.number : count]:
            reply = kept.answer(record)
            assert reply is not None
            found.append((record.key, {n: x for n, x in reply.items() if n != "latency"}))
            kept.checkpoint_if_due()
    finally:
        assert kept.server.keyed is not None
        kept.server.keyed.store.settle()
        kept.abandon()
    return found


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Any]]:
    """What is left of a run of many streams after 100 lines, and the replies to all lines."""
    folder = tmp_path_factory.mktemp("keyed")
    assert len(replies(begun(folder / "killed"), 100)) == 100
    return folder / "killed", replies(begun(folder / "whole"))


def damaged_streams(folder: Path, keyed: tuple[Path, list[Any]], rng: random.Random) -> bool:
    """Damage a spilled stream; whether it was refused, and then but its own lines were lost."""
    copied(keyed[0], folder)
    where = damage(folder / SPILLED, rng)
    losses: list[str] = []
    try:
        found = replies(begun(folder))
    except UsageError as error:
        refusal = str(error)
        assert refusal.startswith(str(folder / SPILLED)), where
        assert "restore it, or resume with --salvage, which goes on with" in refusal
        found = replies(begun(folder, losses.append))
    wanted = keyed[1][LINES - len(found) :]
    lost = {key for (key, reply), (_, other) in zip(found, wanted, strict=True) if reply != other}
    assert len(found) >= 1, where
    assert len(lost) <= len(losses) + ("swap" in where), (where, losses)
    return bool(losses)


def test_a_damaged_stream_is_refused_and_set_aside(tmp_path: Path, keyed) -> None:
    assert sum(damaged_streams(tmp_path / str(n), keyed, random.Random(n)) for n in range(12)) >= 2


@pytest.mark.soak
def test_single_damages_to_spilled_streams(tmp_path: Path, keyed) -> None:
    count, refused = DAMAGES * 2 // 10, 0
    for seed in range(count):
        refused += damaged_streams(tmp_path / str(seed), keyed, random.Random(seed))
    print(f"\n{count} damages, {refused} refused and salvaged; none silent")
    assert refused


@pytest.mark.soak
def test_single_damages_to_a_store_of_results(tmp_path: Path) -> None:
    """A cell is as it was or absent, and then it is computed again."""
    given = [({"cell": n}, {"gain": n}, {"exact": np.arange(n + 1.0)}) for n in range(3)]
    store = Store(str(tmp_path / "whole"))
    for identity, record, arrays in given:
        store.commit("cells", identity, record, arrays)
    for seed in range(DAMAGES * 2 // 10):
        folder = copied(tmp_path / "whole", tmp_path / str(seed))
        where = damage(folder, random.Random(seed))
        store, absent = Store(str(folder)), 0
        for identity, record, arrays in given:
            entry = store.read("cells", result_key(identity))
            if entry is None:
                absent += 1
                store.commit("cells", identity, record, arrays)
                entry = store.read("cells", result_key(identity))
            assert entry is not None, where
            assert (entry.identity, entry.record) == (identity, record), where
            np.testing.assert_array_equal(entry.arrays()["exact"], arrays["exact"])
        assert absent <= 1 + ("swap" in where), where
        shutil.rmtree(folder)
