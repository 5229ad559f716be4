"""Many streams in one batched state: each decides as it would alone, wherever the others are.

See also: tests/cli/live/test_keyed.py for the command line.
"""

import gc
import random
import re
import shutil
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from many_streams import LINEAR, said, turns, unalarmed
from uncertain.cli.commands.run import RunOptions
from uncertain.cli.live.run import build_server
from uncertain.decide.loop.core import batched_state as rows_module
from uncertain.decide.loop.core.agent import build_agent
from uncertain.decide.loop.core.compiled import build_learn
from uncertain.decide.loop.durable.snapshot import restore_snapshot, take_snapshot
from uncertain.decide.loop.server import keyed_streams as many_module
from uncertain.decide.loop.server.keyed_streams import stream_key, superseded_versions
from uncertain.decide.loop.server.server import Server
from uncertain.posteriors.placeholders import example_event
from uncertain.posteriors.registry import build_model
from uncertain.streams.formats.record import LineError, Record, Where
from uncertain.streams.storage.spill import Spill


def server_of(folder: Path, options: RunOptions, streams: int) -> Server:
    return build_server(replace(options, streams=streams), Spill(folder / f"{streams}"))


def unkeyed(options: RunOptions, key: str) -> Server:
    """A run without keys, its randomness that of this stream among many."""
    server = build_server(replace(options, key_by=None))
    key_data = jax.random.wrap_key_data(stream_key(options.seed, key))
    server._packed = server._brought.init(key_data)
    return server


def long(options: RunOptions) -> Any:
    """Too long to compile for every run of the suite."""
    return pytest.param(options, marks=pytest.mark.statistical)


@pytest.mark.parametrize(
    "options",
    [
        LINEAR,
        long(replace(LINEAR, posterior="smc", particles=16, rule="eig")),
        long(replace(LINEAR, model="location", posterior="smc", particles=8, rule="eig")),
    ],
    ids=lambda options: f"{options.model.partition(':')[0]}-{options.posterior}",
)
def test_every_stream_decides_as_it_does_alone(options: RunOptions, tmp_path: Path) -> None:
    """Bit for bit, though most lines find their stream spilled."""
    records = turns(5, 80)
    if not options.model.startswith("linear"):
        for record in records:
            record.x = None
    server = server_of(tmp_path, options, 2)
    before = server.traces()
    together = said(server, records)
    assert server.traces() == before
    assert server.keyed is not None
    assert server.keyed.counts.loaded > 10
    apart: dict[Any, list[Any]] = {}
    for key in {record.key for record in records}:
        one = unkeyed(options, str(key))
        apart[key] = said(one, [record for record in records if record.key == key])
    alone = [apart[record.key].pop(0) for record in records]
    assert unalarmed(together) == unalarmed(alone)
    assert len({str(reply.get("scores")) for reply in together if reply.get("step") == 0}) > 3


def test_other_streams_change_nothing_and_other_seeds_do(tmp_path: Path) -> None:
    records = turns(6, 60)
    mine = [record for record in records if record.key == "u3"]
    among = said(server_of(tmp_path, LINEAR, 3), records)
    found = [reply for reply, record in zip(among, records, strict=True) if record.key == "u3"]
    assert unalarmed(found) == unalarmed(said(server_of(tmp_path, LINEAR, 1), mine))
    other = said(server_of(tmp_path / "seed", replace(LINEAR, seed=8), 1), mine)
    assert [reply.get("scores") for reply in found] != [reply.get("scores") for reply in other]


def test_spilled_wrongly_it_shows(tmp_path: Path, monkeypatch) -> None:
    """The check above finds a spill that loses a stream's place in its randomness."""
    records = turns(5, 60)
    right = said(server_of(tmp_path / "right", LINEAR, 5), records)
    assert said(server_of(tmp_path / "spilled", LINEAR, 2), records) == right
    real = many_module.restore_stream

    def forgetful(stream: Any, facts: dict[str, Any], actions: np.ndarray) -> int:
        return real(stream, facts | {"ahead": 0}, actions)

    monkeypatch.setattr(many_module, "restore_stream", forgetful)
    assert said(server_of(tmp_path / "wrong", LINEAR, 2), records) != right


