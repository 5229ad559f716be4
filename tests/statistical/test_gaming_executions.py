"""Cheats that are judged by one thing and timed by another, or that one cell tells another.

See also: tests/cheats.py for the cheats, test_gaming.py for those that a measure finds.
"""

from pathlib import Path

import numpy as np
import pytest
from console import call
from msgspec import structs
from support import SHIFT, Z
from uncertain.decide.judge.engine.bench import judge_all, resolve_cells
from uncertain.decide.judge.measures.experiment import Experiment, Row
from uncertain.decide.judge.measures.quality import Wanted, quality
from uncertain.decide.judge.records.mark_frontier import mark_frontier
from uncertain.decide.judge.records.read_record import record_of
from uncertain.decide.judge.records.record import Record

CHEATS = Path(__file__).parents[1] / "cheats.py"
WORLD = "linear:arms=0:features=2"
pytestmark = pytest.mark.rate(1e-5)


def benched(*names: str, workers: int = 1) -> tuple[list[Record], str]:
    """Records of a bench with live runs, in order, and what it says."""
    result = call(
        "bench", WORLD, "--posterior", ",".join(f"{CHEATS}:{name}" for name in names),
        "--steps", "6", "--seeds", "8", "--live", "2", "--candidates", "16", "--no-plot",
        "--seed", str(SHIFT), "--workers", str(workers),
    )  # fmt: skip
    assert result.status == 0, result.err
    return [record_of(row) for row in result.rows], " ".join(result.err.split())


def has_star(cheat: Record, honest: Record) -> bool:
    """Whether the cheat has the star where it gains as much in half of the time."""
    assert honest.total is not None
    cheat.total = structs.replace(honest.total, p99=honest.total.p99 / 2)
    cheat.gain = honest.gain
    mark_frontier([honest, cheat])
    assert honest.frontier != cheat.frontier
    return cheat.frontier


@pytest.mark.parametrize(("cheat", "workers"), [("learns_if_judged", 1), ("learns_in_a_worker", 2)])
def test_learning_only_where_it_is_judged_is_found(cheat: str, workers: int) -> None:
    """Its gain is that of the honest one to the digit, and so the steps that it was judged by are
    taken again by the calls that were timed."""
    (honest, other), said = benched("honest", cheat, workers=workers)
    assert honest.apart is not None
    assert honest.apart.step is None
    assert honest.apart.share == 0
    assert honest.apart.compared == 4 * 6
    assert other.apart is not None
    assert other.apart.step == 0
    assert f"cheats.py:{cheat} S=– k=1 eig is struck from the frontier" in said
    assert "cheats.py:honest S=– k=1 eig is struck" not in said
    assert other.gain == honest.gain
    assert not has_star(other, honest)
    # Without the comparison it has the star, and the honest one has not.
    other.apart = None
    other.unmoved = None
    assert has_star(other, honest)


def test_events_that_are_left_out_are_found() -> None:
    """Half of the events learnt, and half of the time: its gain may even be as high."""
    (honest, other), said = benched("honest", "every_second")
    assert honest.unmoved == 0
    assert other.unmoved == 0.5
    assert other.apart is not None
    assert other.apart.step is None
    assert "50 % of the events leave its belief as it was" in said
    assert not has_star(other, honest)
    other.unmoved = None
    assert has_star(other, honest)


def test_no_cell_profits_from_another() -> None:
    """All cells have the same truths. In one process the second one begins with what the first has
    learnt of each, and chooses well from the first event on; a bench gives each a process of its
    own."""
    names = ("honest", "remembers:cell=1", "remembers:cell=2")
    cells = resolve_cells(
        Experiment(
            world=WORLD, rule="thompson", steps=5, seeds=64, candidates=16, seed=SHIFT,
            cells=[Row(f"{CHEATS}:{name}") for name in names],
        )
    )  # fmt: skip
    wanted = Wanted(samples=0, gain=False)
    judged = judge_all(cells, wanted, 2, lambda text, share: None)
    honest, first, second = (judged[cell]["regret"] for cell in cells)
    assert np.abs(first - honest).max() < 1e-3
    assert np.abs(second - honest).max() < 1e-3
    # Negative control: both in this process.
    _, first, second = (quality(cell, 0, cell.seeds, wanted)["regret"] for cell in cells)
    assert np.abs(first - honest).max() < 1e-3
    less = honest - second
    assert less.mean() > Z * less.std(ddof=1) / np.sqrt(len(less))
