"""Ranks of drawn truths: right backends pass, wrong ones fail, each verdict written down before.

1 024 truths, 10 events chosen at random, 15 draws in 16 bins, and chi-square at 1e-4 over all
quantities of a backend. A wrong backend must fail by more than a hundred times that.

See also: benchmarks/calibration.py for the whole table of backends and worlds.
"""

from functools import cache
from pathlib import Path

import pytest
from support import SHIFT
from uncertain.decide.judge.measures.experiment import Cell
from uncertain.decide.judge.measures.rank_calibration import calibrate_cell
from uncertain.decide.judge.measures.rank_runs import RankSettings
from uncertain.decide.judge.records.calibration_record import CalibrationRecord

CHEATS = Path(__file__).parents[1] / "cheats.py"
LINEAR = "linear:arms=0:features=3"
LEVEL = 1e-4
pytestmark = pytest.mark.rate(LEVEL)

RIGHT = [
    ("exact", "finite", None, 0, 0),
    ("laplace", LINEAR, None, 0, 0),
    ("smc", LINEAR, 512, 2, 0),
    ("smc", "finite", 512, 2, 0),
    ("hmc", LINEAR, 32, 2, 20),
]
"""(posterior, world, S, k, settle). hmc: 15 of 32 chains that started apart, 20 transitions after
the last event, so that none is another's neighbour; smc: 15 of 512 weighed particles."""
WRONG = {
    "point": "too sure",
    f"{CHEATS}:overconfident": "too sure",
    f"{CHEATS}:half_variance": "too sure",
    f"{CHEATS}:same_noise": "too sure",
    f"{CHEATS}:same_key": None,
}
"""What its worst unknown is said to be; None where any shape will do."""


@cache
def judged(
    posterior: str, world: str, particles: int | None, k: int, settle: int, seed: int = 0
) -> CalibrationRecord:
    cell = Cell(
        world, world, posterior, "random", None, particles, k, 1, 0.0, 10, seed + SHIFT, 1024
    )
    return calibrate_cell(cell, RankSettings(settle=settle, level=LEVEL))


@pytest.mark.parametrize(("posterior", "world", "particles", "k", "settle"), RIGHT)
def test_right_backends_pass(
    posterior: str, world: str, particles: int | None, k: int, settle: int
) -> None:
    row = judged(posterior, world, particles, k, settle)
    assert row.calibrated, (row.p, row.shape)
    assert row.failures == 0
    for one in row.quantities:
        assert sum(one.counts) == 1024


@pytest.mark.parametrize("posterior", WRONG)
def test_wrong_backends_fail(posterior: str) -> None:
    k = 5 if posterior == "point" else 2 if posterior.endswith("same_key") else 0
    row = judged(posterior, LINEAR, None, k, 20 if posterior.endswith("same_key") else 0)
    assert not row.calibrated
    assert row.p < LEVEL / 100
    if WRONG[posterior]:
        assert row.unknown.shape == WRONG[posterior]


def test_only_the_log_likelihood_finds_a_belief_that_ignores_the_data() -> None:
    row = judged(f"{CHEATS}:returns_prior", LINEAR, None, 0, 0)
    assert row.unknown.p > LEVEL
    assert row.likelihood.p < LEVEL / 100
    assert row.likelihood.shape == "learns too little"
    assert not row.calibrated


def test_ranks_do_not_find_who_looks_at_the_truth_as_bayes_would() -> None:
    """What the ranks cannot see, gain promised against gain got does (test_gaming.py)."""
    row = judged(f"{CHEATS}:keyhole:runs=1024:seed={SHIFT}", LINEAR, None, 0, 0)
    assert row.calibrated, (row.p, row.shape)
