"""ids and top-two on beliefs small enough for brute force, and what they do with nothing to learn.

See also: test_rules.py for propensities as frequencies.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.special import xlogy
from support import run_once
from uncertain.decide.rules.base import Candidates, Choice, arm_features
from uncertain.decide.rules.ids_top_two import ids_propensity, runner_up_propensity
from uncertain.decide.rules.registry import build_rule
from uncertain.posteriors.base import Draws, Gaussian
from uncertain.posteriors.errors import UsageError
from uncertain.posteriors.models.finite import Finite
from uncertain.posteriors.models.linear import Linear

KEY = jax.random.key(0)
ROUNDING = 1e-4
"""Relative, of ratios of float32 differences."""
find, find_runner_up = jax.jit(ids_propensity), jax.jit(runner_up_propensity)


def ratio(regret: np.ndarray, gain: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Regret^2 / gain `[N]` of distributions `[N, A]`."""
    return np.square(shares @ regret) / (shares @ gain)


@pytest.mark.parametrize("seed", range(5))
def test_no_distribution_has_a_smaller_ratio(seed: int) -> None:
    rng = np.random.default_rng(seed)
    regret, gain = rng.uniform(0.1, 2, 4), rng.exponential(0.3, 4)
    got, possible = find(jnp.asarray(regret, jnp.float32), jnp.asarray(gain, jnp.float32))
    share = np.asarray(got, float)
    assert possible
    assert share.sum() == pytest.approx(1, abs=1e-5)
    assert (share > 0).sum() <= 2
    least = ratio(regret, gain, share[None])[0]
    others = rng.dirichlet(np.full(4, 0.4), 100_000)
    assert np.all(ratio(regret, gain, others) >= least * (1 - ROUNDING))
    # Negative control: the best pure action is beaten by some mixture on some of these.
    if (share > 0).sum() == 2:
        assert ratio(regret, gain, np.eye(4)).min() > least * (1 + ROUNDING)


def test_the_closed_form_of_a_pair() -> None:
    # p = r_b / (r_a - r_b) - 2 g_b / (g_a - g_b), by hand: 1/3 - 2/9.
    share, _ = find(jnp.asarray([4.0, 1.0]), jnp.asarray([1.0, 0.1]))
    assert np.allclose(share, [1 / 9, 8 / 9], atol=1e-5)
    # Cheap enough for what it tells: nothing is mixed in.
    share, _ = find(jnp.asarray([1.0, 1.0]), jnp.asarray([0.5, 0.4]))
    assert np.allclose(share, [1, 0])


@pytest.mark.parametrize(
    ("regret", "gain", "expected"),
    [
        ([0.0, 1.0, 2.0], [0.0, 1.0, 3.0], [1, 0, 0]),  # what is surely best is taken
        ([0.0, 0.0, 2.0], [0.0, 0.1, 3.0], [0.5, 0.5, 0]),
        ([1.0, 2.0, 1.0], [0.5, 0.1, 0.5], [0.5, 0, 0.5]),  # ties are even
        ([1.0, np.nan, 2.0], [0.5, 9.0, 0.5], [1, 0, 0]),
        ([1.0, 1.0, 2.0], [np.nan, 0.1, 0.1], [0, 1, 0]),
        ([1e-25, 2e-25, 3e-25], [0.5, 0.1, 0.1], [1, 0, 0]),  # squares would be 0
    ],
)
def test_edges(regret: list[float], gain: list[float], expected: list[float]) -> None:
    share, possible = find(jnp.asarray(regret), jnp.asarray(gain))
    assert possible
    assert np.allclose(share, expected, atol=1e-6)


def test_mixtures_that_tie_are_equally_likely() -> None:
    share, _ = find(jnp.asarray([4.0, 1.0, 4.0]), jnp.asarray([1.0, 0.1, 1.0]))
    assert np.allclose(share, [1 / 18, 8 / 9, 1 / 18], atol=1e-5)


def test_without_gain_there_is_no_ratio() -> None:
    assert not find(jnp.asarray([1.0, 2.0]), jnp.asarray([0.0, 1e-8]))[1]


# A lamp: either of two arms is a little better, the third pays nothing and shows which.
LAMP = Finite(
    (
        ((0.4, 0.6, 0.0), (0.5, 0.5, 0.0), (1.0, 0.0, 0.0)),
        ((0.5, 0.5, 0.0), (0.4, 0.6, 0.0), (0.0, 0.0, 1.0)),
    ),
    rewards=(0.0, 1.0, 0.0),
)
WEIGHTS = np.array([0.6, 0.4])


def believed(weights: Any) -> Draws:
    with np.errstate(divide="ignore"):  # of a draw without weight
        logs = np.log(np.asarray(weights, np.float32))
    return Draws(np.arange(len(weights), dtype=np.int32)[:, None], logs)


def arms(count: int, valid: Any = None) -> Candidates:
    valid = np.ones(count, bool) if valid is None else np.asarray(valid)
    features = run_once(lambda: arm_features(count, jnp.zeros(0)))
    return Candidates(features, valid, np.ones(count, np.float32))


def chosen(rule: str, model: Any, belief: Any, offered: Candidates) -> Choice:
    choose = build_rule(rule, model)
    return run_once(
        lambda belief, offered: choose(KEY, belief, model, (), offered), belief, offered
    )


