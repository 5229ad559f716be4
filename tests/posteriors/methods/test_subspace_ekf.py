"""subspace-ekf against the Kalman recursion, in all directions and in a few; its warm-up."""

from typing import Any

import contract_checks as checks
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import support
from support import Z, block, simulate
from uncertain.posteriors.base import Model, Posterior
from uncertain.posteriors.errors import UsageError
from uncertain.posteriors.models.linear import Linear
from uncertain.posteriors.models.mlp import MLP
from uncertain.posteriors.parts.unknowns import unknowns_of
from uncertain.posteriors.registry import build_model, build_posterior

LINE = Linear(arms=2, features=2, noise=0.5, scale=2.0)
NET = MLP(features=2, hidden=(4,), arms=2, noise=0.3)
EVENTS = 30
DRAWS = 20_000
KEY = jax.random.key(0)


def compiled(model: Model, text: str) -> Posterior:
    return support.compiled(build_posterior(f"subspace-ekf:{text}", model))


def run(model: Model, text: str, events: int, refines: int = 0) -> Any:
    """The state after that many events one by one."""
    made = compiled(model, text)
    state = made.init(KEY)
    blocks = simulate(model, events, seed=3)
    for i in range(events):
        keys = jax.random.split(jax.random.fold_in(jax.random.key(1), i), 1 + refines)
        state = made.absorb(keys[0], state, block(blocks, i, i + 1))
        for key in keys[1:]:
            state, info = made.refine(key, state)
            assert bool(info.healthy)
    return state


