"""Rules on known cases: ties, masks, NaN, propensities that are the frequencies they claim to be.

See also: test_information.py for the information they score with.
"""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from support import run_once
from uncertain.decide.rules.base import (
    Candidates,
    Choice,
    arm_features,
    choose_at_random,
    choose_best,
    with_exploration,
)
from uncertain.decide.rules.registry import RULES, build_rule
from uncertain.posteriors.base import Draws, Gaussian
from uncertain.posteriors.errors import UsageError
from uncertain.posteriors.models.finite import Finite
from uncertain.posteriors.models.linear import Linear
from uncertain.posteriors.models.location import Location

LEVEL = 1e-5
"""False-alarm rate of every frequency check."""
KEYS = jax.random.split(jax.random.key(0), 4000)

MODEL = Finite(
    (
        ((0.9, 0.1), (0.5, 0.5), (0.2, 0.8)),
        ((0.9, 0.1), (0.5, 0.5), (0.8, 0.2)),
        ((0.0, 1.0), (0.5, 0.5), (0.9, 0.1)),
    )
)
WEIGHTS = np.array([0.5, 0.3, 0.2])
PAY = np.asarray(MODEL.table)[:, :, 1]
DRAWS = Draws(jnp.arange(3, dtype=jnp.int32)[:, None], jnp.log(jnp.asarray(WEIGHTS, jnp.float32)))
ARMS = run_once(lambda: arm_features(3, jnp.zeros(0)))


def offered(valid: Any = (True, True, True), cost: Any = (1.0, 1.0, 1.0)) -> Candidates:
    return Candidates(ARMS, np.asarray(valid), np.asarray(cost, np.float32))


def chosen(rule: Any, candidates: Candidates, belief: Any = None, model: Any = None) -> Choice:
    """Return the choice of a rule under the first key."""
    belief, model = belief or DRAWS, model or MODEL

    def once(belief: Any, candidates: Candidates) -> Choice:
        return rule(KEYS[0], belief, model, (), candidates)

    return run_once(once, belief, candidates)


def frequent(indices: Any, propensity: np.ndarray) -> bool:
    """Whether choices came as often as their probabilities say (chi-square), never where 0."""
    counts = np.bincount(np.asarray(indices), minlength=len(propensity))
    possible = propensity > 0
    if counts[~possible].any():
        return False
    if possible.sum() == 1:
        return True
    expected = propensity[possible] / propensity[possible].sum() * counts.sum()
    return stats.chisquare(counts[possible], expected).pvalue > LEVEL


def choices(rule: Any, candidates: Candidates) -> tuple[np.ndarray, np.ndarray]:
    """Indices over all keys, and the propensity `[A]`, which must not depend on the key."""
    made = jax.jit(jax.vmap(lambda key: rule(key, DRAWS, MODEL, (), candidates)))(KEYS)
    propensity = np.asarray(made.propensity, float)
    assert np.ptp(propensity, axis=0).max() < 1e-6
    assert propensity[0].sum() == pytest.approx(1, abs=1e-5)
    return np.asarray(made.index), propensity[0]


def test_ties_are_broken_evenly() -> None:
    scores, valid = jnp.asarray([1.0, 2.0, 2.0, 0.0, 2.0, 2.0]), jnp.arange(6) != 4
    made = run_once(jax.vmap(lambda key: choose_best(key, scores, valid)), KEYS)
    share = np.array([0, 1, 1, 0, 0, 1]) / 3
    assert np.allclose(made.propensity[0], share)
    assert frequent(made.index, share)


def test_controls_are_not_even() -> None:
    share = np.array([0, 1, 1, 0, 0, 1]) / 3
    first = np.full(len(KEYS), 1)
    assert not frequent(first, share)
    leaning = np.random.default_rng(0).choice(6, len(KEYS), p=[0, 0.4, 0.3, 0, 0, 0.3])
    assert not frequent(leaning, share)
    masked = np.where(np.arange(len(KEYS)) == 7, 4, 1 + np.arange(len(KEYS)) % 2)
    assert not frequent(masked, np.array([0, 0.5, 0.5, 0, 0, 0]))


def test_masked_and_broken_candidates_never_win() -> None:
    scores = jnp.asarray([jnp.nan, 5.0, 1.0, jnp.inf, -3.0])
    valid = jnp.asarray([True, False, True, False, True])
    made = run_once(jax.vmap(lambda key: choose_best(key, scores, valid)), KEYS[:200])
    assert np.all(np.asarray(made.index) == 2)
    assert np.allclose(made.propensity[0], [0, 0, 1, 0, 0])