def test_the_least_recently_used_goes(tmp_path: Path) -> None:
    server = server_of(tmp_path, LINEAR, 2)
    assert server.keyed is not None
    for n, key in enumerate("abacb"):
        server.answer(Record(n, Where("test", n + 1), x=[1.0], key=key))
        if n == 3:
            assert list(server.keyed.memory) == ["a", "c"]
    assert list(server.keyed.memory) == ["c", "b"]
    counts = server.keyed.counts
    assert (counts.known, counts.spilled, counts.loaded) == (3, 2, 1)
    # "a" and 1 and "1" are streams of their own.
    for key in (1, "1"):
        reply = server.answer(Record("x", Where("test", 9), x=[1.0], key=key))
        assert (reply["user"], reply["step"], reply["ahead"]) == (key, 0, 0)
    assert counts.known == 5
    assert len(server.pending) == 7


def test_a_refused_line_makes_no_stream(tmp_path: Path) -> None:
    server = server_of(tmp_path, LINEAR, 1)
    assert server.keyed is not None
    with pytest.raises(LineError, match="expected 1 numbers"):
        server.answer(Record(1, Where("test", 1), x=[1.0, 2.0], t=5.0, key="a"))
    server.answer(Record(1, Where("test", 2), x=[1.0], key="b"))
    assert server.keyed.counts.known == 1
    assert server.keyed.store.measure().streams == 0


def test_versions_that_somebody_may_read_are_kept() -> None:
    """After every line who goes on from a checkpoint finds the newest version before it."""
    rng = random.Random(3)
    for _ in range(200):
        numbers = sorted(rng.sample(range(1, 60), 12))
        points = sorted(rng.sample(range(60), 3))
        there: list[int] = []
        for number in numbers:
            kept = [point for point in points if point < number]
            wanted = [max((v for v in there if v <= point), default=0) for point in kept]
            gone = superseded_versions(there, number, kept)
            there = [v for v in [*there, number] if v not in gone]
            assert [max((v for v in there if v <= p), default=0) for p in kept] == wanted
            assert number in there
            assert len(there) <= len(kept) + 1


@pytest.mark.parametrize("rows", [1, 3, 8])
def test_put_back_with_more_or_less_room(tmp_path: Path, rows: int) -> None:
    records = turns(6, 90)
    whole = said(server_of(tmp_path / "whole", LINEAR, 6), records)
    first = server_of(tmp_path, LINEAR, 3)
    assert said(first, records[:50]) == whole[:50]
    snapshot = take_snapshot(first)
    second = build_server(replace(LINEAR, streams=rows), Spill(tmp_path / "3"))
    restore_snapshot(second, snapshot)
    assert said(second, records[50:]) == whole[50:]
    assert second.keyed is not None
    assert len(second.keyed.memory) == min(rows, 6)


@pytest.mark.statistical
@pytest.mark.parametrize("last", [2_000, 20_000])
def test_many_streams_take_no_more_memory_than_few(tmp_path: Path, last: int) -> None:
    """Python's own; what JAX holds is the rows, made once."""
    server = server_of(tmp_path, LINEAR, 64)
    assert server.keyed is not None
    traces, number, used = server.traces(), 0, []
    tracemalloc.start()
    for end in (last // 10, last):
        while number < end:
            number += 1
            server.answer(Record(1, Where("test", number), x=[1.0], key=number))
        server.keyed.store.settle()
        server.counters.decide.clear()
        gc.collect()
        used.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert server.keyed.counts.known == last
    assert server.keyed.store.measure().streams == last - 64
    assert len(server.keyed.memory) == 64
    # A list of the streams would take more than 100 bytes for each.
    assert used[1] - used[0] < 20 * last
    assert server.traces() == traces
    shutil.rmtree(tmp_path)


@pytest.mark.statistical
@pytest.mark.parametrize(("rows", "apart"), [(777, True), (778, False)])
def test_no_other_row_is_touched(rows: int, apart: bool, monkeypatch) -> None:
    """Learning copies no state of many; with its work not in a branch of its own it does."""
    if not apart:
        monkeypatch.setattr(rows_module, "_call_apart", lambda row, body, *given: body(*given))
    model = build_model("linear:arms=3:features=2")
    agent, _ = build_agent(model, "smc", "thompson", 16)
    learning = build_learn(agent._replace(rows=rows, name=None))
    event = learning.write_event(jax.tree.map(np.asarray, example_event(model)))
    program = learning.learn.lower(learning.init(jax.random.key(0)), event)  # type: ignore[attr-defined]
    text = program.compile().as_text()
    copies = re.findall(rf"= u32\[{rows},\d+\]\S* copy\(", text)
    assert bool(copies) != apart
    assert "input_output_alias={ {0}: (0" in text
