"""laplace against closed forms: batch linear regression, a Kalman filter, folded memories.

The references are NumPy in float64 and share no code with the backend.

See also: tests/posteriors/test_contract.py for the contract.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import compiled, dense
from uncertain.posteriors.base import Event, Gaussian, Model
from uncertain.posteriors.parts.block_gaussian import (
    condition_covariance,
    condition_factor,
    root_of,
    variance_along,
)
from uncertain.posteriors.registry import build_model, build_posterior

DIGITS = 1e-2
"""Allowed error after 10^5 float32 events, in posterior standard deviations and relative norm."""


def regression(
    model: Model, n: int, seed: int, scale: float = 1.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Actions `[n, A]`, design matrix `[n, D]`, outcomes `[n]`, all exact in float32."""
    rng = np.random.default_rng(seed)
    raw = (scale * rng.normal(size=(n, model.actions.size))).astype(np.float32)
    arms, features = model.arms, model.features
    design = raw.astype(float)
    if arms:
        raw[:, 0] = rng.integers(0, arms, n)
        design = np.zeros((n, arms, features + 1))
        design[np.arange(n), raw[:, 0].astype(int), 0] = 1
        design[np.arange(n), raw[:, 0].astype(int), 1:] = raw[:, 1:]
        design = design.reshape(n, -1)
    # Outcomes of size 1, however large the features are.
    lengths = np.maximum(np.sqrt(np.mean(design**2, axis=0)), 1.0)
    weights = model.scale * rng.normal(size=design.shape[1]) / lengths
    outcome = design @ weights + model.noise * rng.normal(size=n)
    return raw, design, outcome.astype(np.float32)


