"""What people's choices were worth, on made-up problems whose sums can be done by hand.

See also: tests/streams/people/test_people.py for reading studies, test_clicks.py for clicks.
"""

import math

import numpy as np
import pytest
from uncertain.decide.judge.people.bandit_choices import ProblemWorth, value_problems
from uncertain.decide.judge.people.summaries import (
    gain_by_turn,
    mean_over_people,
    ratio_over_people,
    summary_rows,
)
from uncertain.decide.judge.records.people_record import StudyRun, TurnGain
from uncertain.decide.judge.records.record import Mean
from uncertain.posteriors.errors import UsageError
from uncertain.posteriors.models.noisy_or import interventions, outcomes
from uncertain.streams.formats.record import Where
from uncertain.streams.people.base import Problem, choice_record

WHERE = Where("made.csv", 2)
FLOAT32 = 5e-5
"""Rounding of a few float32 gains of order one."""
ARMS = "linear:arms=2:features=0:scale=2.0:noise=0.5"
GRAPHS = "noisy-or:nodes=2:spontaneous=0.1:power=0.8"


def problem(model: str, posterior: str, arms: list[int], seen: list[float], **rest) -> Problem:
    made = tuple(
        choice_record(str(i), WHERE, a, y) for i, (a, y) in enumerate(zip(arms, seen, strict=True))
    )
    return Problem("ann", "made", model, posterior, made, **rest)


def kalman(pulls: int) -> float:
    """Gain of one more pull of an arm that was pulled so often."""
    return 0.5 * math.log1p(1 / (0.5**2 / 2.0**2 + pulls))


def test_two_arms_are_worth_what_a_kalman_filter_says() -> None:
    made = problem(ARMS, "laplace", [0, 0, 1, 0], [1.0, 1.2, -3.0, 0.9], truth=(1.0, -3.0))
    (found,) = value_problems([made], ("eig", "random", "greedy"), 0)
    gains = [
        [kalman(0)] * 2,
        [kalman(1), kalman(0)],
        [kalman(2), kalman(0)],
        [kalman(2), kalman(1)],
    ]
    np.testing.assert_allclose(found.chosen, [gains[t][a] for t, a in enumerate([0, 0, 1, 0])],
                               atol=FLOAT32)  # fmt: skip
    np.testing.assert_allclose(found.best, np.max(gains, axis=1), atol=FLOAT32)
    np.testing.assert_allclose(found.random, np.mean(gains, axis=1), atol=FLOAT32)
    np.testing.assert_allclose(found.rules[0], found.best, atol=FLOAT32)
    np.testing.assert_allclose(found.rules[1], found.random, atol=FLOAT32)
    # After the third choice arm 0 is known to be the better one; before the first nobody knows.
    np.testing.assert_allclose(found.rules[2][3], gains[3][0], atol=FLOAT32)
    assert found.counted.all()


def test_a_rule_goes_its_own_way() -> None:
    made = problem(ARMS, "laplace", [0, 0, 0, 0], [1.0] * 4, truth=(1.0, -3.0))
    (found,) = value_problems([made], ("eig", "random"), 0)
    person = sum(kalman(n) for n in range(4))
    np.testing.assert_allclose(found.learnt[0], person, atol=FLOAT32)
    # Seeking information only, either arm is pulled twice.
    np.testing.assert_allclose(found.learnt[1], 2 * (kalman(0) + kalman(1)), atol=FLOAT32)
    np.testing.assert_allclose(found.regret[:2], [0, 2 * 4.0], atol=FLOAT32)
    np.testing.assert_allclose(found.uniform, 4 * 2.0, atol=FLOAT32)
    assert 0 <= found.regret[2] <= 16


def test_what_was_given_away_is_learnt_from_and_not_counted() -> None:
    made = problem(ARMS, "laplace", [0, 1], [1.0, -3.0], truth=(1.0, -3.0), opening=1)
    (found,) = value_problems([made], ("eig",), 0)
    assert found.counted.tolist() == [False, True]
    np.testing.assert_allclose(found.learnt, [kalman(0)] * 2, atol=FLOAT32)
    np.testing.assert_allclose(found.regret[:2], [4, 4], atol=FLOAT32)


def test_shorter_problems_are_padded_without_a_trace() -> None:
    long = problem(ARMS, "laplace", [0, 1, 0], [1.0, -3.0, 1.0], truth=(1.0, -3.0))
    short = problem(ARMS, "laplace", [0, 1], [1.0, -3.0], truth=(1.0, -3.0))
    both = value_problems([long, short], ("eig",), 0)
    assert both[1].counted.tolist() == [True, True, False]
    np.testing.assert_allclose(both[1].learnt[0], 2 * kalman(0), atol=FLOAT32)


