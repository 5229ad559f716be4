"""Fisher information against the mean of the outer product of scores, for each kind of outcome.

The mean is a sum over outcomes, or Gauss-Hermite quadrature: no sampling error to allow for.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import actions
from toys import Coin, Counts, Scales, Urns
from uncertain.posteriors.base import Event, Model, provides
from uncertain.posteriors.parts.curvature import curvature_of
from uncertain.posteriors.parts.outcomes import Finite, is_count, outcome_kind
from uncertain.posteriors.parts.unknowns import log_likelihood, unknowns_of
from uncertain.posteriors.registry import build_model

NODES = 24
FARTHEST = 8
"""Counts are summed this many standard deviations beyond their mean, and as many more."""
QUADRATURE = 2e-4
"""Relative rounding of float32 scores squared and summed."""

MODELS = {
    "linear": build_model("linear:arms=2:features=1"),
    "location": build_model("location"),
    "normal with unknown spread": Scales(),
    "two outcomes": build_model("logistic:arms=2:features=1"),
    "two outcomes, unit interval": Coin(),
    "three outcomes": Urns(),
    "discounting": build_model("discounting"),
    "binomial": build_model("binomial:arms=2:features=1"),
    "poisson": build_model("poisson:arms=0:features=2:intercept=true"),
    "death-process": build_model("death-process"),
}


def outcomes(model: Model, u, action) -> tuple[np.ndarray, np.ndarray]:
    """Values and probabilities whose weighted sums are means over the outcome."""
    kind = outcome_kind(model)
    if isinstance(kind, Finite):
        return kind.array, chances_of(model, u, action, kind.array)
    mean, variance = map(float, moments(model, u, action))
    if is_count(model):
        values = np.arange(int(mean + FARTHEST * np.sqrt(variance)) + FARTHEST)
        return values, chances_of(model, u, action, values)
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    return mean + np.sqrt(variance) * nodes, weights / weights.sum()


def predicted(model: Model, u, action):
    return model.predict(unknowns_of(model).constrain(u), model.init_stats(), action)


@partial(jax.jit, static_argnums=0)
def moments(model: Model, u, action):
    """Mean and variance of the outcome."""
    d = predicted(model, u, action)
    return d.mean, d.variance


def chances_of(model: Model, u, action, values) -> np.ndarray:
    """Probabilities of outcomes that are whole numbers."""
    logs = jax.jit(lambda u, values: jax.vmap(predicted(model, u, action).log_prob)(values))
    return np.exp(np.asarray(logs(u, values.astype(np.int32)), float))


def point(model: Model, seed: int):
    """Unknowns and an action at which to compare."""
    sample = jax.jit(unknowns_of(model).sample, static_argnums=1)
    u = 0.5 * sample(jax.random.key(seed), 1)[0]
    if provides(model, "focus"):  # elsewhere an answer may be certain, and tell nothing
        params = unknowns_of(model).constrain(u)
        return u, jnp.asarray(model.focus(jax.random.key(seed), params))
    return u, jnp.asarray(actions(model, np.random.default_rng(seed), 1)[0])


@partial(jax.jit, static_argnums=0)
def drawn(model: Model, key, u, action):
    """An outcome."""
    return predicted(model, u, action).sample(key)


def event(action, y) -> Event:
    return Event(action, jnp.float32(y), jnp.zeros(()), jnp.int32(0), jnp.ones(()))


@pytest.mark.parametrize("name", MODELS)
def test_rows_are_the_expected_outer_product(name: str) -> None:
    model = MODELS[name]
    curvature = jax.jit(curvature_of(model))
    u, action = point(model, 3)
    values, chances = outcomes(model, u, action)
    scores = np.stack([np.asarray(curvature(u, (), event(action, y))[0], float) for y in values])
    expected = (scores * chances[:, None]).T @ scores
    rows = np.asarray(curvature(u, (), event(action, values[0]))[1], float)
    tolerance = QUADRATURE * np.abs(expected).max()
    np.testing.assert_allclose(rows.T @ rows, expected, atol=tolerance)
    assert np.abs(expected).max() > 0
    # The score has mean zero, and a wrong one would show.
    mean = chances @ scores
    assert np.abs(mean).max() < QUADRATURE * np.abs(scores).max()
    # Negative control: information at other values of the unknowns, where they matter to it.
    if not provides(model, "linear"):
        far = np.asarray(curvature(u + 1.0, (), event(action, values[0]))[1], float)
        assert np.abs(far.T @ far - expected).max() > tolerance


@pytest.mark.parametrize("name", MODELS)
def test_score_is_the_gradient(name: str) -> None:
    model = MODELS[name]
    u, action = point(model, 4)
    y = outcomes(model, u, action)[0][0]
    score, _ = jax.jit(curvature_of(model))(u, (), event(action, y))
    slope = jax.jit(jax.grad(lambda v: log_likelihood(model, v, (), action, jnp.float32(y))))
    gradient = slope(u)
    np.testing.assert_allclose(score, gradient, rtol=1e-4, atol=1e-5)


def test_unbounded_counts_use_the_score_itself() -> None:
    model = Counts()
    u, action = point(model, 5)
    score, rows = jax.jit(curvature_of(model))(u, (), event(action, 2.0))
    np.testing.assert_array_equal(rows, score[None, :])
    # Negative control: a count of which more is known has information of its own.
    known = MODELS["poisson"]
    u, action = point(known, 5)
    score, rows = jax.jit(curvature_of(known))(u, (), event(action, 7.0))
    assert np.abs(rows - score[None, :]).max() > QUADRATURE


def test_a_certain_count_has_finite_information() -> None:
    for name, value, y in (("binomial", 200.0, 10.0), ("poisson", -200.0, 0.0)):
        model = build_model(f"{name}:arms=1:features=0")
        u = jnp.full(1, value)
        score, rows = jax.jit(curvature_of(model))(u, (), event(jnp.zeros(1), y))
        assert np.isfinite(score).all()
        assert np.isfinite(rows).all()
        assert np.abs(rows).max() < QUADRATURE


@pytest.mark.parametrize("name", [n for n in MODELS if unknowns_of(MODELS[n]).size > 1])
def test_a_part_of_the_coordinates_has_its_columns_of_the_whole(name) -> None:
    model = MODELS[name]
    u, action = point(model, 0)
    value = jnp.asarray(drawn(model, jax.random.key(1), u, action), jnp.result_type(float))
    event = Event(action, value, jnp.zeros(()), jnp.zeros((), jnp.int32), jnp.ones(()))
    part = slice(1, u.size)
    whole = jax.jit(curvature_of(model))(u, model.init_stats(), event)
    found = jax.jit(curvature_of(model, part))(u, model.init_stats(), event)
    for one, two in zip(whole, found, strict=True):
        np.testing.assert_allclose(one[..., part], two, rtol=1e-5, atol=1e-6)
