"""The memory of past events: what is kept, what is forgotten, folded or sampled."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from filling import CENTER, LOGISTIC, ROUNDING, across, direct, draws, fill
from support import Z, block, simulate
from toys import Scales, Urns
from uncertain.posteriors.base import Model
from uncertain.posteriors.errors import UsageError
from uncertain.posteriors.parts.buffer_likelihood import BufferLikelihood
from uncertain.posteriors.parts.replay_buffer import CHUNK, ReplayBuffer, event_count
from uncertain.posteriors.parts.unknowns import log_likelihood
from uncertain.posteriors.registry import build_model


@pytest.mark.parametrize("capacity", [1, 5, CHUNK, CHUNK + 3, 3 * CHUNK])
def test_sum_over_chunks_is_the_plain_sum(capacity: int) -> None:
    """Below and above one chunk, a partial chunk, and fewer events than slots."""
    events = simulate(LOGISTIC, 40)
    particles = draws(LOGISTIC)
    for n in (0, min(3, capacity), 40):
        store = ReplayBuffer(LOGISTIC, capacity, "forget")
        buffer = fill(store, block(events, 0, n), CENTER) if n else store.empty()
        last, _ = direct(LOGISTIC, block(events, max(n - capacity, 0), n), particles)
        found = np.asarray(jax.jit(BufferLikelihood(store).log_density)(buffer, particles), float)
        np.testing.assert_allclose(found, last, rtol=ROUNDING, atol=ROUNDING)
        assert event_count(buffer) >= min(n, capacity)


@pytest.mark.parametrize("full", ["fold", "forget", "reservoir"])
@pytest.mark.parametrize("model", [LOGISTIC, Scales(), Urns()], ids=lambda m: type(m).__name__)
def test_gradient_is_the_gradient(model: Model, full: str) -> None:
    events = simulate(model, 30)
    particles = draws(model)
    store = ReplayBuffer(model, 20, full)
    buffer = fill(store, events, jnp.zeros(particles.shape[0]))
    value_and_grad = jax.jit(BufferLikelihood(store).value_and_grad)
    value, gradient = value_and_grad(buffer, particles)
    expected = jax.jit(jax.jacfwd(lambda p: BufferLikelihood(store).log_density(buffer, p).sum()))(
        particles
    )
    scale = np.abs(expected).max()
    np.testing.assert_allclose(gradient, expected, rtol=ROUNDING, atol=ROUNDING * scale)
    plain = jax.jit(BufferLikelihood(store).log_density)(buffer, particles)
    np.testing.assert_allclose(value, plain, rtol=ROUNDING, atol=ROUNDING * np.abs(plain).max())
    # Negative control: the gradient of one event fewer.
    fewer = fill(store, block(events, 0, 29), jnp.zeros(particles.shape[0]))
    other = value_and_grad(fewer, particles)[1]
    assert np.abs(other - expected).max() > ROUNDING * scale


def test_masked_events_take_no_slot() -> None:
    events = simulate(LOGISTIC, 8)
    masked = events._replace(weight=np.float32([1, 0, 1, 0, 0, 1, 1, 1]))
    real = jax.tree.map(lambda x: np.asarray(x)[masked.weight > 0], events)
    store = ReplayBuffer(LOGISTIC, 4, "fold")
    one, two = fill(store, masked, CENTER), fill(store, real, CENTER)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    assert one.seen == 5


def test_forgetting_drops_the_oldest() -> None:
    events = simulate(LOGISTIC, 11)
    buffer = fill(ReplayBuffer(LOGISTIC, 4, "forget"), events, CENTER)
    assert sorted(np.asarray(buffer.events.id)[:4]) == [7, 8, 9, 10]


def test_folding_is_exact_where_the_likelihood_is_normal() -> None:
    """Folded plus kept is the whole log likelihood, up to a constant, wherever it was folded."""
    model = build_model("linear:arms=0:features=3")
    events = simulate(model, 30)
    particles = draws(model)
    store = ReplayBuffer(model, 8, "fold")
    whole, _ = direct(model, events, particles)
    kept_only, _ = direct(model, block(events, 22, 30), particles)
    for guess in (jnp.zeros(3), jnp.ones(3)):
        buffer = fill(store, events, guess)
        density = jax.jit(BufferLikelihood(store).log_density)
        found = np.asarray(density(buffer, particles), float)
        # Rounding is relative to the sum of thirty terms of order ten.
        np.testing.assert_allclose(found - found[0], whole - whole[0], atol=0.02)
    # Negative control: what is left without the folded part.
    assert np.abs((kept_only - kept_only[0]) - (whole - whole[0])).max() > 1


def test_before_is_the_stats_of_what_left() -> None:
    """A collapsed model's kept events are scored after the stats of those that left."""
    model = build_model("causal-pair")
    events = simulate(model, 25, 2)
    particles = jnp.arange(3, dtype=jnp.int32)[None, :]
    store = ReplayBuffer(model, 6, "forget")
    buffer = fill(store, events, jnp.zeros(1))
    _, before = direct(model, block(events, 0, 19), particles, model.init_stats())
    for a, b in zip(buffer.before, before, strict=True):
        np.testing.assert_allclose(a, b)
    last, _ = direct(model, block(events, 19, 25), particles, before)
    found = jax.jit(BufferLikelihood(store).log_density)(buffer, particles)
    np.testing.assert_allclose(found, last, atol=1e-4)
    # Negative control: the same events scored after no stats at all.
    wrong, _ = direct(model, block(events, 19, 25), particles, model.init_stats())
    assert np.abs(wrong - last).max() > 0.01


