"""Cells that cannot be computed and workers that die, on this machine: the rest goes on.

See also: test_ray_engine.py for the same on Ray.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from console import call
from uncertain.decide.judge.engine import batches, local_pool, timing_lock
from uncertain.decide.judge.engine.failures import TRIES, Failure
from uncertain.decide.judge.engine.local_pool import judge_cells
from uncertain.decide.judge.engine.result_index import CELLS, Finished, ResultIndex
from uncertain.decide.judge.engine.sweep import WHOLE, run_sweep
from uncertain.decide.judge.engine.worker_process import WorkerPool
from uncertain.decide.judge.measures.experiment import Cell, Experiment, Row
from uncertain.decide.judge.measures.quality import Wanted
from uncertain.streams.storage.results import Store

pytestmark = pytest.mark.live

RULES = ("eig", "greedy", "random", "ucb")
EXPERIMENT = Experiment(
    world="finite",
    steps=3,
    seeds=3,
    live=0,
    workers=1,
    cells=[Row("exact", rule=rule) for rule in RULES],
)


@pytest.fixture(autouse=True)
def own_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No other sweep on this machine delays a test."""
    monkeypatch.setattr(timing_lock, "lock_file", lambda: tmp_path / "lock")


def swept(place: Path) -> tuple[list[str], dict[str, str]]:
    """Rules of the cells that one sweep kept, and of those that failed, with the error."""
    kept: list[str] = []
    failed: dict[str, str] = {}

    def ended(one: Finished | Failure, done: int, total: int) -> None:
        if isinstance(one, Failure):
            failed[one.cell.rule] = one.error
        else:
            kept.append(one.cell.rule)

    run_sweep(ResultIndex(Store(str(place)), EXPERIMENT), WHOLE, ended, lambda text, share: None)
    return kept, failed


def untroubled(*given: Any) -> dict[str, Any]:
    return {"lower": np.arange(3.0)}


def recorded(cell: Cell, runs: Any, *given: Any) -> tuple[dict[str, Any], Any, None]:
    return {"rule": cell.rule}, runs, None


def raising(otherwise: Any, rule: str, posterior: str = "exact") -> Any:
    def function(cell: Cell, *given: Any) -> Any:
        if (cell.rule, cell.posterior) == (rule, posterior):
            raise ValueError("no such coin")
        return otherwise(cell, *given)

    return function


@pytest.mark.parametrize("where", ["quality", "latency"])
def test_a_failing_cell_takes_no_other_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.setattr(local_pool, "quality", untroubled)
    monkeypatch.setattr(batches, "time_cell", recorded)
    if where == "quality":
        monkeypatch.setattr(local_pool, "quality", raising(untroubled, "greedy"))
    else:
        monkeypatch.setattr(batches, "time_cell", raising(recorded, "greedy"))
    assert swept(tmp_path) == (["eig", "random", "ucb"], {"greedy": "ValueError: no such coin"})
    monkeypatch.setattr(local_pool, "quality", untroubled)
    monkeypatch.setattr(batches, "time_cell", recorded)
    assert swept(tmp_path) == (["greedy"], {})


def test_without_random_actions_nothing_is_compared_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_pool, "quality", raising(untroubled, "random", "smc"))
    monkeypatch.setattr(batches, "time_cell", recorded)
    kept, failed = swept(tmp_path)
    assert kept == ["random"]
    assert failed.keys() == {"eig", "greedy", "ucb"}
    assert failed["eig"] == "random actions, to compare it with: ValueError: no such coin"


MEASURE = """
import os, signal
from pathlib import Path

def measure(cell, first, count, wanted):
    log = Path(__file__).with_name(cell.rule)
    with log.open("a") as file:
        file.write("x")
    if cell.rule == "greedy" or (cell.rule == "random" and log.stat().st_size == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    if cell.rule == "ucb":
        raise ValueError("no such coin")
    return {"lower": [cell.seed] * count}
"""
"""greedy always ends its worker, random the first time that it is tried, ucb raises."""


