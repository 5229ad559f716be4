"""Expected information gain: what must always hold, closed forms, and brute force.

See also: test_rules.py for choices, tests/decide/judge/test_judge.py for total gain.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp, xlogy
from support import Z
from uncertain.decide.rules import information
from uncertain.decide.rules.base import Candidates, arm_features, as_draws
from uncertain.decide.rules.registry import build_rule
from uncertain.posteriors.base import Arms, Draws, Gaussian, Model, Vector, dist
from uncertain.posteriors.models.finite import Finite
from uncertain.posteriors.models.linear import Linear
from uncertain.posteriors.models.location import Location
from uncertain.posteriors.parts.unknowns import unknowns_of

KEY = jax.random.key(0)
expected_gain = jax.jit(information.expected_gain, static_argnums=1)
linear_gain = jax.jit(information.linear_gain, static_argnums=0)
ROUNDING = 1e-5
"""Nats that single precision may lose on sums of a few dozen terms."""


def table(hypotheses: int, arms: int, outcomes: int, seed: int = 0) -> np.ndarray:
    """Probabilities `[H, A, K]`; some are exactly 0, and one arm tells nothing."""
    p = np.random.default_rng(seed).dirichlet(np.full(outcomes, 0.5), (hypotheses, arms))
    p[0, 0] = np.eye(outcomes)[0]
    p[1, 0] = np.eye(outcomes)[1]
    p[:, -1] = p[0, -1]
    return p


TABLE = table(6, 4, 3)
MODEL = Finite(tuple(tuple(tuple(row) for row in arm) for arm in TABLE.tolist()))
ARMS = arm_features(4, jnp.zeros(0))


def hypotheses(weights: np.ndarray) -> Draws:
    return Draws(
        jnp.arange(len(weights), dtype=jnp.int32)[:, None],
        jnp.log(jnp.asarray(weights, jnp.float32)),
    )


def divergence(p: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mutual information `[A]` as the mean divergence from the mean, for `p [H, A, K]`."""
    mean = np.einsum("h,hak->ak", weights, p)
    return np.einsum("h,hak->a", weights, xlogy(p, p) - xlogy(p, mean))


def sound(gain: Callable[[np.ndarray], np.ndarray]) -> bool:
    """Whether a gain `[A]` of weights `[H]` keeps to every law of the finite case."""
    for seed in range(10):
        w = np.random.default_rng(seed).dirichlet(np.full(len(TABLE), 0.7))
        if seed == 0:
            w = np.eye(len(TABLE))[2]
        found = gain(w)
        bounds = np.log(TABLE.shape[2]), -xlogy(w, w).sum()
        if not (np.all(found >= 0) and np.all(found <= min(bounds) + ROUNDING)):
            return False
        if not np.allclose(found, divergence(TABLE, w), atol=ROUNDING):
            return False
    return True


