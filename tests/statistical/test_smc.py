"""smc against exact answers, within the Monte-Carlo error of independent runs; and resampling.

The standard error comes from many independent runs of modest size; the bias of a run, of order
1/S, must be small beside it.

See also: test_moves.py for the moves alone.
"""

from typing import Any

import blackjax.smc.resampling as peer
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import Z, block, seeded, simulate
from uncertain.posteriors.base import Event
from uncertain.posteriors.parts.buffer_likelihood import BufferLikelihood
from uncertain.posteriors.parts.draws import resample_systematic
from uncertain.posteriors.parts.replay_buffer import ReplayBuffer
from uncertain.posteriors.registry import build_model, build_posterior

pytestmark = pytest.mark.rate(1e-5)
LIMIT = Z + 0.5
"""Some ten comparisons at a total false-alarm rate of 1e-5 (Bonferroni)."""


def runs(text: str, model: Any, events: Event, count: int, refine: int, seed: int = 0):
    """Beliefs `[R, ...]` of independent runs that saw the same events."""
    posterior = build_posterior(text, model)
    n = events.weight.shape[0]
    blocks = jax.tree.map(lambda x: jnp.asarray(x)[:, None], events)

    def step(state: Any, item: Any) -> Any:
        keys, event = item
        state = posterior.absorb(keys[0], state, event)
        for k in range(refine):
            state, _ = posterior.refine(keys[1 + k], state)
        return state, None

    def one(key: Any) -> Any:
        start_key, belief_key, step_key = jax.random.split(key, 3)
        keys = jax.random.split(step_key, (n, 1 + refine))
        state, _ = jax.lax.scan(step, posterior.init(start_key), (keys, blocks))
        return posterior.belief(belief_key, state, jnp.asarray(events.time)[-1])

    return jax.jit(jax.vmap(one))(jax.random.split(seeded(seed), count))


def estimates(beliefs: Any, functions: list) -> np.ndarray:
    """Weighted means `[R, F]` of functions of the draws `[R, S, D]`."""
    weights = np.exp(np.asarray(beliefs.log_weights, float))
    values = np.asarray(beliefs.values, float)
    return np.stack([(weights * f(values)).sum(1) for f in functions], 1)


