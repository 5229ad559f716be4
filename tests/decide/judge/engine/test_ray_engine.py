"""Cells on Ray: a real one of two workers on this machine, and handing out as such.

The real one is skipped where Ray is not installed; .ci/run installs it.

See also: test_failures.py for workers on this machine without Ray.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from console import call
from uncertain.decide.judge.engine import ray_dispatch, timing_lock
from uncertain.decide.judge.engine.bench import baseline_of
from uncertain.decide.judge.engine.failures import TRIES, Failure
from uncertain.decide.judge.engine.ray_dispatch import dispatch_cells
from uncertain.decide.judge.engine.ray_engine import check_reachable
from uncertain.decide.judge.engine.ray_worker import Mismatch, Stored, describe_differences
from uncertain.decide.judge.engine.result_index import CELLS, Finished, ResultIndex
from uncertain.decide.judge.measures.experiment import Cell, Experiment, Row
from uncertain.posteriors.errors import UsageError
from uncertain.streams.storage.results import Entry, Store

TIMES = ("decide", "learn", "total", "compile", "host")
"""Of a record, what another run of the same cell may change."""

COINS = """
import os, signal
from dataclasses import dataclass
from pathlib import Path
from uncertain.posteriors.models.finite import Finite

@dataclass(frozen=True)
class Coins(Finite):
    trouble: str = "none"

    def predict(self, params, stats, action):
        if os.getpid() != {parent}:
            mark = Path("{folder}") / self.trouble
            if self.trouble == "raise" and mark.exists():
                raise ValueError("no such coin")
            if self.trouble == "die" and not mark.exists():
                mark.write_text(str(os.getpid()))
                os.kill(os.getpid(), signal.SIGKILL)
        return super().predict(params, stats, action)
"""
"""A model that is fine where the sweep is started, and in a worker does as it is told."""


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where Ray and its workers keep what is temporary; names of sockets are short."""
    made = Path(tempfile.mkdtemp(prefix="u", dir="/tmp" if os.path.isdir("/tmp") else None))
    for name in ("TMPDIR", "RAY_TMPDIR"):
        monkeypatch.setenv(name, str(made))
    monkeypatch.setattr(timing_lock, "lock_file", lambda: made / "lock")
    yield made
    shutil.rmtree(made)


def entries(place: Path) -> dict[str, Entry]:
    """What a store holds, by world and rule; one attempt at each."""
    store = Store(str(place))
    assert {len(found) for found in store.attempts(CELLS).values()} == {1}
    found = [entry for _, entry in store.entries(CELLS)]
    return {f"{entry.record['world']} {entry.record['rule']}": entry for entry in found}


