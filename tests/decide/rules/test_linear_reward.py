"""Rewards of a linear-Gaussian model drawn by their A predictions, against the D unknowns'."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import Z
from uncertain.decide.rules.base import arm_features, as_draws
from uncertain.decide.rules.rewards import expected_reward, linear_reward
from uncertain.posteriors.base import Gaussian
from uncertain.posteriors.models.linear import Linear

COUNT = 40_000
MODEL = Linear(arms=3, features=2)


def belief() -> Gaussian:
    roots = np.random.default_rng(0).normal(size=(3, 3, 3))
    covariance = jnp.asarray(roots @ roots.transpose(0, 2, 1) + 0.1 * np.eye(3), jnp.float32)
    return Gaussian(jnp.arange(9.0) / 9, covariance)


@pytest.mark.parametrize("seed", [0, 1])
def test_mean_and_covariance(seed: int) -> None:
    features = arm_features(3, jnp.asarray([1.0, -2.0]))
    key = jax.random.key(seed)
    drawn = np.asarray(linear_reward(key, MODEL, belief(), features, COUNT))
    x = np.asarray(jax.vmap(MODEL.linear)(features)[0])
    mean = x @ np.asarray(belief().mean)
    full = np.zeros((9, 9))
    for i, part in enumerate(np.asarray(belief().covariance)):
        full[3 * i : 3 * i + 3, 3 * i : 3 * i + 3] = part
    spread = x @ full @ x.T
    sd = np.sqrt(np.diag(spread))
    assert np.all(np.abs(drawn.mean(1) - mean) < Z * sd / np.sqrt(COUNT))
    # A sample covariance of normals has variance (s_ii s_jj + s_ij^2) / n.
    error = np.sqrt((np.outer(sd, sd) ** 2 + spread**2) / COUNT)
    assert np.all(np.abs(np.cov(drawn) - spread) < Z * error)


def test_the_unknowns_say_the_same() -> None:
    features = arm_features(3, jnp.asarray([1.0, -2.0]))
    key = jax.random.key(2)
    few = np.asarray(linear_reward(key, MODEL, belief(), features, COUNT))
    draws = as_draws(key, belief(), COUNT)
    many = np.asarray(expected_reward(key, MODEL, draws, (), features))
    error = np.sqrt((few.var(1) + many.var(1)) / COUNT)
    assert np.all(np.abs(few.mean(1) - many.mean(1)) < Z * error)
