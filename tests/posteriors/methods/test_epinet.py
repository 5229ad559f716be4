"""epinet against the closed forms that it has in a linear regression, and against point at index 0.

See also: tests/posteriors/test_contract.py for the contract.
"""

import jax
import numpy as np
import pytest
from fitting import events_of, fit, values_of
from support import Z, compiled, simulate
from uncertain.posteriors.errors import UsageError
from uncertain.posteriors.models.linear import Linear
from uncertain.posteriors.registry import build_model, build_posterior

LINEAR = Linear(arms=0, features=3, noise=0.5, scale=1.5)
MLP = build_model("mlp:hidden=(4,)")
SIZES = [0.1, 0.01, 0.001, 0.0001]
rng = np.random.default_rng(1)
X = rng.normal(size=(12, 3))
Y = X @ np.array([1.0, -2.0, 0.5]) + 0.5 * rng.normal(size=12)
GRAM = X.T @ X / LINEAR.noise**2
PRECISION = GRAM + np.eye(3) / LINEAR.scale**2


@pytest.mark.parametrize("text", ["epinet:prior_scale=2", "epinet:perturb=1"])
def test_shifts_are_the_closed_form(text: str) -> None:
    """Each shift minimises its own ridge regression, perturbed by the signs of the events."""
    posterior = build_posterior(text, LINEAR)
    state = fit(posterior, events_of(X, Y), SIZES, 2000)
    perturb, scale = float(state.perturb), float(state.prior_scale)
    mean = np.linalg.solve(PRECISION, X.T @ Y / LINEAR.noise**2)
    assert np.allclose(state.estimate.params, mean, atol=0.01)
    directions = scale * np.asarray(state.directions, float)
    expected = np.linalg.solve(PRECISION, directions / LINEAR.scale**2)
    if perturb:
        signs = np.asarray(state.signs, float)[: len(Y)]
        assert np.allclose((signs**2).sum(1), 1, rtol=1e-5)
        scores = X * ((Y - X @ mean) / LINEAR.noise**2)[:, None]
        expected += np.linalg.solve(PRECISION, scores.T @ signs)
    found = np.asarray(state.learnt, float) + directions
    # The climb ends within a few of its smallest steps of 1e-4 x 1.5, under Adam's noise.
    assert np.abs(found - expected).max() < 0.01
    # Negative control: shifts left where they started.
    assert np.abs(directions - expected).max() > 0.1


def test_with_perturbed_events_the_covariance_is_the_posterior() -> None:
    n, width, count = 400, 200, 4000
    many = np.random.default_rng(2).normal(size=(n, 3))
    y = many @ np.ones(3) + LINEAR.noise * np.random.default_rng(3).normal(size=n)
    exact = np.linalg.inv(many.T @ many / LINEAR.noise**2 + np.eye(3) / LINEAR.scale**2)

    def ratios(perturb: int) -> np.ndarray:
        """Variances of the draws in directions where the exact ones are 1."""
        text = f"epinet:perturb={perturb}:width={width}:pairs=100:particles={count}"
        posterior = build_posterior(text, LINEAR)
        state = fit(posterior, events_of(many, y), [0.1, 0.01, 0.002], 150)
        found = np.cov(values_of(posterior, state).T)
        return np.linalg.eigvals(np.linalg.solve(exact, found)).real

    # Squares of n residuals, of `width` signs and of the draws: one sample variance upon another.
    error = Z * np.sqrt(2 / n + 2 / width + 2 / count)
    assert np.all(np.abs(ratios(1) - 1) < error)
    # Negative control: unless events pull, almost nothing is left of it.
    assert np.all(np.abs(ratios(0) - 1) > error)


def test_before_any_event_the_draws_are_the_prior() -> None:
    width = 800
    posterior = compiled(build_posterior(f"epinet:width={width}:particles=2000", LINEAR))
    values = values_of(posterior, posterior.init(jax.random.key(0)))
    ratio = values.var(0) / LINEAR.scale**2
    # Two sample variances one upon the other, of the directions and of the indices.
    assert np.all(np.abs(ratio - 1) < Z * np.sqrt(2 / width + 2 / 2000))
    assert np.all(np.abs(ratio - 2) > Z * np.sqrt(2 / width + 2 / 2000))


def test_at_index_zero_it_is_the_point_estimate() -> None:
    point, epinet = build_posterior("point", MLP), build_posterior("epinet:width=2", MLP)
    events = simulate(MLP, 15)

    @jax.jit
    def run(key):
        keys = jax.random.split(key, 2 + 40)
        one, two = point.init(keys[0]), epinet.init(keys[0])
        two = two._replace(estimate=one.estimate)
        one, two = point.absorb(keys[1], one, events), epinet.absorb(keys[1], two, events)
        one = jax.lax.scan(lambda s, k: (point.refine(k, s)[0], None), one, keys[2:])[0]
        return one, jax.lax.scan(lambda s, k: (epinet.refine(k, s)[0], None), two, keys[2:])[0]

    one, two = run(jax.random.key(0))
    # The same arithmetic beside other columns: rounding, amplified by forty steps.
    assert np.allclose(two.estimate.params, one.estimate.params, rtol=1e-3, atol=1e-3)
    draws = values_of(epinet, two)
    start = 4 * (2 + 1)
    away = np.abs(draws - np.asarray(two.estimate.params))
    # The body is the same in every draw, the head in none.
    assert np.all(away[:, :start] == 0)
    assert np.all(away[:, start:].max(1) > 1e-3)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [("width=0", "width=0"), ("pairs=0", "pairs=0"), ("perturb=1:full=fold", "full=fold")],
)
def test_what_it_refuses(wrong: str, words: str) -> None:
    with pytest.raises(UsageError, match=f"epinet: {words}"):
        build_posterior(f"epinet:{wrong}", LINEAR)