def kalman(directions: np.ndarray, center: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of the combination, by NumPy in double precision, all events at once."""
    events = simulate(LINE, EVENTS, seed=3)
    x = np.asarray(jax.vmap(lambda action: LINE.linear(action)[0])(events.action), float)
    features = x @ (LINE.scale * directions).T / LINE.noise
    told = (np.asarray(events.observation, float) - x @ center) / LINE.noise
    covariance = np.linalg.inv(np.eye(len(directions)) + features.T @ features)
    return covariance @ features.T @ told, covariance


@pytest.mark.parametrize("text", ["dimensions=0:jitter=0.0", "dimensions=3:jitter=0.5"])
def test_a_linear_model_is_filtered_exactly(text: str) -> None:
    state = run(LINE, text, EVENTS)
    directions = np.asarray(state.directions, float)
    np.testing.assert_allclose(directions @ directions.T, np.eye(len(directions)), atol=1e-5)
    mean, covariance = kalman(directions, np.asarray(state.estimate.params, float))
    # float32 after 30 rank-one steps.
    np.testing.assert_allclose(state.mean, mean, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(state.covariance[0], covariance, rtol=1e-3, atol=1e-4)
    fewer, _ = kalman(directions[:-1], np.asarray(state.estimate.params, float))
    assert not np.allclose(state.mean[:-1], fewer, rtol=1e-3, atol=1e-3), "as with one fewer"


def test_all_directions_are_those_of_laplace() -> None:
    """In the unknowns' own units, against a backend with a Kalman filter of its own."""
    state = run(LINE, "dimensions=0:jitter=0.0", EVENTS)
    other = build_posterior("laplace", LINE)
    it = jax.jit(other.absorb)(KEY, other.init(KEY), simulate(LINE, EVENTS, seed=3))
    u = state.estimate.params + LINE.scale * (state.mean @ state.directions)
    np.testing.assert_allclose(u, it.mean, rtol=1e-3, atol=1e-3)


def test_draws_are_the_gaussian_of_the_combination() -> None:
    text = f"dimensions=3:particles={DRAWS}"
    state = run(LINE, text, EVENTS)
    values = compiled(LINE, text).belief(jax.random.key(5), state, jnp.zeros(())).values
    offsets = (np.asarray(values, float) - np.asarray(state.estimate.params, float)) / LINE.scale
    directions = np.asarray(state.directions, float)
    z = offsets @ directions.T
    # Nothing is drawn outside the directions.
    np.testing.assert_allclose(z @ directions, offsets, atol=1e-5)
    spread = np.asarray(state.covariance[0], float)
    sd = np.sqrt(np.diag(spread))
    off = np.abs(z.mean(0) - np.asarray(state.mean)) * np.sqrt(DRAWS) / sd
    assert off.max() < Z
    # A sample covariance of normals has variance (s_ii s_jj + s_ij^2) / n.
    error = np.sqrt((np.outer(sd, sd) ** 2 + spread**2) / DRAWS)
    assert np.all(np.abs(np.cov(z.T) - spread) < Z * error)
    assert not np.all(np.abs(np.cov(z.T) - spread / 2) < Z * error)


def test_diagonal_is_the_product_of_single_directions() -> None:
    text = "dimensions=3:structure=diagonal:jitter=0.5"
    state = run(LINE, text, 1)
    full = run(LINE, "dimensions=3:jitter=0.5", 1)
    # One event: the information's diagonal alone, where full inverts the whole of it.
    precision = np.linalg.inv(np.asarray(full.covariance[0], float))
    assert state.covariance.shape == (3, 1, 1)
    np.testing.assert_allclose(state.covariance[:, 0, 0], 1 / np.diag(precision), rtol=1e-4)


# The warm-up.

WARM = "dimensions=6:warmup=12:step_size=0.05"


def test_until_it_is_warm_the_belief_is_the_prior() -> None:
    text = f"{WARM}:particles={DRAWS}"
    state = run(NET, text, 11, refines=1)
    values = np.asarray(compiled(NET, text).belief(KEY, state, jnp.zeros(())).values, float)
    mean, sd = unknowns_of(NET).gaussian()
    assert np.max(np.abs(values.mean(0) - mean) / sd) < Z / np.sqrt(DRAWS)
    # A sample standard deviation s has standard error s / sqrt(2 n).
    assert np.max(np.abs(values.std(0) / sd - 1)) < Z / np.sqrt(2 * DRAWS)
    warm = run(NET, text, 13, refines=1)
    values = np.asarray(compiled(NET, text).belief(KEY, warm, jnp.zeros(())).values, float)
    assert np.max(np.abs(values.std(0) / sd - 1)) > Z / np.sqrt(2 * DRAWS)


def test_directions_are_those_in_which_the_climb_moved() -> None:
    made = compiled(NET, WARM)
    state, path = made.init(KEY), []
    blocks = simulate(NET, EVENTS, seed=3)
    for i in range(EVENTS):
        keys = jax.random.split(jax.random.fold_in(jax.random.key(1), i), 2)
        path.append(np.asarray(state.estimate.params, float))
        state = made.absorb(keys[0], state, block(blocks, i, i + 1))
        state, _ = made.refine(keys[1], state)
    assert int(state.found) == 6
    directions = np.asarray(state.directions, float)
    np.testing.assert_allclose(directions @ directions.T, np.eye(6), atol=1e-4)
    # Where the guess stood at every second event: a direction from each to the next.
    sd = unknowns_of(NET).gaussian()[1]
    moves = np.diff(np.array([path[0], *path[1:12:2]]) / sd, axis=0)
    inside = moves @ directions.T @ directions
    # The first move is before the first climb on any event: there is none.
    np.testing.assert_allclose(inside[1:], moves[1:], atol=1e-3 * np.abs(moves).max())
    other = np.linalg.qr(np.random.default_rng(0).normal(size=(len(sd), 6)))[0].T
    assert not np.allclose(moves[1:] @ other.T @ other, moves[1:], atol=0.1 * np.abs(moves).max())
    # Once warm, the point stays.
    later = made.absorb(KEY, state, block(blocks, 0, 1))
    later, _ = made.refine(KEY, later)
    np.testing.assert_array_equal(later.estimate.params, state.estimate.params)


def test_warm_up_events_are_told_once_more_but_not_twice() -> None:
    """On a linear model the covariance ends up as if all events had been filtered."""
    text = "dimensions=4:warmup=20"
    state = run(LINE, text, EVENTS, refines=2)
    directions = np.asarray(state.directions, float)
    _, covariance = kalman(directions, np.asarray(state.estimate.params, float))
    np.testing.assert_allclose(state.covariance[0], covariance, rtol=2e-3, atol=1e-4)
    before = run(LINE, text, EVENTS, refines=0)
    assert not np.allclose(before.covariance[0], covariance, rtol=0.1, atol=1e-3)


@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda c: c.__name__)
def test_a_warm_up_keeps_the_contract(check: Any) -> None:
    text = "subspace-ekf:dimensions=3:warmup=4:particles=4"
    check(checks.bind(build_posterior(text, NET), NET))


@pytest.mark.parametrize(
    ("model", "text", "words"),
    [
        (LINE, "structure=round", "choose full or diagonal"),
        (LINE, "dimensions=-1", "dimensions=-1"),
        (LINE, "warmup=-1", "warmup=-1"),
        (build_model("number-game"), "dimensions=3", "discrete"),
    ],
)
def test_refusals(model: Model, text: str, words: str) -> None:
    with pytest.raises(UsageError) as refused:
        build_posterior(f"subspace-ekf:{text}", model)
    assert words in str(refused.value)