@pytest.mark.parametrize("bad", [np.nan, -np.inf])
def test_where_every_score_is_broken_any_valid_one_will_do(bad: float) -> None:
    valid = jnp.asarray([True, False, True, True])
    made = run_once(jax.vmap(lambda key: choose_best(key, jnp.full(4, bad), valid)), KEYS)
    assert frequent(made.index, np.array([1, 0, 1, 1]) / 3)
    assert np.allclose(made.propensity[0], np.array([1, 0, 1, 1]) / 3)


def test_draw_never_takes_what_has_no_probability() -> None:
    share = np.array([0.0, 0.7, 0.0, 0.3])
    draw = jax.vmap(lambda key: choose_at_random(key, jnp.float32(share), jnp.zeros(4)))
    made = run_once(draw, KEYS)
    assert frequent(made.index, share)


EVERY = [*sorted(set(RULES) - {"policy"}), "eig:about=best", "ids:about=all"]
"""Those that score arms; the rule of a trained policy is in test_policy.py."""


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("explore", [0.0, 0.3])
def test_propensities_are_frequencies(name: str, explore: float) -> None:
    valid = np.array([True, False, True])
    index, propensity = choices(build_rule(name, MODEL, explore), offered(valid))
    assert propensity[1] == 0
    assert np.all(propensity[valid] >= explore / 2 - 1e-6)
    assert frequent(index, propensity)


def test_exploring_mixes_in_the_uniform_choice() -> None:
    index, propensity = choices(with_exploration(build_rule("greedy", MODEL), 0.3), offered())
    greedy = int(np.argmax(WEIGHTS @ PAY))
    expected = 0.1 + 0.7 * np.eye(3)[greedy]
    assert np.allclose(propensity, expected, atol=1e-6)
    # A rule that says it explores and does not is found out.
    assert not frequent(np.full_like(index, greedy), propensity)


def test_thompson_follows_the_weight_of_what_is_best() -> None:
    # Best under each hypothesis: the third arm, the second, the first.
    _, propensity = choices(build_rule("thompson", MODEL), offered())
    assert list(np.argmax(PAY, axis=1)) == [2, 1, 0]
    assert np.allclose(propensity, WEIGHTS[::-1], atol=1e-6)


def test_greedy_and_ucb_on_a_known_case() -> None:
    mean = WEIGHTS @ PAY
    greedy = chosen(build_rule("greedy", MODEL), offered())
    assert np.allclose(greedy.scores, mean, atol=1e-6)
    assert greedy.index == np.argmax(mean)
    for width in (1.0, 3.0):
        ucb = chosen(build_rule(f"ucb:width={width}", MODEL), offered())
        expected = mean + width * np.sqrt(WEIGHTS @ np.square(PAY - mean))
        assert np.allclose(ucb.scores, expected, atol=1e-5)
        assert ucb.index == np.argmax(expected)


def test_ucb_prefers_the_arm_it_knows_less_about() -> None:
    model = Linear(arms=2, features=0)
    belief = Gaussian(jnp.asarray([0.1, 0.0]), jnp.asarray([[[0.01]], [[1.0]]]))
    candidates = Candidates(ARMS[:2], np.ones(2, bool), np.ones(2, np.float32))
    # 20 000 draws of sd 1 place a mean within 0.03 at 4.4 standard errors.
    for name, index in {"greedy": 0, "ucb": 1, "eig": 1}.items():
        setting = "" if name == "eig" else ":particles=20000"
        choice = chosen(build_rule(name + setting, model), candidates, belief, model)
        assert choice.index == index


def test_gain_per_cost() -> None:
    cost = (1.0, 1.0, 50.0)
    rule, divided = (build_rule(text, MODEL) for text in ("eig", "eig:per_cost=true"))
    plain, per_cost = (chosen(r, offered(cost=cost)) for r in (rule, divided))
    assert np.allclose(per_cost.scores, np.asarray(plain.scores) / cost, atol=1e-6)
    dear = offered(cost=np.where(np.arange(3) == int(plain.index), 50.0, 1.0))
    assert chosen(divided, dear).index != plain.index
    assert chosen(rule, dear).index == plain.index


@pytest.mark.parametrize("name", ["greedy", "ids", "thompson", "top-two", "ucb", "eig:about=best"])
def test_rules_that_need_a_reward_say_so(name: str) -> None:
    with pytest.raises(UsageError, match=rf"{name.partition(':')[0]}.*Location"):
        build_rule(name, Location())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gredy", "greedy"),
        ("ucb:widht=2", "width"),
        ("eig:about=nothing", "hypothesis"),
        ("eig:per_cost=maybe", "per_cost"),
    ],
)
def test_misspelt_rules_name_what_was_meant(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        build_rule(text, MODEL)


@pytest.mark.parametrize("explore", [-0.1, 1.5, float("nan")])
def test_explore_out_of_range(explore: float) -> None:
    with pytest.raises(UsageError, match="explore"):
        build_rule("greedy", replace(MODEL), explore)