@pytest.mark.parametrize("about", ["best", "all"])
def test_ids_looks_at_the_lamp(about: str) -> None:
    choice = chosen(f"ids:about={about}", LAMP, believed(WEIGHTS), arms(3))
    table = np.asarray(LAMP.table)
    pay = table[:, :, 1]
    regret = WEIGHTS @ (pay.max(1, keepdims=True) - pay)
    mean = np.einsum("h,hak->ak", WEIGHTS, table)
    gain = np.einsum("h,hak->a", WEIGHTS, xlogy(table, table)) - xlogy(mean, mean).sum(1)
    # Which of two hypotheses is true and which of two arms is best are the same question.
    assert np.allclose(choice.scores, gain, atol=1e-5)
    grid = np.linspace(0, 1, 100_001)[:, None]
    pairs = [(a, b) for a in range(3) for b in range(3)]
    mixed = [ratio(regret, gain, grid * np.eye(3)[a] + (1 - grid) * np.eye(3)[b]) for a, b in pairs]
    a, b = pairs[int(np.argmin([m.min() for m in mixed]))]
    share = grid[np.argmin(mixed[pairs.index((a, b))]), 0]
    expected = share * np.eye(3)[a] + (1 - share) * np.eye(3)[b]
    assert np.allclose(choice.propensity, expected, atol=1e-3)
    assert choice.propensity[2] > 0
    # Negative control: thompson never pays for the lamp.
    assert chosen("thompson", LAMP, believed(WEIGHTS), arms(3)).propensity[2] == 0


def test_masked_actions_are_neither_taken_nor_missed() -> None:
    choice = chosen("ids", LAMP, believed(WEIGHTS), arms(3, [True, False, True]))
    # The first arm and the lamp: the first is best whatever holds, so nothing else is worth it.
    assert np.allclose(choice.propensity, [1, 0, 0])


@pytest.mark.parametrize("rule", ["ids", "ids:about=all", "top-two"])
def test_one_guess_is_obeyed(rule: str) -> None:
    choice = chosen(rule, LAMP, believed([1.0]), arms(3))
    assert np.allclose(choice.propensity, [1, 0, 0])


def test_one_normal_guess_is_obeyed_and_its_ties_are_even() -> None:
    """The gain of a scalar outcome is a quadrature: rounding is not information."""
    model = Linear(arms=3, features=0)
    draws = Draws(jnp.asarray([[0.5, 0.2, 0.5]]), jnp.zeros(1))
    choice = chosen("ids", model, draws, arms(3))
    assert np.allclose(choice.propensity, [0.5, 0, 0.5])


def test_ids_reads_a_gaussian() -> None:
    model = Linear(arms=2, features=0)
    known, unknown = [[0.0001]], [[1.0]]
    belief = Gaussian(jnp.asarray([0.2, 0.0]), jnp.asarray([known, unknown]))
    for about in ("best", "all"):
        choice = chosen(f"ids:about={about}:particles=2000", model, belief, arms(2))
        # The known arm tells nothing and the other costs little, so it is mostly asked.
        assert choice.propensity[1] > 0.5
        assert choice.propensity.sum() == pytest.approx(1, abs=1e-5)


# Top-two.

WINS = np.array([0.5, 0.3, 0.0, 0.2])


def played(wins: np.ndarray, beta: float, count: int) -> np.ndarray:
    """How often each action is played by the procedure as Russo (2016) words it."""
    rng = np.random.default_rng(0)
    taken = np.zeros(len(wins))
    for _ in range(count):
        first = other = rng.choice(len(wins), p=wins)
        if rng.uniform() >= beta:
            while other == first:
                other = rng.choice(len(wins), p=wins)
        taken[other] += 1
    return taken


def test_top_two_is_the_procedure() -> None:
    belief, model = believed(WINS), best_in_turn(4)
    for beta in (0.5, 0.2):
        expected = np.asarray(chosen(f"top-two:beta={beta}", model, belief, arms(4)).propensity)
        assert expected[2] == 0
        counts, at = played(WINS, beta, 4000), WINS > 0
        share = expected[at] / expected[at].sum()
        assert stats.chisquare(counts[at], share * counts.sum()).pvalue > 1e-5
        # Negative control: thompson's own probabilities are told apart from these.
        assert stats.chisquare(counts[at], WINS[at] * counts.sum()).pvalue < 1e-5


def best_in_turn(count: int) -> Finite:
    """Hypothesis h makes arm h the best."""
    table = np.full((count, count, 2), 0.5)
    table[np.arange(count), np.arange(count)] = (0.1, 0.9)
    return Finite(tuple(tuple(tuple(row) for row in arm) for arm in table.tolist()))


def test_runner_up_by_hand() -> None:
    expected = [
        0.3 * 0.5 / 0.7 + 0.2 * 0.5 / 0.8,
        0.5 * 0.3 / 0.5 + 0.2 * 0.3 / 0.8,
        0.0,
        0.5 * 0.2 / 0.5 + 0.3 * 0.2 / 0.7,
    ]
    assert np.allclose(find_runner_up(jnp.asarray(WINS, jnp.float32)), expected, atol=1e-6)


@pytest.mark.parametrize("sure", [1.0, 0.99999994])
def test_who_always_wins_is_taken(sure: float) -> None:
    assert np.allclose(find_runner_up(jnp.asarray([0.0, sure, 0.0])), [0, 1, 0], atol=1e-6)


def test_all_of_beta_is_thompson() -> None:
    belief, model = believed(WINS), best_in_turn(4)
    choice = chosen("top-two:beta=1.0", model, belief, arms(4))
    assert np.allclose(choice.propensity, WINS, atol=1e-6)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ids:about=hypothesis", "all, best"),
        ("top-two:beta=1.5", "beta"),
        ("top-too", "top-two"),
    ],
)
def test_wrong_options_are_named(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        build_rule(text, LAMP)