def batch(model: Model, design: np.ndarray, outcome: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Posterior mean and covariance in one step."""
    noise = float(np.float32(model.noise))
    precision = design.T @ design / noise**2 + np.eye(design.shape[1]) / model.scale**2
    # Rows and columns of like size first: else float64 would lose digits, too.
    sizes = np.sqrt(np.diag(precision))
    covariance = np.linalg.inv(precision / np.outer(sizes, sizes)) / np.outer(sizes, sizes)
    return covariance @ (design.T @ outcome.astype(float)) / noise**2, covariance


def learn(text: str, model: Model, actions, outcome, times=None, size: int = 1) -> Gaussian:
    """The belief after all events, `size` at a time."""
    posterior = build_posterior(text, model)
    n = len(outcome)
    dtype = jnp.result_type(float)
    times = np.arange(n) if times is None else times
    events = Event(
        jnp.asarray(actions, dtype),
        jnp.asarray(outcome, dtype),
        jnp.asarray(times, dtype),
        jnp.arange(n, dtype=jnp.int32),
        jnp.ones(n, dtype),
    )
    blocks = jax.tree.map(lambda x: x.reshape(n // size, size, *x.shape[1:]), events)

    @jax.jit
    def run(blocks):
        def step(state, item):
            return posterior.absorb(item[0], state, item[1]), None

        keys = jax.random.split(jax.random.key(1), n // size)
        state, _ = jax.lax.scan(step, posterior.init(jax.random.key(0)), (keys, blocks))
        return posterior.belief(jax.random.key(2), state, jnp.asarray(times[-1], dtype))

    return run(blocks)


def errors(belief: Gaussian, mean: np.ndarray, covariance: np.ndarray) -> tuple[float, float]:
    """Largest mean error in posterior standard deviations, relative Frobenius error."""
    apart = np.abs(np.asarray(belief.mean, float) - mean) / np.sqrt(np.diag(covariance))
    frobenius = np.linalg.norm(dense(belief.covariance) - covariance) / np.linalg.norm(covariance)
    return float(apart.max()), float(frobenius)


def halved(belief: Gaussian) -> Gaussian:
    """A wrong belief: half the variance."""
    return belief._replace(covariance=belief.covariance / 2)


def shifted(belief: Gaussian) -> Gaussian:
    """A wrong belief: the mean a twentieth of a standard deviation off."""
    spread = jnp.sqrt(jnp.asarray(np.diag(dense(belief.covariance)), belief.mean.dtype))
    return belief._replace(mean=belief.mean + 0.05 * spread)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("text", ["linear:arms=3:features=2", "linear:arms=0:features=5"])
def test_equals_batch_regression_in_float64(text: str) -> None:
    model = build_model(text)
    actions, design, outcome = regression(model, 60, 1)
    mean, covariance = batch(model, design, outcome)
    belief = learn("laplace", model, actions, outcome, size=4)
    assert belief.mean.dtype == jnp.float64
    # 60 steps of relative error 1e-16 each, times a condition number below 1e4.
    assert max(errors(belief, mean, covariance)) < 1e-9
    assert max(errors(halved(belief), mean, covariance)) > 1e-9
    assert max(errors(shifted(belief), mean, covariance)) > 1e-9


@pytest.mark.parametrize("text", ["linear", "linear:arms=0:features=16:noise=0.05"])
def test_float32_stays_right_for_100_000_events(text: str) -> None:
    model = build_model(text)
    actions, design, outcome = regression(model, 100_000, 2)
    mean, covariance = batch(model, design, outcome)
    belief = learn("laplace", model, actions, outcome, size=1000)
    assert belief.mean.dtype == jnp.float32
    assert max(errors(belief, mean, covariance)) < DIGITS
    assert max(errors(halved(belief), mean, covariance)) > DIGITS
    assert max(errors(shifted(belief), mean, covariance)) > DIGITS


@pytest.mark.parametrize("scale", [1e-6, 1e3, 1.7e9])
def test_features_of_any_scale_are_learnt(scale: float) -> None:
    """An arm's intercept beside features of the scale of a time since 1970."""
    model = build_model("linear:arms=3:features=2")
    actions, design, outcome = regression(model, 100_000, 3, scale)
    mean, covariance = batch(model, design, outcome)
    belief = learn("laplace", model, actions, outcome, size=1000)
    assert errors(belief, mean, covariance)[0] < 1e-3
    along = [float(variance_along(belief, jnp.float32(row))) for row in design[:5]]
    exact = np.einsum("ri,ij,rj->r", design[:5], covariance, design[:5])
    np.testing.assert_allclose(along, exact, rtol=1e-3)
    assert errors(shifted(belief), mean, covariance)[0] > 1e-3


def test_a_covariance_that_is_not_factored_loses_large_features() -> None:
    rows = jnp.float32([[1.0, 1.7e9], [1.0, -1.6e9], [1.0, 1.5e9]])
    plain, factor = jnp.eye(2)[None], jnp.eye(2)[None]
    for row in rows:
        plain, (factor, _) = condition_covariance(plain, row[None]), condition_factor(factor, row)
    root = root_of(factor)[0]
    exact = np.linalg.inv(np.eye(2) + np.asarray(rows, float).T @ np.asarray(rows, float))
    np.testing.assert_allclose(root @ root.T, exact, rtol=1e-5)
    assert abs(plain[0, 1, 1] / exact[1, 1] - 1) > 1


@pytest.mark.usefixtures("double")
def test_weights_and_blocks_do_not_matter_to_the_answer() -> None:
    """Weight 2 is the same event twice; a block of 12 is 12 blocks of one."""
    model = build_model("linear:arms=0:features=3")
    posterior = compiled(build_posterior("laplace", model))
    actions, _, outcome = regression(model, 12, 3)
    once = Event(
        jnp.asarray(actions, float),
        jnp.asarray(outcome, float),
        jnp.zeros(12),
        jnp.zeros(12, jnp.int32),
        jnp.full(12, 2.0),
    )
    twice = jax.tree.map(lambda x: jnp.concatenate([x, x]), once)._replace(weight=jnp.ones(24))
    key = jax.random.key(0)
    start = posterior.init(key)
    one, two = posterior.absorb(key, start, once), posterior.absorb(key, start, twice)
    np.testing.assert_allclose(one.mean, two.mean, atol=1e-10)
    np.testing.assert_allclose(one.covariance, two.covariance, atol=1e-10)


def kalman(model, actions, outcome, times, memory: float) -> tuple[np.ndarray, np.ndarray]:
    """Textbook filter for weights that each follow an Ornstein-Uhlenbeck process."""
    size = model.arms * (model.features + 1)
    mean, covariance, now = np.zeros(size), model.scale**2 * np.eye(size), 0.0
    for action, y, time in zip(actions.astype(float), outcome.astype(float), times, strict=True):
        kept = np.exp(-(time - now) / memory)
        mean = kept * mean
        covariance = kept**2 * covariance + model.scale**2 * (1 - kept**2) * np.eye(size)
        x = np.zeros((model.arms, model.features + 1))
        x[int(action[0])] = np.r_[1.0, action[1:]]
        x = x.ravel()
        innovation = x @ covariance @ x + model.noise**2
        gain = covariance @ x / innovation
        mean = mean + gain * (y - x @ mean)
        covariance = covariance - np.outer(gain, x @ covariance)
        now = time
    return mean, covariance


def irregular(n: int, seed: int) -> np.ndarray:
    """Times with gaps from a hundredth to a hundred seconds, two of them nothing at all."""
    gaps = 10 ** np.random.default_rng(seed).uniform(-2, 2, n)
    gaps[[3, 4]] = 0.0
    return np.cumsum(gaps)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("structure", ["auto", "full"])
def test_drifting_equals_kalman_filter(structure: str) -> None:
    model = build_model("drifting:arms=2:features=1:memory=20.0")
    actions, _, outcome = regression(model, 40, 4)
    times = irregular(40, 5)
    mean, covariance = kalman(model, actions, outcome, times, model.memory)
    belief = learn(f"laplace:structure={structure}", model, actions, outcome, times)
    assert max(errors(belief, mean, covariance)) < 1e-9
    # Negative control: a filter that believes in another memory.
    wrong = kalman(model, actions, outcome, times, 1.1 * model.memory)
    assert max(errors(belief, *wrong)) > 1e-3


@pytest.mark.usefixtures("double")
def test_belief_is_carried_forward_to_now() -> None:
    model = build_model("drifting:arms=2:features=1:memory=20.0")
    posterior = compiled(build_posterior("laplace", model))
    actions, _, outcome = regression(model, 5, 6)
    events = Event(
        jnp.asarray(actions, float),
        jnp.asarray(outcome, float),
        jnp.arange(5.0),
        jnp.arange(5, dtype=jnp.int32),
        jnp.ones(5),
    )
    key = jax.random.key(0)
    state = posterior.absorb(key, posterior.init(key), events)
    late = posterior.belief(key, state, jnp.asarray(1e6))
    # After 50 000 memories nothing is left but the stationary prior.
    np.testing.assert_allclose(late.mean, 0.0, atol=1e-9)
    np.testing.assert_allclose(dense(late.covariance), model.scale**2 * np.eye(4), atol=1e-9)


@pytest.mark.usefixtures("double")
def test_refined_logistic_is_the_mode_and_its_curvature() -> None:
    """Newton steps end where an independent optimiser does, however they began."""
    model = build_model("logistic:arms=0:features=3")
    rng = np.random.default_rng(7)
    x = rng.normal(size=(40, 3))
    y = (rng.uniform(size=40) < 1 / (1 + np.exp(-x @ [1.0, -2.0, 0.5]))).astype(float)

    def mode(prior_precision: float) -> tuple[np.ndarray, np.ndarray]:
        w = np.zeros(3)
        for _ in range(50):
            p = 1 / (1 + np.exp(-x @ w))
            hessian = (x * (p * (1 - p))[:, None]).T @ x + prior_precision * np.eye(3)
            w = w + np.linalg.solve(hessian, x.T @ (y - p) - prior_precision * w)
        return w, np.linalg.inv(hessian)

    posterior = compiled(build_posterior("laplace:capacity=64", model))
    events = Event(
        jnp.asarray(x), jnp.asarray(y), jnp.zeros(40), jnp.zeros(40, jnp.int32), jnp.ones(40)
    )
    key = jax.random.key(0)
    state = jax.jit(posterior.absorb)(key, posterior.init(key), events)
    refine = jax.jit(posterior.refine)
    for _ in range(12):
        state, info = refine(key, state)
    assert info.healthy
    belief = posterior.belief(key, state, jnp.zeros(()))
    # Newton's last step is quadratic: the error is that of float64.
    assert max(errors(belief, *mode(1.0))) < 1e-8
    assert max(errors(belief, *mode(1.2))) > 1e-2


def naive(design: np.ndarray, outcome: np.ndarray, noise: float) -> np.ndarray:
    """The mean if every weight took the whole surprise with its own updated variance."""
    mean, precision = np.zeros(design.shape[1]), np.ones(design.shape[1])
    for x, y in zip(design, outcome, strict=True):
        precision += x**2 / noise**2
        mean += x * (y - x @ mean) / noise**2 / precision
        if np.abs(mean).max() > 1e6:
            break
    return mean


@pytest.mark.usefixtures("double")
def test_a_diagonal_covariance_shares_one_surprise_among_all_weights() -> None:
    """80 features on at once: a step for each alone is 80 times too long, and diverges."""
    model = build_model("linear:arms=0:features=80:noise=0.5")
    actions, design, outcome = regression(model, 400, 4)
    design, actions = np.abs(design), np.abs(actions)
    weights = np.linspace(-1, 1, 80)
    outcome = design @ weights + 0.5 * np.random.default_rng(5).normal(size=400)
    mean, precision = np.zeros(80), np.ones(80)
    for x, y in zip(design, outcome, strict=True):
        pushed = x / precision
        mean += pushed * (y - x @ mean) / (0.25 + x @ pushed)
        precision += x**2 / 0.25
    belief = learn("laplace:structure=diagonal", model, actions, outcome)
    assert np.allclose(belief.mean, mean, atol=1e-9)
    assert np.allclose(np.asarray(belief.covariance).reshape(-1), 1 / precision, atol=1e-12)
    assert np.abs(mean - weights).max() < 1.0
    assert np.abs(naive(design, outcome, 0.5)).max() > 1e6
