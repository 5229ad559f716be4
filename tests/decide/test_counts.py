"""Counts in the loop: expected rewards against exact sums, foresight against many draws.

Not here: the models' own formulas (tests/posteriors/test_models.py).
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats
from support import Z
from toys import Counts
from uncertain.decide.loop.foresight import foresee
from uncertain.decide.loop.noise import QUICK
from uncertain.decide.rules.information import expected_gain, expected_reward
from uncertain.posteriors.base import Draws, Event, Gaussian
from uncertain.posteriors.models.binomial import Binomial
from uncertain.posteriors.models.poisson import Poisson
from uncertain.posteriors.unknowns import uniform_draws

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
    return np.asarray(expected_reward(KEY, model, draws, (), ARM), float)[0]


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


@pytest.mark.parametrize("model", [Poisson(arms=1, features=0), Counts()])
@pytest.mark.parametrize("kind", [QUICK, "rbg", "threefry2x32"], ids=["quick", "rbg", "threefry"])
def test_gain_of_a_count_under_every_kind_of_key(model: Any, kind: Any) -> None:
    """Live decisions and the judge have keys of their own, which JAX draws no Poisson from."""
    draws = uniform_draws(jnp.asarray([[-1.0], [0.5]]))
    actions = jnp.zeros((1, model.actions.size))
    gain = expected_gain(jax.random.key(1, impl=kind), model, draws, (), actions)
    assert 0.01 < gain[0] < np.log(2)


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
    got = foresee(KEY, model, belief, (), event)

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
    assert abs(foresee(KEY, model, sure, (), event).log_prob - log_prob) > 2e-2
