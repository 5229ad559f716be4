"""Batches: distinct actions, joint gains by brute force, propensities row by row.

See also: test_rules.py for single actions, tests/cli/live/test_batch.py for the lines they are
asked by.
"""

from itertools import combinations, product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import xlogy
from support import Z, run_once
from uncertain.decide.rules import batches
from uncertain.decide.rules.base import Candidates, Choice, arm_features
from uncertain.decide.rules.registry import RULES, build_batch, build_rule
from uncertain.posteriors.base import Draws, Gaussian
from uncertain.posteriors.models.causal_pair import CausalPair
from uncertain.posteriors.models.finite import Finite
from uncertain.posteriors.models.linear import Linear
from uncertain.posteriors.models.location import Location
from uncertain.posteriors.parts.draws import uniform_draws
from uncertain.posteriors.parts.unknowns import unknowns_of

KEY = jax.random.key(0)
ROUNDING = 2e-5
"""Nats, of sums of some hundred float32 terms."""

# Arms 0 and 1 ask the same question, 2 asks another and tells less.
TWINS = Finite(
    (
        ((0.98, 0.02), (0.98, 0.02), (0.8, 0.2)),
        ((0.98, 0.02), (0.98, 0.02), (0.2, 0.8)),
        ((0.02, 0.98), (0.02, 0.98), (0.8, 0.2)),
        ((0.02, 0.98), (0.02, 0.98), (0.2, 0.8)),
    )
)
WEIGHTS = np.array([0.3, 0.2, 0.2, 0.3])


def believed(weights: Any) -> Draws:
    logs = np.log(np.asarray(weights, np.float32))
    return Draws(np.arange(len(weights), dtype=np.int32)[:, None], logs)


def arms(count: int, valid: Any = None, cost: Any = None) -> Candidates:
    valid = np.ones(count, bool) if valid is None else np.asarray(valid)
    cost = np.ones(count) if cost is None else np.asarray(cost)
    features = run_once(lambda: arm_features(count, jnp.zeros(0)))
    return Candidates(features, valid, cost.astype(np.float32))


def chosen(
    rule: str, model: Any, count: int, belief: Any, offered: Candidates, explore: float = 0.0
) -> Choice:
    choose = build_batch(rule, model, count, explore)

    def once(belief: Any, offered: Candidates) -> Choice:
        return choose(KEY, belief, model, model.init_stats(), offered)

    return run_once(once, belief, offered)


def joint_gain(table: np.ndarray, weights: np.ndarray, picked: tuple[int, ...]) -> float:
    """Mutual information of the unknown and all answers to `picked`, over every outcome."""
    p = np.ones((len(weights), 1))
    for arm in picked:
        p = np.einsum("hi,hk->hik", p, table[:, arm]).reshape(len(weights), -1)
    mean = weights @ p
    return float(-xlogy(mean, mean).sum() + weights @ xlogy(p, p).sum(1))


def test_twins_are_not_asked_together() -> None:
    twins = believed(WEIGHTS), arms(3)
    choice = chosen("eig", TWINS, 2, *twins)
    first, second = np.asarray(choice.index).tolist()
    assert {first, second} in ({0, 2}, {1, 2})
    assert first in (0, 1)
    # Negative control: the two highest gains are the twins'.
    rule = build_rule("eig", TWINS)
    alone = run_once(lambda *given: rule(KEY, given[0], TWINS, (), given[1]), *twins)
    assert set(np.argsort(-np.asarray(alone.scores))[:2].tolist()) == {0, 1}


@pytest.mark.parametrize("count", [2, 3])
def test_gains_add_up_to_the_joint_gain(count: int) -> None:
    choice = chosen("eig", TWINS, count, believed(WEIGHTS), arms(3))
    picked = tuple(np.asarray(choice.index).tolist())
    assert len(set(picked)) == count
    gains = np.asarray(choice.scores)[np.arange(count), list(picked)]
    table = np.asarray(TWINS.table)
    assert gains.sum() == pytest.approx(joint_gain(table, WEIGHTS, picked), abs=ROUNDING)
    # Greedy is not always best; here it is.
    best = max(joint_gain(table, WEIGHTS, pair) for pair in combinations(range(3), count))
    assert gains.sum() == pytest.approx(best, abs=ROUNDING)


def test_sampled_answers_agree_with_enumerated_ones() -> None:
    past = jax.jit(batches._start_fantasies)(believed(WEIGHTS), ())
    action = np.zeros(1, np.float32)
    rule = build_rule("eig", TWINS)

    def scores(past: batches.Fantasies) -> jax.Array:
        return batches._mean_scores(KEY, rule, TWINS, past, arms(3))

    extended = jax.jit(lambda past: batches._extend(KEY, TWINS, past, action))(past)
    exact = run_once(scores, extended)
    assert len(extended.share) == 2
    many = jax.jit(jax.vmap(lambda key: scores(batches._sampled(key, TWINS, past, action))))(
        jax.random.split(KEY, 500)
    )
    values = np.asarray(many, float)
    error = values.std(0) / np.sqrt(len(values))
    assert np.all(np.abs(values.mean(0) - exact) < Z * error + ROUNDING)
    # Negative control: gains that forget what was answered.
    assert np.abs(run_once(scores, past) - exact)[0] > Z * error[0] + ROUNDING


def test_impossible_answers_leave_no_nan() -> None:
    sure = Finite((((1.0, 0.0), (0.5, 0.5)), ((1.0, 0.0), (0.2, 0.8))))
    choice = chosen("eig", sure, 2, believed([0.5, 0.5]), arms(2))
    assert np.asarray(choice.index).tolist() == [1, 0]
    assert np.isfinite(choice.scores).all()