def test_graphs_are_learnt_by_bayes_rule() -> None:
    """Two nodes, three graphs: node 1 is fixed on, node 2 comes on."""
    arm = interventions(2).tolist().index([1, 0])
    both = float(outcomes(2).tolist().index([1, 1]))
    (found,) = value_problems([problem(GRAPHS, "exact", [arm], [both])], ("eig", "random"), 0)
    likely = np.array([0.1, 0.1, 0.82])
    weights = likely / likely.sum()

    def spread(p: np.ndarray) -> np.ndarray:
        return -p * np.log(p) - (1 - p) * np.log(1 - p)

    # Fixing either node is worth the same before anything is known.
    gain = spread(likely.mean()) - spread(likely).mean()
    np.testing.assert_allclose(found.chosen[0], gain, atol=FLOAT32)
    np.testing.assert_allclose(found.learnt[0], math.log(3) + np.sum(weights * np.log(weights)),
                               atol=FLOAT32)  # fmt: skip
    assert found.best[0] >= found.chosen[0] - FLOAT32
    assert found.random[0] < found.best[0]
    np.testing.assert_array_equal(found.regret, 0)


def test_an_unknown_truth_is_drawn_from_what_was_seen() -> None:
    """After many tests that show 1 -> 2, rules that test anew are told the same."""
    first = interventions(2).tolist().index([1, 0])
    second = interventions(2).tolist().index([0, 1])
    on, alone = outcomes(2).tolist().index([1, 1]), outcomes(2).tolist().index([0, 1])
    many = problem(GRAPHS, "exact", [first, second] * 8, [float(on), float(alone)] * 8)
    (found,) = value_problems([many], ("eig",), 0)
    # Twice ln 3 is impossible, and so is less than half of it after sixteen tests of the best kind.
    assert 0.5 * math.log(3) < found.learnt[1] <= math.log(3) + FLOAT32


def test_a_problem_without_means_is_refused() -> None:
    with pytest.raises(UsageError, match="ann: 0 true means for 2 arms"):
        value_problems([problem(ARMS, "laplace", [0], [1.0])], ("eig",), 0)


def test_a_record_that_does_not_fit_is_named() -> None:
    with pytest.raises(UsageError, match=r"made\.csv:2: action"):
        value_problems([problem(ARMS, "laplace", [2], [1.0], truth=(0.0, 1.0))], ("eig",), 0)


def made_up(chosen: list[float], best: list[float]) -> ProblemWorth:
    n = len(chosen)
    half = np.array(best) / 2
    return ProblemWorth(
        np.array(chosen), np.array(best), half, np.ones(n, bool), np.stack([best, half]),
        np.array([sum(chosen), sum(best), sum(half)]), np.array([1.0, 0.0, 2.0]), np.array(2.0),
    )  # fmt: skip


RUN: StudyRun = {"study": "made up", "config": {}, "seed": 0, "versions": {}}


def test_sums_are_over_people() -> None:
    """One person with two choices weighs as much as one with a single choice."""
    watched_ = [made_up([1.0, 3.0], [2.0, 4.0]), made_up([5.0], [6.0])]
    people, first, second = summary_rows(
        RUN, ["ann", "bob"], ["g", "g"], watched_, ("eig", "random"), True
    )
    assert [row.who for row in (people, first, second)] == ["people", "eig", "random"]
    assert (people.people, people.choices, people.problems) == (2, 3, 2)
    assert people.gain == Mean(3.5, pytest.approx(1.5))
    assert people.best.mean == 4.5
    assert people.share.mean == pytest.approx(3.5 / 4.5)
    # Both fall short by one: residuals of the ratio are (2 - 7/9 3) / 4.5 and (5 - 7/9 6) / 4.5.
    assert people.share.se == pytest.approx((1 / 3) / 4.5)
    assert first.share.mean == 1
    assert first.regret.mean == 0
    assert people.regret.mean == pytest.approx(50)
    assert people.by_turn[0] == TurnGain(turn=1, choices=2, gain=3.0, best=4.0, random=2.0)


def test_what_nobody_says_is_none() -> None:
    assert mean_over_people(np.array([1.0, np.nan])) is None
    assert mean_over_people(np.array([2.0])) == Mean(2.0, 0.0)
    assert ratio_over_people(np.array([1.0]), np.array([0.0])) is None
    assert gain_by_turn([], 0) == []
    assert summary_rows(RUN, [], [], [], ("eig",), True) == []