# Ray's own subprocesses and sockets are not ours to close.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_ray_keeps_what_local_workers_keep(folder: Path) -> None:
    """Two workers, one killed at its first try, one cell that cannot be computed."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'uncertain[ray]'")
    (folder / "coins.py").write_text(COINS.format(parent=os.getpid(), folder=folder))
    (folder / "raise").touch()
    coins = [f"{folder}/coins.py:Coins:trouble={trouble}" for trouble in ("die", "raise")]
    common = "steps = 3\nseeds = 3\nlive = 1\nworkers = 2\ncells = [\n"
    good = "{posterior = 'exact', world = 'finite', rule = 'greedy'},\n"
    bad = "".join(f"{{posterior = 'exact', world = '{w}', rule = 'random'}},\n" for w in coins)
    (folder / "good.toml").write_text(f"{common}{good}]\n")
    (folder / "all.toml").write_text(f"{common}{good}{bad}]\n")
    here, there = folder / "here", folder / "there"
    assert call("sweep", folder / "good.toml", "--out", here).status == 0

    result = call("sweep", folder / "all.toml", "--out", there, "--engine", "ray")
    assert result.status == 1, result.err
    assert len(result.errors) == 4, result.err
    (failed,) = [line for line in result.errors if "failed:" in line]
    assert "trouble=raise exact k=0 random failed:" in failed
    assert "predict() failed: ValueError: no such coin" in failed
    assert int((folder / "die").read_text()) != os.getpid()
    kept, local = entries(there), entries(here)
    assert kept.keys() == local.keys() | {f"{coins[0]} random"}
    for name, entry in local.items():
        assert kept[name].identity == entry.identity
        records = [{**one.record, **dict.fromkeys(TIMES)} for one in (entry, kept[name])]
        assert records[0] == records[1]
        one, two = entry.arrays(), kept[name].arrays()
        assert one.keys() == two.keys()
        assert all(np.array_equal(one[k], two[k]) for k in one if k not in TIMES)
    # Negative control: another rule's results are others.
    other = kept[f"{coins[0]} random"].record
    assert other["gain"] != kept["finite greedy"].record["gain"]

    (folder / "raise").unlink()
    # One engine goes on where another was.
    again = call("sweep", folder / "all.toml", "--out", there, "--workers", 1)
    assert again.status == 0, again.err
    assert again.errors[0].startswith(f"uncertain: 1/1 {coins[1]} exact k=0 random: gain")
    assert len(entries(there)) == 3


EXPERIMENT = Experiment(
    world="finite",
    steps=3,
    seeds=3,
    live=0,
    cells=[Row("exact", rule=rule) for rule in ("eig", "greedy", "random", "ucb")],
)
EIG, GREEDY, RANDOM, UCB = EXPERIMENT.resolved()


class Lost(Exception):
    """A worker's end, as the Ray of `Pretended` puts it."""


@dataclass(frozen=True, eq=False)
class Reference:
    """To what will come back."""

    cell: Cell
    is_baseline: bool


class Pretended:
    """A Ray that computes a cell when it is waited for. replies: cell -> in turn what comes back.

    A cell without replies is kept. handed: cells handed out at once, in order.
    """

    def __init__(self, index: ResultIndex, replies: dict[Cell, list[Any]]) -> None:
        self.index, self.replies = index, replies
        self.handed: list[list[Cell]] = []
        self.exceptions = SimpleNamespace(RayError=Lost, RayTaskError=type("Task", (Lost,), {}))
        self._fresh: list[Cell] = []

    def submit(self, cell: Cell, identity: dict[str, Any], is_baseline: bool) -> Any:
        assert identity == self.index.identity(cell, is_baseline)
        self._fresh.append(cell)
        return Reference(cell, is_baseline)

    def wait(self, references: list[Any], timeout: float) -> tuple[list[Any], list[Any]]:
        if self._fresh:
            self.handed.append(self._fresh)
            self._fresh = []
        return references[:1], references[1:]

    def get(self, reference: Any) -> Any:
        cell = reference.cell
        reply = self.replies[cell].pop(0) if self.replies.get(cell) else None
        if isinstance(reply, Exception):
            raise reply
        if reply is not None:
            return reply
        runs = {"lower": np.arange(3.0)}
        if reference.is_baseline:
            self.index.store_baseline(cell, runs)
        else:
            self.index.store_result(Finished(cell, {"rule": cell.rule}, runs, 1.0))
        return Stored({"rule": cell.rule}, 1.0, "there")


def dispatched(
    place: Path,
    replies: dict[Cell, list[Any]],
    wave: int | None = None,
    experiment: Experiment = EXPERIMENT,
) -> tuple[list[Finished | Failure], list[list[Cell]]]:
    index = ResultIndex(Store(str(place)), experiment)
    ray = Pretended(index, replies)
    cells = experiment.resolved()
    shares: list[float] = []

    def progress(text: str, share: float) -> None:
        shares.append(share)

    ended = list(dispatch_cells(ray, cells, index, progress, ray.submit, wave))
    assert shares == sorted(shares)
    return ended, ray.handed


