"""Scores of events before they are learnt, against closed forms and brute force."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from uncertain.decide.loop.core.predictive import joint_predictive_score, predictive_score
from uncertain.posteriors.base import Draws, Event, Gaussian
from uncertain.posteriors.models.linear import Linear
from uncertain.posteriors.models.logistic import Logistic
from uncertain.posteriors.models.number_game import NumberGame
from uncertain.posteriors.parts.unknowns import log_likelihood

KEY = jax.random.key(0)
LINEAR = Linear(arms=0, features=3, noise=0.7)
LOGISTIC = Logistic(arms=0, features=3)


def belief():
    root = np.random.default_rng(0).normal(size=(3, 3))
    return np.array([0.3, -1.0, 0.5]), root @ root.T + 0.2 * np.eye(3)


def gaussian():
    mean, covariance = belief()
    return Gaussian(jnp.asarray(mean, jnp.float32), jnp.asarray(covariance, jnp.float32)[None])


def events(n, observation=None):
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, n) if observation is None else observation
    return Event(
        jnp.asarray(rng.normal(size=(n, 3)), jnp.float32),
        jnp.asarray(y, jnp.float32),
        jnp.zeros(n),
        jnp.arange(n, dtype=jnp.int32),
        jnp.ones(n),
    )


def one(block):
    return jax.tree.map(lambda x: x[0], block)


def test_linear_log_loss_and_gain_are_exact():
    mean, covariance = belief()
    event = one(events(1, [2.0]))
    x = np.asarray(event.action, float)
    got = predictive_score(KEY, LINEAR, gaussian(), (), event)
    sd = np.sqrt(x @ covariance @ x + 0.49)
    assert got.log_prob == pytest.approx(stats.norm.logpdf(2.0, x @ mean, sd), rel=1e-4)
    # KL of the whole Gaussians after and before, by the textbook formula.
    after = np.linalg.inv(np.linalg.inv(covariance) + np.outer(x, x) / 0.49)
    moved = after @ x * (2.0 - x @ mean) / 0.49
    inverse = np.linalg.inv(covariance)
    kl = 0.5 * (
        np.trace(inverse @ after)
        + moved @ inverse @ moved
        - 3
        + np.linalg.slogdet(covariance)[1]
        - np.linalg.slogdet(after)[1]
    )
    assert got.gain == pytest.approx(kl, rel=1e-3)


def test_logistic_scores_are_those_of_many_draws():
    mean, covariance = belief()
    block = events(10)
    draws = np.random.default_rng(2).multivariate_normal(mean, covariance, 400_000)
    logits = draws @ np.asarray(block.action, float).T
    logs = -np.logaddexp(0, np.where(np.asarray(block.observation) == 1, -logits, logits))
    weights = np.exp(logs[:, 0])
    log_prob = np.log(weights.mean())
    gain = (weights * logs[:, 0]).sum() / weights.sum() - log_prob
    got = predictive_score(KEY, LOGISTIC, gaussian(), (), one(block))
    # 400 000 draws of probabilities leave errors below 1e-3; 4.4 of them, and float32.
    assert got.log_prob == pytest.approx(log_prob, abs=5e-3)
    assert got.gain == pytest.approx(gain, abs=5e-3)
    likely = float(np.mean(1 / (1 + np.exp(-logits[:, 0]))) > 0.5)
    assert got.correct == (likely == block.observation[0])

    exact = np.log(np.exp(logs.sum(1)).mean())
    keys = jax.random.split(KEY, 200)
    many = jax.jit(
        jax.vmap(lambda k: joint_predictive_score(k, LOGISTIC, gaussian(), (), block).coming)
    )
    joint = many(keys)
    # Estimated by few draws each time; their average likelihood is unbiased.
    values = np.exp(np.asarray(joint, float))
    error = values.std() / np.sqrt(len(values)) / values.mean()
    assert np.log(values.mean()) == pytest.approx(exact, abs=4.4 * error + 5e-3)


def test_linear_joint_is_the_multivariate_normal():
    mean, covariance = belief()
    block = events(4, [0.1, -1.0, 2.0, 0.5])
    x = np.asarray(block.action, float)
    expected = stats.multivariate_normal.logpdf(
        np.asarray(block.observation), x @ mean, x @ covariance @ x.T + 0.49 * np.eye(4)
    )
    got = joint_predictive_score(KEY, LINEAR, gaussian(), (), block)
    assert got.coming == pytest.approx(expected, rel=1e-4)


def test_one_guess_learns_nothing_and_joins_nothing():
    draws = Draws(jnp.ones((1, 3)), jnp.zeros(1))
    block = events(10)
    got = jax.vmap(lambda e: predictive_score(KEY, LOGISTIC, draws, (), e))(block)
    assert np.all(np.asarray(got.gain) == 0)
    joint = joint_predictive_score(KEY, LOGISTIC, draws, (), block)
    assert joint.coming == pytest.approx(float(got.log_prob.sum()), rel=1e-5)


def test_weighted_hypotheses_gain_is_the_divergence_of_their_weights():
    model = NumberGame()
    logs = jnp.asarray(model.log_weights(), jnp.float32)
    draws = Draws(jnp.arange(logs.shape[0], dtype=jnp.int32)[:, None], logs)
    event = one(events(1, [1.0]))._replace(action=jnp.asarray([15.0]))
    like = jax.vmap(lambda u: log_likelihood(model, u, (), event.action, event.observation))(
        draws.values
    )
    after = np.asarray(logs + like, float)
    after -= np.logaddexp.reduce(after)
    expected = np.sum(np.exp(after) * (after - np.asarray(logs, float)))
    got = predictive_score(KEY, model, draws, (), event)
    assert got.gain == pytest.approx(expected, rel=1e-4)