def test_linear_batches_are_the_determinant() -> None:
    model = Linear(arms=0, features=3, noise=0.5)
    features = jnp.asarray(np.random.default_rng(0).normal(size=(6, 3)), jnp.float32)
    features = features.at[1].set(features[0])
    root = np.random.default_rng(1).normal(size=(3, 3))
    covariance = root @ root.T + 0.1 * np.eye(3)
    belief = Gaussian(jnp.ones(3), jnp.asarray(covariance, jnp.float32)[None])
    offered = Candidates(features, jnp.ones(6, bool), jnp.ones(6))
    choice = chosen("eig", model, 4, belief, offered)
    picked = np.asarray(choice.index)
    assert len(set(picked.tolist())) == 4
    x = np.asarray(features, float)[picked]
    exact = 0.5 * np.linalg.slogdet(np.eye(4) + x @ covariance @ x.T / 0.25)[1]
    gains = np.asarray(choice.scores)[np.arange(4), picked]
    assert gains.sum() == pytest.approx(exact, rel=1e-4)
    assert np.all(np.diff(gains) <= 0)


def test_scalar_answers_are_sampled() -> None:
    model = Location()
    draws = uniform_draws(unknowns_of(model).sample(KEY, 32))
    features = jnp.asarray([[0.0, 0.0], [0.0, 0.0], [1.0, -1.0]])
    offered = Candidates(features, jnp.ones(3, bool), jnp.ones(3))
    choice = chosen("eig", model, 3, draws, offered)
    picked = np.asarray(choice.index).tolist()
    scores = np.asarray(choice.scores)
    assert sorted(picked) == [0, 1, 2]
    assert np.isfinite(scores).all()
    # A place measured once tells clearly less the second time.
    again = max(picked.index(0), picked.index(1))
    assert scores[again, picked[again]] < 0.8 * scores[0, picked[again]]


def test_collapsed_models_imagine_what_was_counted() -> None:
    """Two looks at the same intervention: the second is predicted with the first one counted."""
    model = CausalPair()
    choice = chosen("eig", model, 5, believed(np.full(3, 1 / 3)), arms(5))
    picked = np.asarray(choice.index).tolist()
    assert sorted(picked) == [0, 1, 2, 3, 4]
    # By brute force over the first two answers.
    weights, stats = np.full(3, 1 / 3), model.init_stats()

    def predicted(stats: Any, arm: int) -> np.ndarray:
        action = jnp.asarray([float(arm)])
        return np.stack(
            [np.asarray(model.predict({"structure": h}, stats, action).probs) for h in range(3)]
        )

    joint = np.zeros((3, 4, 4))
    first = predicted(stats, picked[0])
    for y in range(4):
        seen = batches._seen(model, stats, jnp.asarray([float(picked[0])]), jnp.float32(y))
        joint[:, y] = first[:, y, None] * predicted(seen, picked[1])
    mean = np.einsum("h,hij->ij", weights, joint)
    exact = weights @ xlogy(joint, joint).sum((1, 2)) - xlogy(mean, mean).sum()
    gains = np.asarray(choice.scores)[np.arange(2), picked[:2]]
    assert gains.sum() == pytest.approx(exact, abs=ROUNDING)


def test_about_the_best_counts_those_already_taken() -> None:
    choice = chosen("eig:about=best", TWINS, 2, believed(WEIGHTS), arms(3))
    first, second = np.asarray(choice.index).tolist()
    table, pay = np.asarray(TWINS.table), np.asarray(TWINS.table)[:, :, 1]
    best = pay.argmax(1)
    total = 0.0
    for y, z in product(range(2), range(2)):
        p = table[:, first, y] * table[:, second, z]
        for arm in range(3):
            inside = WEIGHTS * (best == arm)
            if inside.sum():
                joint = inside @ p
                total += xlogy(joint, joint / (inside.sum() * (WEIGHTS @ p)))
    gains = np.asarray(choice.scores)[np.arange(2), [first, second]]
    assert gains.sum() == pytest.approx(total, abs=ROUNDING)


@pytest.mark.parametrize("rule", sorted(set(RULES) - {"policy"}))
def test_no_action_is_taken_twice(rule: str) -> None:
    valid = [True, True, False]
    choice = chosen(rule, TWINS, 2, believed(WEIGHTS), arms(3, valid))
    first, second = np.asarray(choice.index).tolist()
    assert {first, second} == {0, 1}
    propensity = np.asarray(choice.propensity)
    assert np.allclose(propensity.sum(1), 1, atol=1e-5)
    assert propensity[1, first] == 0
    assert np.all(propensity[:, 2] == 0)


def test_exploring_explores_every_row() -> None:
    choice = chosen("eig", TWINS, 2, believed(WEIGHTS), arms(3), explore=0.5)
    propensity = np.asarray(choice.propensity)
    first = int(choice.index[0])
    assert propensity[0].min() == pytest.approx(0.5 / 3, abs=1e-6)
    assert np.delete(propensity[1], first).min() >= 0.25 - 1e-6


def test_per_cost_divides_every_row() -> None:
    cost = [1.0, 1.0, 4.0]
    plain = chosen("eig", TWINS, 2, believed(WEIGHTS), arms(3, cost=cost))
    per_cost = chosen("eig:per_cost=true", TWINS, 2, believed(WEIGHTS), arms(3, cost=cost))
    assert np.allclose(per_cost.scores[0], np.asarray(plain.scores[0]) / cost, atol=1e-6)
    assert np.asarray(per_cost.index)[0] in (0, 1)