def scores(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    error = found.std(0, ddof=1) / np.sqrt(len(found))
    return (found.mean(0) - expected) / error


def moments(size: int) -> list:
    first = [lambda v, i=i: v[:, :, i] for i in range(size)]
    return first + [lambda v, i=i: v[:, :, i] ** 2 for i in range(size)]


def answers(mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    return np.concatenate([mean, np.diag(covariance) + mean**2])


@pytest.fixture(scope="module")
def drifting() -> tuple[Any, Event]:
    model = build_model("drifting:arms=2:features=0:memory=5.0")
    events = simulate(model, 12, 3)
    gaps = 10 ** np.random.default_rng(4).uniform(-1, 1, 12)
    return model, events._replace(time=jnp.asarray(np.cumsum(gaps), jnp.float32))


def test_drifting_agrees_with_kalman(drifting: tuple[Any, Event]) -> None:
    """laplace is the Kalman filter here (test_laplace.py compares it with an independent one)."""
    model, events = drifting
    exact = build_posterior("laplace:structure=full", model)
    key = jax.random.key(0)
    state = jax.jit(exact.absorb)(key, exact.init(key), events)
    belief = exact.belief(key, state, events.time[-1])
    expected = answers(np.asarray(belief.mean, float), np.asarray(belief.covariance[0], float))
    found = estimates(runs("smc:particles=2000", model, events, 64, 0), moments(2))
    assert np.abs(scores(found, expected)).max() < LIMIT
    # Negative controls: half the variance; the filter of a stream without gaps.
    halved = answers(np.asarray(belief.mean), np.asarray(belief.covariance[0]) / 2)
    assert np.abs(scores(found, halved)).max() > LIMIT
    even = runs("smc:particles=2000", model, events._replace(time=jnp.arange(12.0)), 64, 0)
    assert np.abs(scores(estimates(even, moments(2)), expected)).max() > LIMIT


@pytest.mark.parametrize("move", ["evolution", "walk", "hmc"])
def test_static_agrees_with_closed_form_beyond_its_memory(move: str) -> None:
    """Sixteen of thirty events are kept, the rest folded, which is exact here."""
    model = build_model("linear:arms=0:features=2:noise=1.0")
    events = simulate(model, 30, 5)
    design, outcome = np.asarray(events.action, float), np.asarray(events.observation, float)
    covariance = np.linalg.inv(design.T @ design + np.eye(2))
    expected = answers(covariance @ design.T @ outcome, covariance)
    text = f"smc:particles=256:move={move}:capacity=16"
    found = estimates(runs(text, model, events, 64, 1), moments(2))
    assert np.abs(scores(found, expected)).max() < LIMIT
    early = design[:-2], outcome[:-2]
    wrong = np.linalg.inv(early[0].T @ early[0] + np.eye(2))
    other = answers(wrong @ early[0].T @ early[1], wrong)
    assert np.abs(scores(found, other)).max() > LIMIT


def structure_shares() -> list:
    return [lambda v, k=k: (v[:, :, 0] == k).astype(float) for k in range(2)]


def test_causal_pair_agrees_with_exact() -> None:
    model = build_model("causal-pair")
    events = simulate(model, 20, 1)
    exact = build_posterior("exact", model)
    key = jax.random.key(0)
    state = jax.jit(exact.absorb)(key, exact.init(key), events)
    expected = np.exp(np.asarray(state.log_weights, float))[:2]
    found = estimates(runs("smc:particles=256", model, events, 64, 2), structure_shares())
    assert np.abs(scores(found, expected)).max() < LIMIT
    assert np.abs(scores(found, np.full(2, 1 / 3))).max() > LIMIT


def test_causal_pair_beyond_its_memory_is_what_it_remembers() -> None:
    """Eight of twenty events are kept; they are scored after the counts of those that left."""
    model = build_model("causal-pair")
    events = simulate(model, 20, 1)
    store = ReplayBuffer(model, 8, "forget")
    buffer = store.empty()
    for i in range(20):
        event = jax.tree.map(lambda x: jnp.asarray(x)[0], block(events, i, i + 1))
        buffer = store.push(jax.random.key(0), buffer, event, jnp.zeros(1))
    every = jnp.arange(3, dtype=jnp.int32)[None, :]
    logs = np.asarray(BufferLikelihood(store).log_density(buffer, every), float)
    expected = (np.exp(logs) / np.exp(logs).sum())[:2]
    text = "smc:particles=256:capacity=8:full=forget"
    found = estimates(runs(text, model, events, 64, 2), structure_shares())
    assert np.abs(scores(found, expected)).max() < LIMIT
    # Negative control: the posterior of all twenty.
    exact = build_posterior("exact", model)
    key = jax.random.key(0)
    state = exact.absorb(key, exact.init(key), events)
    whole = np.exp(np.asarray(state.log_weights, float))[:2]
    assert np.abs(scores(found, whole)).max() > LIMIT


def test_resampling_is_unbiased_and_systematic() -> None:
    """Expected copies are S w; each count is one of the two integers around it."""
    weights = np.asarray([0.03, 0.4, 0.0, 0.27, 0.1, 0.2], np.float32)
    logs = jnp.log(jnp.asarray(weights))
    ancestors = jax.jit(jax.vmap(lambda k: resample_systematic(k, logs)))
    found = np.asarray(ancestors(jax.random.split(seeded(1), 20_000)))
    counts = np.stack([(found == i).sum(1) for i in range(6)], 1)
    expected = 6 * weights
    assert np.all(counts >= np.floor(expected - 1e-5))
    assert np.all(counts <= np.ceil(expected + 1e-5))
    error = np.maximum(counts.std(0), 1e-9) / np.sqrt(len(counts))
    assert np.abs((counts.mean(0) - expected) / error)[expected > 0].max() < LIMIT
    # Negative control: the weights of another population.
    assert np.abs((counts.mean(0) - np.ones(6)) / error).max() > LIMIT


def test_resampling_is_that_of_blackjax() -> None:
    """The same uniform gives the same ancestors."""
    weights = jax.random.dirichlet(jax.random.key(2), jnp.ones(64))
    for seed in range(20):
        key = jax.random.key(seed)
        np.testing.assert_array_equal(
            resample_systematic(key, jnp.log(weights)), peer.systematic(key, weights, 64)
        )


def test_resampling_survives_rounding() -> None:
    """Cumulative float32 weights may end short of 1: no ancestor is ever out of range."""
    logs = jax.nn.log_softmax(10 * jax.random.normal(jax.random.key(3), (4096,)))
    found = np.asarray(resample_systematic(jax.random.key(4), logs))
    assert found.min() >= 0
    assert found.max() < 4096
    assert np.all(np.isfinite(np.asarray(logs)[found]))