def entropies(p: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Entropy of the mean and mean of the entropies, `[A]` each."""
    overall = -xlogy(m := np.einsum("h,hak->ak", w, p), m).sum(-1)
    return overall, -np.einsum("h,ha->a", w, xlogy(p, p).sum(-1))


def test_finite_outcomes_keep_every_law() -> None:
    assert sound(lambda w: np.asarray(expected_gain(KEY, MODEL, hypotheses(w), (), ARMS)))


def test_controls_break_them() -> None:
    def swapped(w: np.ndarray) -> np.ndarray:
        overall, single = entropies(TABLE, w)
        return np.maximum(single - overall, 0)

    def unnormalised(w: np.ndarray) -> np.ndarray:
        draws = hypotheses(w)
        draws = draws._replace(log_weights=draws.log_weights + np.log(1.1))
        return np.asarray(expected_gain(KEY, MODEL, draws, (), ARMS))

    def unweighted(w: np.ndarray) -> np.ndarray:
        return np.asarray(expected_gain(KEY, MODEL, hypotheses(np.full(6, 1 / 6)), (), ARMS))

    assert not sound(swapped)
    assert not sound(unnormalised)
    assert not sound(unweighted)


@dataclass(frozen=True)
class Pair(Model):
    """Two answers at once: an outcome that is sampled, though four values are all it has."""

    actions = Vector(1)

    def prior(self) -> dict[str, Any]:
        return {"slope": dist.Normal(0.0, 2.0)}

    def predict(self, params: Any, stats: Any, action: Any) -> Any:
        shift = params["slope"] * action[0] + jnp.asarray([0.0, 1.0])
        return dist.Bernoulli(logits=shift).to_event(1)


@dataclass(frozen=True)
class Skewed(Model):
    """A scalar outcome that is not normal."""

    actions = Vector(1)

    def prior(self) -> dict[str, Any]:
        return {"place": dist.Normal(0.0, 2.0)}

    def predict(self, params: Any, stats: Any, action: Any) -> Any:
        return dist.Gumbel(params["place"] * action[0], 0.7)


CONTINUOUS = {"normal": Location(), "not normal": Skewed(), "sampled": Pair()}


def cloud(model: Model, count: int, seed: int = 0) -> Draws:
    """Draws of the prior with unequal weights."""
    weights = np.random.default_rng(seed).dirichlet(np.ones(count))
    sample = jax.jit(unknowns_of(model).sample, static_argnums=1)
    values = sample(jax.random.key(seed), count)
    return Draws(values, jnp.log(jnp.asarray(weights, jnp.float32)))


def designs(model: Model) -> jax.Array:
    return jnp.asarray(np.random.default_rng(1).normal(size=(3, model.actions.size)), jnp.float32)


@pytest.mark.parametrize("model", CONTINUOUS.values(), ids=CONTINUOUS)
def test_equal_draws_have_nothing_to_learn(model: Model) -> None:
    draws = cloud(model, 7)
    same = draws._replace(values=jnp.tile(draws.values[:1], (7, 1)))
    gain = np.asarray(expected_gain(KEY, model, same, (), designs(model)))
    # The grid ends 4.5 standard deviations out, where 7e-6 of a normal is left, more of others.
    assert np.all(gain >= 0)
    assert np.all(gain < 1e-4)


@pytest.mark.parametrize("model", CONTINUOUS.values(), ids=CONTINUOUS)
def test_order_of_draws_does_not_matter(model: Model) -> None:
    draws = cloud(model, 7)
    if isinstance(model, Pair):
        # The outcomes sampled depend on the order; their average does not.
        keys = jax.random.split(KEY, 400)

        def many(d: Draws) -> np.ndarray:
            run = jax.jit(jax.vmap(lambda k: expected_gain(k, model, d, (), designs(model))))
            return np.asarray(run(keys), float)

        one, two = many(draws), many(jax.tree.map(lambda x: x[::-1], draws))
        error = np.sqrt((one.var(0) + two.var(0)) / len(keys))
        assert np.all(np.abs(one.mean(0) - two.mean(0)) < Z * error)
        return
    one = expected_gain(KEY, model, draws, (), designs(model))
    two = expected_gain(KEY, model, jax.tree.map(lambda x: x[::-1], draws), (), designs(model))
    assert np.allclose(one, two, atol=ROUNDING)


def test_quadrature_is_the_linear_closed_form() -> None:
    model = Linear(arms=0, features=2, noise=0.5)
    root = np.array([[1.0, 0.0], [-0.6, 0.4]])
    belief = Gaussian(jnp.asarray([0.3, -1.0]), jnp.asarray(root @ root.T, jnp.float32)[None])
    x = jnp.asarray([[1.0, 0.0], [0.5, 1.5], [0.01, 0.0]])
    exact = 0.5 * np.log1p(np.square(np.asarray(x) @ root).sum(1) / 0.25)
    assert np.allclose(linear_gain(model, belief, x), exact, atol=ROUNDING)

    def once(key: jax.Array) -> jax.Array:
        return expected_gain(key, model, as_draws(key, belief, 2000), (), x)

    found = np.asarray(jax.jit(lambda keys: jax.lax.map(once, keys))(jax.random.split(KEY, 20)))
    error = found.std(0) / np.sqrt(len(found))
    assert np.all(np.abs(found.mean(0) - exact) < 0.01 + Z * error)
    # Evenly spread quantiles in place of random draws leave no sampling error.
    line = Linear(arms=0, features=1, noise=0.5)
    even = stats.norm.ppf((np.arange(2000) + 0.5) / 2000)
    draws = Draws(jnp.asarray(even[:, None], jnp.float32), jnp.full(2000, -np.log(2000.0)))
    gain = expected_gain(KEY, line, draws, (), jnp.ones((1, 1)))
    assert float(gain[0]) == pytest.approx(0.5 * np.log(5), abs=0.01)


def test_linear_gain_adds_up_over_blocks() -> None:
    model = Linear(arms=3, features=2, noise=0.7)
    roots = np.random.default_rng(0).normal(size=(3, 3, 3))
    blocks = roots @ roots.transpose(0, 2, 1)
    features = arm_features(3, jnp.asarray([1.0, -2.0]))
    x = np.asarray(jax.vmap(model.linear)(features)[0], float)
    full = np.zeros((9, 9))
    for i, part in enumerate(blocks):
        full[3 * i : 3 * i + 3, 3 * i : 3 * i + 3] = part
    expected = [
        0.5 * np.linalg.slogdet(np.eye(1) + row[None] @ full @ row[:, None] / 0.49)[1] for row in x
    ]
    belief = Gaussian(jnp.zeros(9), jnp.asarray(blocks, jnp.float32))
    assert np.allclose(linear_gain(model, belief, features), expected, rtol=1e-4)


def dense_gain(model: Model, draws: Draws, action: jax.Array, nodes: int, reach: float) -> float:
    """Mutual information by a very fine sum in double precision."""
    unknowns = unknowns_of(model)
    predict = jax.jit(lambda u: model.predict(unknowns.constrain(u), (), action))
    ds = [predict(u) for u in draws.values]
    if isinstance(model, Skewed):
        laws = [stats.gumbel_r(float(d.loc), float(d.scale)) for d in ds]
    else:
        laws = [stats.norm(float(d.mean), float(jnp.sqrt(d.variance))) for d in ds]
    y = np.linspace(
        min(law.mean() - reach * law.std() for law in laws),
        max(law.mean() + reach * law.std() for law in laws),
        nodes,
    )
    weights = np.exp(np.asarray(draws.log_weights, float))
    logs = np.stack([law.logpdf(y) for law in laws])
    overall = logsumexp(logs, axis=0, b=weights[:, None])
    terms = np.exp(logs) * (logs - overall)
    return float((weights @ terms).sum() * (y[1] - y[0]))


@pytest.mark.parametrize(("model", "close"), [(Location(), 5e-4), (Skewed(), 5e-3)])
def test_quadrature_is_a_dense_sum(model: Model, close: float) -> None:
    draws = cloud(model, 30)
    found = np.asarray(expected_gain(KEY, model, draws, (), designs(model)))
    expected = [dense_gain(model, draws, a, 20_001, 14.0) for a in designs(model)]
    # Beyond 4.5 standard deviations the grid sees nothing; a Gumbel has more there.
    assert np.allclose(found, expected, atol=close)


@pytest.mark.parametrize("noise", [1e-1, 1e-2, 1e-4])
def test_little_noise_leaves_a_lower_bound(noise: float) -> None:
    model = Location(noise=noise)
    draws = cloud(model, 16)
    found = np.asarray(expected_gain(KEY, model, draws, (), designs(model)))
    assert np.all(np.isfinite(found))
    assert np.all(found > 0)
    assert np.all(found <= np.log(16))
    if noise >= 1e-2:
        expected = [dense_gain(model, draws, a, 100_001, 8.0) for a in designs(model)]
        assert np.all(found <= np.asarray(expected) + 5e-4)


def groups_of(model: Model, count: int) -> jax.Array:
    which = np.random.default_rng(3).integers(0, 3, count)
    return jnp.asarray(np.eye(3)[which], jnp.float32)


def pair_table(draws: Draws, actions: jax.Array) -> np.ndarray:
    """`[S, A, 4]` probabilities of both answers."""
    slope = np.asarray(draws.values, float)[:, :1]
    shift = slope * np.asarray(actions, float)[:, 0]
    one, two = 1 / (1 + np.exp(-shift)), 1 / (1 + np.exp(-shift - 1))
    both = [(1 - one) * (1 - two), (1 - one) * two, one * (1 - two), one * two]
    return np.stack(both, -1)


@pytest.mark.parametrize("grouped", [False, True])
def test_nested_monte_carlo_is_enumeration(grouped: bool) -> None:
    model = Pair()
    draws = cloud(model, 12)
    groups = groups_of(model, 12) if grouped else None
    keys = jax.random.split(KEY, 400)
    many = jax.jit(
        jax.vmap(lambda k: expected_gain(k, model, draws, (), 2 * designs(model), groups))
    )
    found = np.asarray(many(keys), float)
    weights = np.exp(np.asarray(draws.log_weights, float))
    p = pair_table(draws, 2 * designs(model))
    if groups is not None:
        joint = weights[:, None] * np.asarray(groups, float)
        p = np.einsum("hg,hak->gak", joint / joint.sum(0), p)
        weights = joint.sum(0)
    expected = divergence(p, weights)
    error = found.std(0) / np.sqrt(len(found))
    assert np.all(expected > 10 * error)
    # A mean of 64 outcomes is clipped at 0; where gains are this large that never happens.
    assert np.all(np.abs(found.mean(0) - expected) < Z * error)


@pytest.mark.parametrize("model", [MODEL, Location(), Skewed()])
def test_a_question_about_a_part_gains_no_more(model: Model) -> None:
    finite = isinstance(model, Finite)
    draws = hypotheses(np.array([0.3, 0.2, 0.1, 0.2, 0.1, 0.1])) if finite else cloud(model, 9)
    actions = ARMS if finite else designs(model)
    count = draws.values.shape[0]

    def gain(groups: Any = None) -> np.ndarray:
        return np.asarray(expected_gain(KEY, model, draws, (), actions, groups))

    full = gain()
    part = gain(groups_of(model, count))
    assert np.all(part >= 0)
    assert np.all(part <= full + 1e-4)
    assert np.allclose(gain(jnp.eye(count)), full, atol=1e-4)
    assert np.all(gain(jnp.ones((count, 1))) < 1e-4)


def scores(rule: str, model: Model, draws: Draws, features: jax.Array) -> np.ndarray:
    count = features.shape[0]
    offered = Candidates(features, jnp.ones(count, bool), jnp.ones(count))
    chosen = jax.jit(build_rule(rule, model), static_argnums=2)
    return np.asarray(chosen(KEY, draws, model, model.init_stats(), offered).scores)


def test_the_rule_about_the_best_or_a_part_scores_no_more() -> None:
    draws = hypotheses(np.array([0.3, 0.2, 0.1, 0.2, 0.1, 0.1]))
    full = scores("eig", MODEL, draws, ARMS)
    best = scores("eig:about=best", MODEL, draws, ARMS)
    assert np.all(best <= full + ROUNDING)
    assert best.max() > 0
    assert np.allclose(scores("eig:about=hypothesis", MODEL, draws, ARMS), full, atol=ROUNDING)


@dataclass(frozen=True)
class Bits(Model):
    """Two coins; action 0 shows the first, action 1 the second, action 2 whether they differ."""

    actions = Arms(3)

    def prior(self) -> dict[str, Any]:
        fair = dist.CategoricalProbs(jnp.asarray([0.5, 0.5]))
        return {"first": fair, "second": fair}

    def predict(self, params: Any, stats: Any, action: Any) -> Any:
        one, two = params["first"], params["second"]
        shown = jnp.stack([one, two, jnp.abs(one - two)])[action[0].astype(jnp.int32)]
        return dist.Bernoulli(probs=shown.astype(jnp.float32))


def test_the_rule_about_one_of_two_unknowns() -> None:
    model = Bits()
    draws = Draws(jnp.asarray([[0, 0], [0, 1], [1, 0], [1, 1]]), jnp.full(4, -np.log(4.0)))
    arms = arm_features(3, jnp.zeros(0))
    bit = np.log(2)
    assert np.allclose(scores("eig", model, draws, arms), [bit, bit, bit], atol=ROUNDING)
    first = scores("eig:about=first", model, draws, arms)
    assert np.allclose(first, [bit, 0, 0], atol=ROUNDING)
