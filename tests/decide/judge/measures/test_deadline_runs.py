"""Live runs under a deadline: what generous and impossible ones do, and that the clock is kept.

See also: tests/decide/loop/server/test_ladder.py for the ladder itself.
"""

import time
from dataclasses import replace
from itertools import count

import numpy as np
import pytest
from console import call
from msgspec import structs
from uncertain.cli.tables.format_values import format_in_full
from uncertain.decide.judge.measures import deadline_runs
from uncertain.decide.judge.measures.deadline_runs import run_under_deadline
from uncertain.decide.judge.measures.experiment import Cell, Experiment, Grid, check_experiment
from uncertain.decide.judge.measures.quality import Wanted, quality
from uncertain.decide.judge.records.record import Record, RungShare
from uncertain.decide.loop.server import ladder
from uncertain.posteriors.errors import UsageError

CELL = Cell("finite", "finite", "exact", "eig", None, None, 0, 4, 0.0, 6, 3, 2)
WANTED = Wanted(samples=100, reference=64)


def test_with_time_to_spare_everything_is_done_in_full() -> None:
    found = run_under_deadline(CELL, 10.0, None, WANTED)
    assert (found.missed, found.fallback, found.timing.retraces) == (0.0, 0.0, 0)
    assert [rung.share for rung in found.rungs] == [1.0]
    # Exact belief over a few hypotheses decides alike however it is executed.
    rolled = quality(CELL, 0, CELL.seeds, WANTED)
    np.testing.assert_allclose(found.runs["lower"], rolled["lower"], rtol=1e-3, atol=1e-3)
    assert "realised" not in found.runs
    assert found.timing.decide.shape == (CELL.seeds * CELL.steps,)


def test_an_impossible_deadline_is_missed_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    # Each way half as dear as the last, whatever this machine would say of ways so small.
    halves = count()
    monkeypatch.setattr(ladder, "median_seconds", lambda call: 0.5 ** next(halves))
    cell = Cell("finite", "finite", "smc", "eig", None, 256, 8, 4, 0.0, 5, 3, 2)
    found = run_under_deadline(cell, 1e-7, None, WANTED)
    assert found.missed == 1.0
    assert found.fallback == 1.0
    (rung,) = found.rungs
    assert rung.number > 0
    assert rung.draws == 4
    assert np.isfinite(found.runs["lower"]).all()
    assert found.runs["work"].max() == 0


def test_events_come_by_the_clock() -> None:
    began = time.perf_counter()
    slow = run_under_deadline(CELL, 10.0, 50.0, WANTED)
    assert time.perf_counter() - began > (CELL.seeds + 1) * (CELL.steps - 1) / 50.0
    assert slow.missed == 0.0


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"deadline": 0.0}, "deadline"),
        ({"rate": 5.0}, "rate"),
        ({"deadline": 1.0, "joint": 5}, "joint"),
        ({"deadline": 1.0, "fidelity": True}, "fidelity"),
        ({"deadline": 1.0, "settle": 5}, "settle"),
        ({"deadline": 1.0, "grid": Grid(["svgd"], think=[0, 3])}, "think"),
    ],
)
def test_what_cannot_be_asked_for(changes: dict, word: str) -> None:
    with pytest.raises(UsageError, match=word):
        check_experiment(Experiment(**{"grid": Grid(["smc"]), **changes}), "mine.toml")


class Clock:
    """A clock of its own: a microsecond a look, and as long as is slept, on a busy machine too."""

    def __init__(self) -> None:
        self.now = time.perf_counter_ns()

    def perf_counter_ns(self) -> int:
        """Nanoseconds."""
        self.now += 1_000
        return self.now

    def perf_counter(self) -> float:
        """Seconds."""
        return self.perf_counter_ns() / 1e9

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += int(seconds * 1e9)


def test_time_between_events_is_for_thinking(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = replace(CELL, world="location", model="location", posterior="svgd", particles=8)
    cell = replace(cell, refine=1, think=3, steps=4)
    monkeypatch.setattr(deadline_runs, "time", Clock())
    calm = run_under_deadline(cell, 10.0, 5.0, WANTED)
    assert calm.slices == 3.0
    assert calm.timing.think.shape == (3 * CELL.seeds * cell.steps,)
    assert calm.timing.retraces == 0
    # Negative control: events that come at once leave no time.
    assert run_under_deadline(cell, 10.0, 1e6, WANTED).slices == 0.0
    # Nor is there any where a step would make answers late.
    assert run_under_deadline(cell, 1e-9, 5.0, WANTED).slices == 0.0


def test_a_bench_under_a_deadline_says_so() -> None:
    done = call(
        "bench", "finite", "--posterior", "exact", "--steps", "4", "--seeds", "2",
        "--deadline", "5s", "--rate", "1000", "--export-markdown", "-",
    )  # fmt: skip
    assert done.status == 0, done.err
    head, _, row = done.out.splitlines()
    cells = [cell.strip() for cell in row.split("|")]
    names = [name.strip() for name in head.split("|")]
    assert cells[names.index("late %")] == "0"
    # Arms are few, and all of them are looked at.
    assert cells[names.index("in full %")] == "100"


def test_what_was_not_looked_at_in_full_does_not_count_as_such() -> None:
    rungs = [RungShare(0, 8, 4, 0.25), RungShare(2, 4, 4, 0.75)]
    row = Record(
        world="finite", model="finite", posterior="exact", rule="eig", steps=6, seeds=3, config={}
    )
    assert format_in_full(structs.replace(row, rungs=rungs)) == "25"
    assert format_in_full(structs.replace(row, rungs=rungs[1:])) == "0"
    assert format_in_full(row) == "–"
