"""Intervals of differences and ratios cover what they should, and miss when they should.

See also: cli/jobs/compare.py for the results that are compared.
"""

import numpy as np
import pytest
from support import Z
from uncertain.decide.judge.measures.paired import (
    LEVEL,
    paired_change,
    quantile_ratio,
    unpaired_change,
)
from uncertain.decide.judge.records.record import Mean

TRIALS = 2000


def off(covered: int, trials: int = TRIALS) -> float:
    """Standard errors between the share covered and the level of the intervals."""
    return abs(covered / trials - LEVEL) / np.sqrt(LEVEL * (1 - LEVEL) / trials)


def test_paired_intervals_cover_the_true_difference() -> None:
    """Runs vary by 3 nats, what was changed by 0.5: pairing is what makes the interval short."""
    draws = np.random.default_rng(0)
    covered, widths, wrong = 0, [], 0
    for _ in range(TRIALS):
        before = draws.normal(5, 3, 8)
        after = before + draws.normal(-1, 0.5, 8)
        found = paired_change(before, after)
        assert found.low is not None
        assert found.high is not None
        covered += found.low < -1 < found.high
        wrong += found.low < -1.5 < found.high
        widths.append(found.high - found.low)
    assert off(covered) < Z
    # Negative control: the same intervals do not cover another difference as often.
    assert off(wrong) > Z
    assert np.mean(widths) < 1


def test_unpaired_intervals_cover_the_true_difference() -> None:
    draws = np.random.default_rng(1)
    covered, wrong = 0, 0
    for _ in range(TRIALS):
        sides = [Mean(mean=draws.normal(mean, se), se=se) for mean, se in ((5.0, 0.3), (4.0, 0.4))]
        found = unpaired_change(*sides)
        assert found.low is not None
        assert found.high is not None
        covered += found.low < -1 < found.high
        wrong += found.low < 0 < found.high
    assert off(covered) < Z
    assert off(wrong) > Z


def test_the_bootstrap_of_a_ratio_narrows_with_runs_not_events() -> None:
    """Runs that differ as wholes: more events of the same runs tell hardly more."""
    draws = np.random.default_rng(2)

    def width(runs: int, events: int) -> float:
        pace = draws.lognormal(0, 0.3, (2, runs, 1))
        times = 1e-3 * pace * draws.lognormal(0, 0.05, (2, runs, events))
        found = quantile_ratio(times[0], 2 * times[1], 0.5)
        assert found.low is not None
        assert found.high is not None
        return found.high / found.low

    few, many = (np.mean([width(runs, 40) for _ in range(12)]) for runs in (8, 64))
    longer = np.mean([width(8, 320) for _ in range(12)])
    assert many - 1 < (few - 1) / 2
    assert longer - 1 > (few - 1) / 2


def test_what_is_known_exactly() -> None:
    times = np.arange(1.0, 13.0).reshape(3, 4)
    ratio = quantile_ratio(times, 3 * times, 0.5)
    assert (ratio.before, ratio.after, ratio.value) == pytest.approx((6.5, 19.5, 3))
    # One run says nothing of how runs differ.
    assert quantile_ratio(times[:1], times[:1], 0.5).low is None
    assert paired_change([1.0], [2.0]).low is None
    assert paired_change([1.0], [2.0]).value == 1
    assert unpaired_change(Mean(mean=1.0, se=0.0), Mean(mean=3.0, se=0.0)).low is None
