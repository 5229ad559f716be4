"""A user's own code in processes of its own: whose it is, who is replaced, and what is lost.

See also: tests/statistical/test_gaming.py for a backend that remembers.
"""

import os
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from uncertain.decide.judge.engine import own_process
from uncertain.decide.judge.engine.failures import Failure
from uncertain.decide.judge.engine.local_pool import judge_cells
from uncertain.decide.judge.engine.own_process import ProcessLost, owner_of, run_apart
from uncertain.decide.judge.engine.worker_process import WorkerPool
from uncertain.decide.judge.measures.experiment import Cell
from uncertain.decide.judge.measures.quality import Wanted

BUILT_IN = Cell("location", "location", "smc", "eig", None, 8, 1, 4, 0.0, 3, 0, 2)
MINE = replace(BUILT_IN, posterior="mine.py:build")
OTHER = replace(BUILT_IN, posterior="mine.py:build:width=2")


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has run nobody's own code yet."""
    monkeypatch.setattr(own_process, "_here", None)


MEASURE = """
import os

def process(cell, first, count, wanted):
    return {"lower": [os.getpid()] * count}

def die(*given):
    os._exit(1)
"""


@pytest.fixture
def measure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Functions that another process can import: one says which it is, one ends it."""
    (tmp_path / "own_measure.py").write_text(MEASURE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "own_measure", raising=False)
    return import_module("own_measure")


def processes(cells: list[Cell], workers: int, measure: Any) -> dict[Cell, set[int]]:
    """The processes that each cell was measured in."""
    with WorkerPool(workers) as pool:
        found = dict(judge_cells(cells, Wanted(), pool, lambda *_: None, measure.process))
    return {cell: {int(x) for x in runs["lower"]} for cell, runs in found.items()}  # pyright: ignore


def test_own_code_is_told_from_built_in() -> None:
    assert owner_of(BUILT_IN) is None
    assert owner_of(replace(BUILT_IN, posterior="smc:move=walk", rule="thompson")) is None
    for name in ("posterior", "rule", "proposer", "model"):
        cell = replace(BUILT_IN, **{name: "mine.py:build:width=2"})
        assert owner_of(cell) == cell, name
    assert owner_of(replace(BUILT_IN, posterior="of_some_package")) is not None
    # What is true is nobody's trick.
    assert owner_of(replace(BUILT_IN, world="mine.py:build", model="mine.py:build")) is None
    assert owner_of(replace(BUILT_IN, world="mine.py:build", model="location")) is None


@pytest.mark.live
@pytest.mark.parametrize("workers", [1, 2])
def test_no_process_meets_two_cells_of_own_code(workers: int, measure: Any) -> None:
    found = processes([MINE, BUILT_IN, OTHER, replace(OTHER, steps=4)], workers, measure)
    own = [found[cell] for cell in found if owner_of(cell)]
    assert len(own) == 3
    assert not own[0] & own[1]
    assert not own[1] & own[2]
    assert not own[0] & own[2]
    if workers > 1:
        assert all(not one & found[BUILT_IN] for one in own)
    # Negative control: built-in cells share one as before.
    alike = [BUILT_IN, *(replace(BUILT_IN, steps=steps) for steps in (4, 5, 6, 7))]
    assert len(set.union(*processes(alike, workers, measure).values())) <= workers


@pytest.mark.live
def test_runs_of_one_cell_share_a_process() -> None:
    assert run_apart(MINE, os.getpid) == os.getpid()
    assert run_apart(MINE, os.getpid) == os.getpid()
    assert run_apart(BUILT_IN, os.getpid) == os.getpid()
    assert run_apart(OTHER, os.getpid) != os.getpid()


@pytest.mark.live
def test_a_process_that_dies_takes_its_cell_only(measure: Any) -> None:
    assert run_apart(MINE, os.getpid) == os.getpid()
    with pytest.raises(ProcessLost, match="its process died"):
        run_apart(OTHER, measure.die)
    with WorkerPool(1) as pool:
        found = dict(judge_cells([OTHER], Wanted(), pool, lambda *_: None, measure.die))
    assert found == {OTHER: Failure(OTHER, "its process died, perhaps for want of memory")}


@pytest.mark.live
def test_own_files_are_found_from_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").touch()
    monkeypatch.chdir(tmp_path)
    assert run_apart(MINE, os.path.exists, "here")
    assert run_apart(OTHER, os.path.exists, "here")
    assert not run_apart(OTHER, os.path.exists, "elsewhere")
