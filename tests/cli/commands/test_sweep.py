"""Sweeping on the command line, into one store, from one process or two; wrong use of it.

See also: test_results.py for showing and comparing the results.
"""

import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from console import Result, call
from uncertain.decide.judge.engine import batches, timing_lock
from uncertain.decide.judge.engine.result_index import CELLS, Finished
from uncertain.decide.judge.records.record import Record
from uncertain.streams.storage.results import Store

TINY = ("finite", "--posterior", "exact", "--steps", "3", "--seeds", "3", "--live", "1",
        "--workers", "1")  # fmt: skip


NAMES = "world", "model", "posterior", "rule", "steps", "seeds"
"""What a record needs of its cell."""


@pytest.fixture(autouse=True)
def own_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No other sweep on this machine delays a test."""
    monkeypatch.setattr(timing_lock, "lock_file", lambda: tmp_path / "lock")


@pytest.fixture
def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells are finished at once, with records that say nothing."""

    def finish(group: Any, *given: Any) -> Generator[Finished, None, None]:
        for cell in group:
            named = {name: getattr(cell, name) for name in NAMES}
            yield Finished(cell, Record(**named, config={}), {}, 1.0)

    monkeypatch.setattr(batches, "compute_batch", finish)


def one_line(result: Result, *words: str) -> None:
    assert result.status == 2
    assert len(result.errors) == 1, result.err
    for word in words:
        assert word in result.err


def test_a_world_of_an_experiment_s_name_says_so(tmp_path: Path) -> None:
    flags = ("--posterior", "smc", "--out", str(tmp_path / "store"), "--dry-run")
    world = call("sweep", "location", *flags)
    assert "location is the world; location.toml is the experiment" in world.err
    experiment = call("sweep", "location.toml", "--out", str(tmp_path / "store"), "--dry-run")
    assert experiment.status == 0
    assert "is the world" not in experiment.err


TOGETHER = """
import sys, time
from pathlib import Path
from uncertain.cli.main import main
from uncertain.decide.judge.engine import batches
from uncertain.decide.judge.engine.result_index import Finished
from uncertain.decide.judge.records.record import Record

NAMES = "world", "model", "posterior", "rule", "steps", "seeds"
folder, mine, other = Path(sys.argv[1]), *sys.argv[2:4]
sys.argv[1:4] = []

def compute_batch(group, *given):
    (folder / mine).touch()
    while not (folder / other).exists():
        time.sleep(0.01)
    for cell in group:
        named = {name: getattr(cell, name) for name in NAMES}
        yield Finished(cell, Record(**named, config={}), {}, 1.0)

batches.compute_batch = compute_batch
main()
"""
"""Both processes have looked at the store and found nothing before either keeps anything."""


@pytest.mark.parametrize("shards", [("1/2", "2/2"), ("1/1", "1/1")])
def test_two_processes_share_a_store(tmp_path: Path, shards: tuple[str, str]) -> None:
    out = tmp_path / "store"
    words = ["sweep", *TINY, "--rule", "eig,random", "--out", str(out)]
    started = [
        subprocess.Popen(
            [sys.executable, "-c", TOGETHER, str(tmp_path), *names, *words, "--shard", shard],
            env={**os.environ, "UNCERTAIN_NO_CACHE": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for names, shard in zip((("a", "b"), ("b", "a")), shards, strict=True)
    ]
    for process in started:
        printed, told = process.communicate(timeout=120)
        assert (process.returncode, printed) == (0, ""), told
    assert all(row["finished"] for row in call(*words, "--dry-run").rows)
    attempts = Store(str(out)).attempts(CELLS)
    assert len(attempts) == 2
    # Parts overlap nowhere; two wholes computed the same first cell, which harmed nothing.
    most = max(len(found) for found in attempts.values())
    assert most == (1 if shards[0] == "1/2" else 2)


@pytest.mark.usefixtures("no_work")
def test_it_goes_on_where_it_was(tmp_path: Path) -> None:
    words = ("sweep", *TINY, "--rule", "eig,greedy,random", "--out", tmp_path / "store")
    plan = call(*words, "--dry-run")
    assert [row["finished"] for row in plan.rows] == [False] * 3
    assert [row["rule"] for row in plan.rows] == ["eig", "greedy", "random"]
    assert "3 cells, 0 finished, 3 to compute in about 15 s (a guess" in plan.err
    assert not (tmp_path / "store").exists()
    first = call(*words, "--shard", "2/3")
    assert first.errors[0] == "uncertain: 1/1 finite exact k=0 greedy: finished"
    plan = call(*words, "--dry-run")
    assert [row["finished"] for row in plan.rows] == [False, True, False]
    assert "2 to compute in about 2 s (as finished cells took)" in plan.err
    (key,) = [row["key"] for row in plan.rows if row["finished"]]
    (record,) = (tmp_path / "store" / CELLS / key).glob("*/record.json")
    record.write_bytes(b"{")
    assert [row["finished"] for row in call(*words, "--dry-run").rows] == [False] * 3
    assert "1/3" in call(*words).errors[0]
    assert "3 of them were there already" in call(*words).err
    shown = call(*words, "--dry-run", terminal=True)
    assert shown.out.count("✓") == 3


@pytest.mark.usefixtures("no_work")
def test_an_interrupt_keeps_finished_cells(tmp_path: Path, monkeypatch: Any) -> None:
    compute_batch = batches.compute_batch

    def interrupted(group: Any, *given: Any) -> Generator[Finished, None, None]:
        if group[0].rule == "random":
            raise KeyboardInterrupt
        yield from compute_batch(group, *given)

    words = ("sweep", *TINY, "--rule", "eig,random", "--out", tmp_path / "store")
    monkeypatch.setattr(batches, "compute_batch", interrupted)
    result = call(*words)
    assert result.status == 130
    assert "Traceback" not in result.err
    assert [row["finished"] for row in call(*words, "--dry-run").rows] == [True, False]


def test_a_source_is_a_world_or_an_experiment(tmp_path: Path) -> None:
    out = ("--out", tmp_path / "store", "--dry-run")
    file = tmp_path / "mine.toml"
    file.write_text('world = "finite"\n[grid]\nposterior = ["exact"]\nsteps = [2, 3]\n')
    assert [row["steps"] for row in call("sweep", file, *out).rows] == [2, 3]
    # A world's name is a world, whatever experiments are called.
    assert call("sweep", "finite", "--posterior", "exact", *out).rows[0]["world"] == "finite"
    assert {row["posterior"] for row in call("sweep", "default", *out).rows} > {"point", "smc"}


@pytest.mark.usefixtures("no_work")
def test_wrong_use_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    one_line(call("sweep", *TINY), "--out")
    one_line(call("sweep", *TINY, "--out", file), str(file), "is a file")
    for text in ("0/2", "3/2", "1", "a/b", "1/2/3"):
        one_line(call("sweep", *TINY, "--out", tmp_path, "--shard", text), text, "1/4")
    one_line(call("sweep", "finte", "--posterior", "exact", "--out", tmp_path), '"finite"')
    one_line(call("sweep", tmp_path / "no.toml", "--out", tmp_path), "no.toml")
    one_line(call("sweep", "finite", "--posterior", "laplace", "--out", tmp_path), "laplace")