@pytest.mark.parametrize("full", ["fold", "forget", "reservoir"])
def test_update_follows_the_density(full: str) -> None:
    """The change that `update` reports is the change of `log_density`, full or not."""
    events = simulate(LOGISTIC, 14)
    particles = draws(LOGISTIC)
    store = ReplayBuffer(LOGISTIC, 5, full)

    @jax.jit
    def step(key, buffer, event):
        logs = across(
            lambda u: log_likelihood(LOGISTIC, u, (), event.action, event.observation), particles
        )
        before = BufferLikelihood(store).log_density(buffer, particles)
        buffer, change = BufferLikelihood(store).push_with_change(
            key, buffer, event, CENTER, particles, before, event.weight * logs
        )
        return buffer, change, BufferLikelihood(store).log_density(buffer, particles) - before, logs

    buffer, surprise = store.empty(), 0.0
    for i in range(14):
        event = jax.tree.map(lambda x, i=i: x[i], events)
        buffer, change, expected, logs = step(jax.random.key(i), buffer, event)
        np.testing.assert_allclose(change, expected, atol=ROUNDING * 10)
        surprise = max(surprise, float(np.abs(logs - expected).max()))
    # Negative control: adding the event's own likelihood alone, once the memory is full.
    assert surprise > 0.1


def test_reservoir_keeps_every_event_equally_often() -> None:
    """Inclusion counts are binomial."""
    n, capacity, runs = 30, 6, 4000
    store = ReplayBuffer(LOGISTIC, capacity, "reservoir")
    events = simulate(LOGISTIC, n)

    @jax.jit
    @jax.vmap
    def ids(key):
        def step(buffer, item):
            return store.push(item[0], buffer, item[1], CENTER), None

        items = jax.random.split(key, n), events
        return jax.lax.scan(step, store.empty(), items)[0].events.id[:capacity]

    found = np.asarray(ids(jax.random.split(jax.random.key(3), runs)))
    assert all(len(set(row)) == capacity for row in found)
    counts = np.bincount(found.ravel(), minlength=n)
    share = capacity / n
    error = np.sqrt(runs * share * (1 - share))
    bound = Z + 0.8  # thirty comparisons at a total false-alarm rate of 1e-5
    assert np.abs(counts - runs * share).max() < bound * error
    # Negative control: a memory that forgets keeps the last six always.
    assert runs - runs * share > bound * error


def test_reservoir_is_weighted_up_to_all_events() -> None:
    events = jax.tree.map(lambda x: np.repeat(np.asarray(x), 20, axis=0), simulate(LOGISTIC, 1))
    particles = draws(LOGISTIC)
    store = ReplayBuffer(LOGISTIC, 4, "reservoir")
    whole, _ = direct(LOGISTIC, events, particles)
    density = jax.jit(BufferLikelihood(store).log_density)
    found = density(fill(store, events, CENTER), particles)
    np.testing.assert_allclose(found, whole, rtol=ROUNDING)


def test_refusals() -> None:
    with pytest.raises(UsageError, match="choose one of auto, fold, forget, reservoir"):
        ReplayBuffer(LOGISTIC, 4, "drop")
    with pytest.raises(UsageError, match="capacity=0"):
        ReplayBuffer(LOGISTIC, 0, "fold")
    with pytest.raises(UsageError, match="order that CausalPair needs"):
        ReplayBuffer(build_model("causal-pair"), 4, "reservoir")
