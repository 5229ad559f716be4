"""Counts in the loop: gains and rewards against exact sums, foresight against many draws.

See also: tests/posteriors/models/test_models.py for the models' own formulas.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats
from scipy.special import xlogy
from support import Z
from toys import Counts
from uncertain.decide.loop.core.predictive import predictive_score
from uncertain.decide.loop.core.threefry import QUICK
from uncertain.decide.rules.information import expected_gain
from uncertain.decide.rules.rewards import expected_reward
from uncertain.posteriors.base import Draws, Event, Gaussian, dist
from uncertain.posteriors.models.binomial import Binomial
from uncertain.posteriors.models.poisson import Poisson
from uncertain.posteriors.parts.draws import uniform_draws
from uncertain.posteriors.parts.outcomes import sample_outcome

KEY = jax.random.key(0)
ARM = jnp.zeros((1, 1))
LOG_RATES = np.linspace(-3, 7, 21)


@dataclass(frozen=True)
class Sold(Poisson):
    """At most `stock` can be sold of what is asked for."""

    arms: int = 1
    features: int = 0
    stock: float = 20.0

    def reward(self, action: Any, observation: Any) -> Any:
        return jnp.minimum(observation, self.stock)


def paid(model: Any) -> np.ndarray:
    """Expected reward of one arm under each of `LOG_RATES`."""
    draws = uniform_draws(jnp.asarray(LOG_RATES, jnp.float32)[:, None])
    rewards = jax.jit(lambda draws: expected_reward(KEY, model, draws, (), ARM))
    return np.asarray(rewards(draws), float)[0]


def test_expected_count_is_the_rate() -> None:
    # float32's rounding of counts of a thousand and of their log probabilities.
    np.testing.assert_allclose(paid(Poisson(arms=1, features=0)), np.exp(LOG_RATES), rtol=2e-4)


def test_a_reward_with_a_kink_is_the_sum_over_counts() -> None:
    counts = np.arange(3000)
    chances = stats.poisson(np.exp(LOG_RATES)[:, None]).pmf(counts)
    exact = chances @ np.minimum(counts, 20.0)
    # Beyond 32 counts every second or third is summed, the kink between two of them.
    np.testing.assert_allclose(paid(Sold()), exact, rtol=2e-3)
    # Negative control: the reward of the mean is not the mean reward.
    assert np.abs(np.minimum(np.exp(LOG_RATES), 20.0) / exact - 1).max() > 2e-2


def test_expected_count_of_trials() -> None:
    expected = 10 * special.expit(LOG_RATES)
    np.testing.assert_allclose(paid(Binomial(arms=1, features=0)), expected, rtol=2e-4)


def information(rates: np.ndarray, weights: np.ndarray) -> float:
    """Mutual information of which rate holds and a Poisson count, nats, over every count."""
    top = rates.max()
    p = stats.poisson(rates[:, None]).pmf(np.arange(int(top + 12 * np.sqrt(top)) + 20))
    mean = weights @ p
    return float(-xlogy(mean, mean).sum() + weights @ xlogy(p, p).sum(1))


@jax.jit
def gain_of(draws: Draws, groups: Any) -> jax.Array:
    return expected_gain(KEY, Poisson(arms=1, features=0), draws, (), ARM, groups)[0]


def gained(rates: np.ndarray, weights: np.ndarray, groups: Any = None) -> float:
    """The same by cells, among so many draws of no weight that one program serves all."""
    padded = np.zeros(64), np.zeros(64)
    for array, values in zip(padded, (np.log(rates), weights), strict=True):
        array[: len(values)] = values
    values, shares = (jnp.asarray(x, jnp.float32) for x in padded)
    return float(gain_of(Draws(values[:, None], jnp.log(shares)), groups))


RATES = {
    "few": [0.01, 0.02],
    "some": [1, 2, 4],
    "near": [3, 3.1],
    "apart": [0.1, 3, 50],
    "many": [20, 22, 25, 30],
    "large": [900, 1000, 1100],
    "drawn": np.random.default_rng(0).lognormal(2, 0.7, 60),
}


@pytest.mark.parametrize("rates", RATES.values(), ids=RATES)
def test_gain_of_a_count_is_the_sum_over_counts(rates: Any) -> None:
    rates = np.asarray(rates, float)
    weights = np.random.default_rng(1).dirichlet(np.ones(len(rates)))
    exact = information(rates, weights)
    # Cells of several counts lose a thousandth, float32 the rest.
    assert gained(rates, weights) == pytest.approx(exact, rel=2e-3, abs=1e-4)


def test_rates_far_apart_leave_a_lower_bound() -> None:
    rates, weights = np.random.default_rng(0).lognormal(4, 2, 50), np.full(50, 0.02)
    got, exact = gained(rates, weights), information(rates, weights)
    assert 0.5 * exact < got < exact
    # Rates that no count confuses tell everything, however wide their cells.
    assert gained(np.array([1.0, 1e4]), np.full(2, 0.5)) == pytest.approx(np.log(2), abs=1e-3)


def test_gain_about_a_group_of_rates() -> None:
    rates, weights = np.array([1.0, 2.0, 8.0, 9.0]), np.array([0.1, 0.4, 0.3, 0.2])
    groups = jnp.zeros((64, 2)).at[:2, 0].set(1.0).at[2:4, 1].set(1.0)
    p = stats.poisson(rates[:, None]).pmf(np.arange(60))
    parts = np.stack([weights[:2] @ p[:2] / 0.5, weights[2:] @ p[2:] / 0.5])
    mean = weights @ p
    exact = -xlogy(mean, mean).sum() + 0.5 * xlogy(parts, parts).sum()
    assert gained(rates, weights, groups) == pytest.approx(exact, abs=1e-4)


@pytest.mark.parametrize("kind", [QUICK, "rbg"], ids=["quick", "rbg"])
def test_counts_under_every_kind_of_key(kind: Any) -> None:
    """Live decisions and the judge have keys of their own, which JAX draws no Poisson from."""
    keys = jax.random.split(jax.random.key(1, impl=kind), 500)
    law = dist.Poisson(jnp.float32(3.0))
    counts = jax.jit(jax.vmap(lambda key: sample_outcome(key, law)))(keys)
    assert abs(np.mean(np.asarray(counts)) - 3) < Z * np.sqrt(3 / 500)
    draws = uniform_draws(jnp.asarray([[-1.0], [0.5]]))
    gain = jax.jit(lambda key: expected_gain(key, Counts(), draws, (), ARM))(keys[0])
    assert 0 <= gain[0] < np.log(2)


@pytest.mark.parametrize(
    ("model", "y"),
    [(Binomial(arms=0, features=3), 7.0), (Poisson(arms=0, features=3), 4.0)],
    ids=["binomial", "poisson"],
)
def test_a_gaussian_belief_foresees_counts(model: Any, y: float) -> None:
    root = np.random.default_rng(0).normal(size=(3, 3))
    mean, covariance = np.array([0.3, -0.2, 0.5]), 0.2 * root @ root.T + 0.1 * np.eye(3)
    action = np.array([0.5, -1.0, 0.8])
    belief = Gaussian(jnp.asarray(mean, jnp.float32), jnp.asarray(covariance, jnp.float32)[None])
    one = jnp.ones(())
    event = Event(jnp.asarray(action, jnp.float32), jnp.float32(y), one, jnp.int32(0), one)
    score = jax.jit(lambda belief: predictive_score(KEY, model, belief, (), event))
    got = score(belief)

    draws = np.random.default_rng(1).multivariate_normal(mean, covariance, 400_000) @ action
    if isinstance(model, Binomial):
        logs = stats.binom(10, special.expit(draws)).logpmf(y)
    else:
        logs = stats.poisson(np.exp(draws)).logpmf(y)
    chances = np.exp(logs)
    error = chances.std() / chances.mean() / np.sqrt(len(chances))
    log_prob = np.log(chances.mean())
    gain = chances @ (logs - log_prob) / chances.sum()
    # Two logarithms of means; 5e-4 beside sampling for float32 and quadrature.
    assert got.log_prob == pytest.approx(log_prob, abs=Z * error + 5e-4)
    assert got.gain == pytest.approx(gain, abs=2 * Z * error + 5e-4)
    # Negative control: a belief known better foresees something else.
    sure = Draws(jnp.asarray(mean, jnp.float32)[None], jnp.zeros(1))
    assert abs(score(sure).log_prob - log_prob) > 2e-2
