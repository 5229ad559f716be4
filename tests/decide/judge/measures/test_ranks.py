"""Ranks, the verdicts on them, and which draws are ranked among.

See also: tests/statistical/test_calibration.py for backends, tests/cli/jobs/test_calibrate.py
for the command.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from support import Z
from uncertain.decide.judge.measures import rank_runs
from uncertain.decide.judge.measures.experiment import Cell
from uncertain.decide.judge.measures.rank_calibration import build_calibration_record, judge_ranks
from uncertain.decide.judge.measures.rank_runs import (
    LIKELIHOOD,
    Ranks,
    RankSettings,
    check_rank_settings,
    rank_truth,
    ranked_quantities,
    take_draws,
)
from uncertain.decide.judge.records.calibration_record import CalibrationRecord
from uncertain.posteriors.base import Draws
from uncertain.posteriors.errors import UsageError
from uncertain.posteriors.registry import build_model

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)


def test_one_draw_cannot_be_too_wide() -> None:
    """Ranks of 0 and 1 are equally far from the middle: no spread, and no number divided by it."""
    with np.errstate(all="raise"):
        made = judge_ranks(np.random.default_rng(1).integers(0, 2, 400), 1, 2)
        assert made.wide == 0.0
        assert abs(made.off) < 4.5
        # Negative control: the truth always above its draw.
        assert judge_ranks(np.ones(400, int), 1, 2).off > 4.5


def test_rank_is_the_number_below() -> None:
    draws = jnp.asarray([[1.0, 5.0], [2.0, 6.0], [3.0, 7.0]])
    assert rank_truth(KEY, jnp.asarray([2.5, 8.0]), draws).tolist() == [2, 3]
    assert rank_truth(KEY, jnp.asarray([0.0, 5.5]), draws).tolist() == [0, 1]


def test_ties_fall_on_every_place_alike() -> None:
    draws = jnp.asarray([[1.0], [2.0], [2.0], [2.0], [3.0]])
    many = jax.vmap(lambda k: rank_truth(k, jnp.asarray([2.0]), draws)[0])
    found = np.bincount(np.asarray(many(jax.random.split(KEY, 4000))), minlength=6)
    assert found[0] == found[5] == 0
    # 1 is below; three ties make four places. A false alarm in 1e-5.
    assert np.abs(found[1:5] - 1000).max() < Z * np.sqrt(4000 * 0.25 * 0.75)


def test_no_number_is_below_everything() -> None:
    draws = jnp.asarray([[jnp.nan], [-jnp.inf], [0.0]])
    assert rank_truth(KEY, jnp.asarray([1.0]), draws).tolist() == [3]
    assert int(rank_truth(KEY, jnp.asarray([jnp.nan]), draws)[0]) in (0, 1, 2)


def test_p_is_pearsons() -> None:
    ranks = RNG.integers(0, 32, 640)
    made = judge_ranks(ranks, 31, 16)
    assert made.counts.tolist() == np.bincount(ranks // 2, minlength=16).tolist()
    assert made.p == pytest.approx(stats.chisquare(made.counts).pvalue, rel=1e-6)


def test_even_ranks_are_called_uneven_as_often_as_the_level_says() -> None:
    p = np.asarray([judge_ranks(RNG.integers(0, 16, 512), 15, 16).p for _ in range(4000)])
    for level in (0.05, 0.01):
        assert abs((p < level).mean() - level) < Z * np.sqrt(level / 4000) + 0.1 * level


@pytest.mark.parametrize(
    ("truth", "draws", "shape", "of_likelihood"),
    [
        ((0, 1.4), (0, 1), "too sure", "too sure"),
        ((0, 1), (0, 1.4), "too unsure", "too unsure"),
        ((0, 1), (0.5, 1), "draws too high", "fits too closely"),
        ((0.5, 1), (0, 1), "draws too low", "learns too little"),
        ((0, 1), (0, 1), "", ""),
    ],
)
def test_shapes_have_names(truth, draws, shape: str, of_likelihood: str) -> None:
    own = RNG.normal(*truth, size=(2000, 1))
    ranks = (RNG.normal(*draws, size=(2000, 15)) < own).sum(1)
    made = judge_ranks(ranks, 15, 16)
    assert made.shape() == shape
    assert made.shape(likelihood=True) == of_likelihood
    assert (made.p < 1e-4) == bool(shape)


def test_equal_draws_are_taken_once_each() -> None:
    values = jnp.arange(20.0)[:, None]
    even = Draws(values, jnp.full(20, -np.log(20.0)))
    assert len(np.unique(take_draws(KEY, even, 20, True))) == 20
    # Negative control: with replacement some come twice.
    assert len(np.unique(take_draws(KEY, even, 20, False))) < 20


def test_weighed_draws_are_taken_by_weight() -> None:
    weights = jnp.asarray([0.7, 0.2, 0.1, 0.0])
    draws = Draws(jnp.arange(4.0)[:, None], jnp.log(weights))
    take = jax.jit(jax.vmap(lambda k: take_draws(k, draws, 3, True)))
    many = take(jax.random.split(KEY, 2000))
    found = np.bincount(np.asarray(many, int).ravel(), minlength=4) / 6000
    error = np.sqrt(np.asarray(weights) * (1 - np.asarray(weights)) / 6000)
    assert np.all(np.abs(found - weights) <= Z * error)


def test_names_of_what_is_ranked() -> None:
    names, chosen = ranked_quantities(build_model("linear:arms=0:features=2"))
    assert names == ("weights[0]", "weights[1]", LIKELIHOOD)
    assert chosen.tolist() == [0, 1]
    assert ranked_quantities(build_model("finite"))[0] == ("hypothesis", LIKELIHOOD)
    names, chosen = ranked_quantities(build_model("mlp"))
    assert len(names) == rank_runs.MOST + 1 == len(chosen) + 1


CELL = Cell("finite", "finite", "exact", "random", None, None, 0, 1, 0.0, 4, 0, 160)


def made(likelihood: np.ndarray, ties: float = 0.0) -> CalibrationRecord:
    ranks = np.stack([np.arange(160) % 16, likelihood], axis=1)
    found = Ranks(("u", LIKELIHOOD), ranks, ties, 0)
    return build_calibration_record(CELL, found, RankSettings(), 0.0)


def test_verdict_counts_every_quantity_and_ties() -> None:
    fine = made(np.arange(160) % 16)
    assert fine.calibrated
    assert fine.p == 1
    low = made(np.zeros(160, int))
    assert not low.calibrated
    assert low.unknown.p == pytest.approx(1)
    assert low.shape == "fits too closely"
    # Copies of the truth rank evenly, because ties are broken at random.
    copies = made(np.arange(160) % 16, ties=1.0)
    assert not copies.calibrated
    assert copies.shape == "draws equal the truth"
    # Bonferroni: the least p times the number of quantities.
    some = np.where(np.arange(160) < 22, 3, np.arange(160) % 16)
    row = made(some)
    assert row.p == pytest.approx(2 * row.likelihood.p)


@pytest.mark.parametrize(
    ("asked", "runs", "says"),
    [
        (RankSettings(draws=15, bins=10), 1000, "do not divide the 16 ranks"),
        (RankSettings(), 79, "16 bins need 80 at least"),
        (RankSettings(level=0.0), 1000, "must lie between 0 and 1"),
    ],
)
def test_bins_that_do_not_fit_are_refused(asked: RankSettings, runs: int, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        check_rank_settings(asked, runs)