def judged(cells: list[Cell], workers: WorkerPool, measure: Any) -> dict[Cell, Any]:
    return dict(judge_cells(cells, Wanted(), workers, lambda *_: None, measure))


def test_a_killed_worker_s_cells_are_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "coin_measure.py").write_text(MEASURE)
    monkeypatch.syspath_prepend(str(tmp_path))
    import coin_measure  # type: ignore[import-not-found]

    cells = EXPERIMENT.resolved()
    with WorkerPool(2) as workers:
        found = judged(cells, workers, coin_measure.measure)
        eig, greedy, random, ucb = (found[cell] for cell in cells)
        assert isinstance(greedy, Failure)
        assert f"died {TRIES} times" in greedy.error
        assert isinstance(ucb, Failure)
        assert ucb.error == "ValueError: no such coin"
        for good in (eig, random):
            assert not isinstance(good, Failure)
            assert list(good["lower"]) == [0, 0, 0]
        # What died took nothing with it that another worker was at.
        tried = {rule: (tmp_path / rule).stat().st_size for rule in RULES}
        assert tried == {"eig": 1, "greedy": TRIES, "random": 2, "ucb": 1}
        # One that dies while nothing is computed costs nobody a try.
        for number in range(2):
            (process,) = workers.processes(number)
            process.kill()
            process.join()
        again = judged(cells[:1], workers, coin_measure.measure)
        assert list(again) == cells[:1]
        assert not isinstance(again[cells[0]], Failure)


THREADS = """
import os

def cores():
    return [len(os.sched_getaffinity(int(thread))) for thread in os.listdir("/proc/self/task")]
"""


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no cores to be told apart")
def test_a_worker_s_threads_may_use_any_core(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only its backend is started with one in sight."""
    (tmp_path / "worker_threads.py").write_text(THREADS)
    monkeypatch.syspath_prepend(str(tmp_path))
    import worker_threads  # type: ignore[import-not-found]

    with WorkerPool(2) as workers:
        found = workers.submit(0, worker_threads.cores).result()
    assert len(found) > 2
    assert set(found) == {len(os.sched_getaffinity(0))}


COINS = """
import os
from dataclasses import dataclass
from pathlib import Path
from uncertain.posteriors.models.finite import Finite

@dataclass(frozen=True)
class Coins(Finite):
    def predict(self, params, stats, action):
        if os.getpid() != {parent} and Path("{mark}").exists():
            raise ValueError("no such coin")
        return super().predict(params, stats, action)
"""
"""A model that is fine where the sweep is started, and raises in every worker."""


def test_a_model_of_ones_own_that_raises_is_named(tmp_path: Path) -> None:

    mark, file, out = tmp_path / "mark", tmp_path / "coins.py", tmp_path / "store"
    mark.touch()
    file.write_text(COINS.format(parent=os.getpid(), mark=mark))
    experiment = tmp_path / "coins.toml"
    experiment.write_text(
        "steps = 3\nseeds = 3\nlive = 0\nsamples = 0\nworkers = 2\nrule = 'greedy'\n"
        f"[grid]\nposterior = ['exact']\nworld = ['finite', '{file}:Coins']\n"
    )
    first = call("sweep", experiment, "--out", out)
    assert first.status == 1
    assert len(first.errors) == 3, first.err
    (failed,) = [line for line in first.errors if "failed:" in line]
    assert f"{file}:Coins exact k=0 greedy failed:" in failed
    assert "coins.py:Coins:11: predict() failed" in failed
    assert "no such coin" in failed
    assert "1 cells in" in first.errors[-1]
    assert "1 failed, which the next sweep tries again" in first.errors[-1]
    assert sum(map(len, Store(str(out)).attempts(CELLS).values())) == 1
    mark.unlink()
    second = call("sweep", experiment, "--out", out, "--workers", 1)
    assert second.status == 0, second.err
    assert second.errors[0].startswith(f"uncertain: 1/1 {file}:Coins")
    assert sum(map(len, Store(str(out)).attempts(CELLS).values())) == 2