def test_random_actions_come_first_and_once(tmp_path: Path) -> None:
    ended, handed = dispatched(tmp_path, {})
    assert handed == [[baseline_of(EIG), RANDOM], [EIG, GREEDY, UCB]]
    assert {one.cell.rule for one in ended} == {"eig", "greedy", "random", "ucb"}
    assert all(isinstance(one, Finished) and one.stored and not one.arrays for one in ended)
    more = msgspec.structs.replace(EXPERIMENT, cells=[Row("exact", rule="ids")])
    _, handed = dispatched(tmp_path, {}, experiment=more)
    assert handed == [more.resolved()]


def test_waves_wait_for_each_other(tmp_path: Path) -> None:
    lost = {GREEDY: [Lost()]}
    ended, handed = dispatched(tmp_path, lost, 2)
    assert handed == [[baseline_of(EIG), RANDOM], [EIG, GREEDY], [GREEDY, UCB]]
    assert len(ended) == 4


def test_a_lost_worker_s_cell_is_tried_again_and_given_up(tmp_path: Path) -> None:
    lost = {EIG: [Lost()] * (TRIES - 1), GREEDY: [Lost()] * TRIES, UCB: [Failure(UCB, "no coin")]}
    ended, _ = dispatched(tmp_path, lost)
    failed = {one.cell: one.error for one in ended if isinstance(one, Failure)}
    assert failed.keys() == {GREEDY, UCB}
    assert f"its worker died {TRIES} times" in failed[GREEDY]
    assert failed[UCB] == "no coin"
    assert {one.cell for one in ended if isinstance(one, Finished)} == {EIG, RANDOM}


def test_cells_fail_with_the_random_actions_they_need(tmp_path: Path) -> None:
    baseline = baseline_of(EIG)
    ended, _ = dispatched(tmp_path, {baseline: [Failure(baseline, "no coin")]})
    failed = {one.cell: one.error for one in ended if isinstance(one, Failure)}
    assert failed.keys() == {EIG, GREEDY, UCB}
    assert failed[EIG] == "random actions, to compare it with: no coin"
    assert len(ended) == 4


def test_a_store_that_is_not_shared_and_other_versions_end_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_dispatch, "PATIENCE", 0.0)
    with pytest.raises(UsageError, match="elsewhere kept a cell there which is not seen here"):
        dispatched(tmp_path, {RANDOM: [Stored({}, 1.0, "elsewhere")]})
    with pytest.raises(UsageError, match="jax 1 here, 2 there"):
        dispatched(tmp_path, {RANDOM: [Mismatch("jax 1 here, 2 there")]})
    here = {"versions": {"jax": "1", "numpy": "1"}, "device": "cpu", "x64": False}
    there = {"versions": {"jax": "2", "numpy": "1"}, "device": "gpu", "x64": False}
    assert describe_differences(here, here) == ""
    assert describe_differences(here, there) == "device cpu here, gpu there; jax 1 here, 2 there"


def test_wrong_use_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("sweep", "finite", "--posterior", "exact", "--out", tmp_path / "store")
    monkeypatch.setitem(sys.modules, "ray", None)
    for flags, text in (
        (("--engine", "ray"), "pip install 'uncertain[ray]'"),
        (("--engine", "rye"), "choose local or ray"),
        (("--engine", "ray", "--gpus-per-cell", "1.5"), "0.25"),
        (("--engine", "ray", "--gpus-per-cell", "nan"), "--gpus-per-cell"),
        (("--address", "localhost:6379"), "--engine ray"),
        (("--gpus-per-cell", "0.5"), "--engine ray"),
    ):
        result = call(*words, *flags)
        assert result.status == 2
        assert len(result.errors) == 1, result.err
        assert text in result.err
    assert not (tmp_path / "store").exists()
    with pytest.raises(UsageError, match=r"no Ray at 127\.0\.0\.1:1: ConnectionRefusedError"):
        check_reachable("127.0.0.1:1")
