"""A sweep: what is finished is kept and never computed again, what is damaged is.

See also: tests/cli/commands/test_sweep.py for the command line.
"""

from collections.abc import Generator, Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from uncertain.decide.judge.engine import batches, result_index, timing_lock
from uncertain.decide.judge.engine.failures import Failure
from uncertain.decide.judge.engine.result_index import (
    BASELINES,
    CELLS,
    Finished,
    ResultIndex,
    identity_of,
)
from uncertain.decide.judge.engine.sweep import WHOLE, Shard, plan_sweep, run_sweep
from uncertain.decide.judge.measures.build_record import mean_se, quantiles
from uncertain.decide.judge.measures.experiment import Cell, Experiment, Row
from uncertain.decide.judge.records.read_record import record_of
from uncertain.posteriors.errors import UsageError
from uncertain.streams.storage.results import Store, result_key

EXPERIMENT = Experiment(
    world="finite",
    steps=3,
    seeds=3,
    live=1,
    workers=1,
    cells=[Row("exact"), Row("exact", rule="greedy"), Row("exact", rule="random")],
)
CELL = EXPERIMENT.resolved()[0]


@pytest.fixture(autouse=True)
def own_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No other sweep on this machine delays a test."""
    monkeypatch.setattr(timing_lock, "lock_file", lambda: tmp_path / "lock")


def made_up(
    cells: list[Cell], index: ResultIndex, progress: Any
) -> Generator[Finished, None, None]:
    """An engine that computes nothing; a record says which cell it is of."""
    for cell in cells:
        if not index.is_finished(cell):
            yield Finished(cell, {"rule": cell.rule}, {"lower": np.arange(3.0)}, 2.0)


def swept(
    place: Path, experiment: Experiment = EXPERIMENT, shard: Shard = WHOLE, engine: Any = made_up
) -> list[str]:
    """Rules of the cells that a sweep had to compute."""
    computed: list[str] = []
    run_sweep(
        ResultIndex(Store(str(place)), experiment),
        shard,
        lambda one, done, total: computed.append(one.cell.rule),
        lambda text, share: None,
        engine,
    )
    return computed


@pytest.mark.parametrize("live", [0, 1])
def test_cells_wait_for_each_other_only_where_something_is_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, live: int
) -> None:
    happened: list[str] = []

    def judged(cells: list[Cell], *_: Any, **__: Any) -> Iterator[tuple[Cell, dict[str, Any]]]:
        for cell in cells:
            happened.append("judged")
            yield cell, {"lower": np.zeros(cell.seeds)}

    nobody = nullcontext(SimpleNamespace(count=2))
    monkeypatch.setattr(batches, "WorkerPool", lambda count: nobody)
    monkeypatch.setattr(batches, "judge_cells", judged)
    monkeypatch.setattr(
        batches, "time_cell", lambda cell, runs, *_: ({"rule": cell.rule}, runs, None)
    )
    experiment = msgspec.structs.replace(EXPERIMENT, live=live, workers=2)
    log = ResultIndex(Store(str(tmp_path)), experiment)
    for one in batches.compute_in_batches(log.experiment.resolved(), log, lambda *_: None):
        assert not isinstance(one, Failure)
        happened.append("kept")
    together = happened == sorted(happened)
    assert together is bool(live)
    assert happened.count("kept") == len(experiment.resolved())


def test_the_real_thing_keeps_all_that_a_record_is_made_of(tmp_path: Path) -> None:
    shares: list[float] = []
    one = msgspec.structs.replace(EXPERIMENT, cells=EXPERIMENT.cells[:1])
    log = ResultIndex(Store(str(tmp_path)), one)
    run_sweep(log, WHOLE, lambda *_: None, lambda text, share: shares.append(share))
    assert shares == sorted(shares)
    ((key, entry),) = log.store.entries(CELLS)
    record, arrays = record_of(entry.record), entry.arrays()
    assert key == log.key(CELL)
    # An identity leaves out what is off.
    assert {"think": 0, **entry.identity["cell"]} == record.config
    assert arrays["realised"].shape == (3, 3)
    assert arrays["actions"].shape == (1, 3, 1)
    assert arrays["observations"].shape == (1, 3)
    assert record.gain.lower == mean_se(arrays["lower"])
    assert record.decide == quantiles(arrays["decide"].ravel())
    assert record.total == quantiles((arrays["decide"] + arrays["learn"]).ravel())
    assert entry.seconds > 0
    ((_, baseline),) = log.store.entries(BASELINES)
    above = arrays["lower"] - baseline.arrays()["lower"]
    assert record.gain.above_random == mean_se(above)
    assert swept(tmp_path, one, engine=refuse) == []


def refuse(*given: Any) -> Any:
    raise AssertionError("work began")


def test_what_is_finished_is_skipped_and_what_is_new_is_not(tmp_path: Path) -> None:
    assert swept(tmp_path) == ["eig", "greedy", "random"]
    assert swept(tmp_path, engine=refuse) == []
    more = msgspec.structs.replace(EXPERIMENT, cells=[*EXPERIMENT.cells, Row("exact", rule="ucb")])
    assert swept(tmp_path, more) == ["ucb"]
    assert swept(tmp_path, msgspec.structs.replace(EXPERIMENT, live=2)) == [
        "eig", "greedy", "random",
    ]  # fmt: skip
    assert swept(tmp_path, msgspec.structs.replace(EXPERIMENT, workers=2)) == []


def test_an_interrupt_keeps_what_is_finished(tmp_path: Path) -> None:
    ended: list[str] = []

    def interrupted(*given: Any) -> Generator[Finished, None, None]:
        try:
            cells = made_up(*given)
            yield next(cells)
            raise KeyboardInterrupt
        finally:
            ended.append("engine")

    with pytest.raises(KeyboardInterrupt):
        swept(tmp_path, engine=interrupted)
    assert ended == ["engine"]
    assert swept(tmp_path) == ["greedy", "random"]


@pytest.mark.parametrize("name", ["done.json", "record.json", "identity.json", "lower/c/0"])
def test_a_damaged_cell_is_computed_again(tmp_path: Path, name: str) -> None:
    swept(tmp_path)
    cell = EXPERIMENT.resolved()[1]
    key = result_key(identity_of(cell, EXPERIMENT))
    (file,) = (tmp_path / CELLS / key).glob(f"*/{name}")
    file.write_bytes(file.read_bytes()[:-3])
    assert [one.finished for one in plan_sweep(ResultIndex(Store(str(tmp_path)), EXPERIMENT))] == [
        True, False, True,
    ]  # fmt: skip
    assert swept(tmp_path) == ["greedy"]
    assert swept(tmp_path, engine=refuse) == []


def test_a_half_written_cell_is_computed_again(tmp_path: Path) -> None:
    class Full(Store):
        def commit(self, *given: Any, **named: Any) -> str:
            super().commit(*given, **named)
            (done,) = tmp_path.glob(f"{CELLS}/*/*/done.json")
            done.unlink()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_sweep(
            ResultIndex(Full(str(tmp_path)), EXPERIMENT), WHOLE, refuse, lambda *_: None, made_up
        )
    assert swept(tmp_path) == ["eig", "greedy", "random"]


def test_shards_part_the_grid(tmp_path: Path) -> None:
    experiment = msgspec.structs.replace(
        EXPERIMENT, cells=[Row("exact", seeds=n) for n in range(1, 8)]
    )
    log = ResultIndex(Store(str(tmp_path)), experiment)
    every = [one.cell for one in plan_sweep(log)]
    parts = [[one.cell for one in plan_sweep(log, Shard(i, 3))] for i in (1, 2, 3)]
    assert sorted((c for part in parts for c in part), key=lambda c: c.seeds) == every
    assert [len(part) for part in parts] == [3, 2, 2]


def test_a_cell_that_another_process_finishes_is_left_out(tmp_path: Path) -> None:
    """Two sweeps, the second started while the first has one cell to go."""

    def slow(cells: list[Cell], *given: Any) -> Generator[Finished, None, None]:
        assert swept(tmp_path, shard=Shard(1, 3)) == ["eig"]
        yield from made_up(cells, *given)

    assert swept(tmp_path, engine=slow) == ["greedy", "random"]


def test_the_key_is_made_of_what_determines_a_result(monkeypatch: pytest.MonkeyPatch) -> None:
    def key(cell: Cell = CELL, **changes: Any) -> str:
        return result_key(identity_of(cell, msgspec.structs.replace(EXPERIMENT, **changes)))

    assert key() == key(workers=5) == key(cells=[]) == key(spce=None)
    different = [key(), key(live=2), key(samples=3), key(spce=4), key(fidelity=True)]
    different += [key(joint=2), key(joint=[2, 3]), key(settle=1)]
    different += [key(cell) for cell in EXPERIMENT.resolved()[1:]]
    monkeypatch.setattr(result_index, "computing_versions", lambda: {"jax": "0"})
    different.append(key())
    assert len(set(different)) == len(different)


def test_a_users_own_file_is_part_of_the_key(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("from uncertain.posteriors.models.finite import Finite\n")
    cell = msgspec.convert(
        {**identity_of(CELL, EXPERIMENT)["cell"], "model": f"{file}:Finite"}, Cell
    )
    before = result_key(identity_of(cell, EXPERIMENT))
    assert before == result_key(identity_of(cell, EXPERIMENT))
    file.write_text(file.read_text() + "# changed\n")
    assert before != result_key(identity_of(cell, EXPERIMENT))


def test_a_file_that_a_world_is_given_is_part_of_it(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("x,kind\n1,a\n2,b\n")
    spec = f"labelled:file={file}:label=kind"
    cell = msgspec.convert({**identity_of(CELL, EXPERIMENT)["cell"], "world": spec}, Cell)
    before = result_key(identity_of(cell, EXPERIMENT))
    assert before == result_key(identity_of(cell, EXPERIMENT))
    file.write_text("x,kind\n1,a\n3,b\n")
    assert before != result_key(identity_of(cell, EXPERIMENT))


def test_estimates_come_from_finished_cells(tmp_path: Path) -> None:
    log = ResultIndex(Store(str(tmp_path)), EXPERIMENT)
    assert not any(one.measured for one in plan_sweep(log))
    swept(tmp_path, shard=Shard(1, 3))
    assert [(one.finished, one.seconds, one.measured) for one in plan_sweep(log)] == [
        (True, 2.0, True), (False, 2.0, True), (False, 2.0, True),
    ]  # fmt: skip


def test_what_is_wrong_is_found_before_any_work(tmp_path: Path) -> None:
    wrong = msgspec.structs.replace(EXPERIMENT, cells=[Row("exact"), Row("laplace")])
    with pytest.raises(UsageError, match="laplace"):
        swept(tmp_path / "store", wrong, engine=refuse)
    assert not (tmp_path / "store").exists()


def test_timing_waits_for_whoever_works() -> None:
    class Waited(Exception):
        pass

    def give_up() -> None:
        raise Waited

    with (
        timing_lock.hold_scoring(),
        timing_lock.hold_scoring(give_up),
        pytest.raises(Waited),
        timing_lock.hold_timing(give_up),
    ):
        raise AssertionError("timed beside work")
    with timing_lock.hold_timing(give_up):
        for other in (timing_lock.hold_timing, timing_lock.hold_scoring):
            with pytest.raises(Waited), other(give_up):
                raise AssertionError("worked beside timing")


def test_groups_are_of_the_size_that_workers_need(
    monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    sizes: list[int] = []

    def counted(group: list[Cell], *given: Any) -> Generator[Finished, None, None]:
        sizes.append(len(group))
        yield from made_up(group, log, None)

    monkeypatch.setattr(batches, "compute_batch", counted)
    log = ResultIndex(Store(str(tmp_path)), EXPERIMENT)
    cells = EXPERIMENT.resolved()
    assert [one.cell for one in batches.compute_in_batches(cells, log, lambda *_: None)] == cells
    assert sizes == [1, 1, 1]
