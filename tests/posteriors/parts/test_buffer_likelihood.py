"""Gradients of the buffered events: of minibatches, with shares, and for wide networks.

See also: test_replay_buffer.py for the events themselves.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from filling import LOGISTIC, ROUNDING, direct, draws, fill
from support import Z, block, simulate
from uncertain.posteriors.errors import UsageError
from uncertain.posteriors.parts.buffer_likelihood import BufferLikelihood
from uncertain.posteriors.parts.replay_buffer import Buffer, ReplayBuffer
from uncertain.posteriors.parts.unknowns import unknowns_of
from uncertain.posteriors.parts.vmap_last import WIDE
from uncertain.posteriors.registry import build_model

WIDE_MODEL = build_model("mlp:features=2:hidden=(16,10)")
BATCHES = 4000


def filled(capacity: int, full: str, batch: int = 0, n: int = 40):
    store = ReplayBuffer(LOGISTIC, capacity, full)
    return BufferLikelihood(store, batch), fill(store, simulate(LOGISTIC, n), jnp.zeros(3))


@pytest.mark.parametrize("full", ["forget", "reservoir", "fold"])
def test_minibatches_are_unbiased(full: str) -> None:
    particles = draws(LOGISTIC)
    likelihood, buffer = filled(24, full, batch=4)
    whole, _ = filled(24, full)
    value, grad = whole.value_and_grad(buffer, particles)

    def error_of(buffer: Buffer) -> np.ndarray:
        many = jax.jit(jax.vmap(lambda key: likelihood.estimate_gradient(key, buffer, particles)))
        values, grads = many(jax.random.split(jax.random.key(5), BATCHES))
        found = np.concatenate([values[:, None], grads], axis=1).astype(float)
        truth = np.concatenate([value[None], grad])
        return np.abs(found.mean(0) - truth) / (found.std(0) / np.sqrt(BATCHES))

    # Twenty comparisons at a total false-alarm rate of 1e-5.
    bound = Z + 0.7
    assert error_of(buffer).max() < bound
    # Negative control: one event more that never was.
    more = buffer._replace(events=buffer.events._replace(weight=buffer.events.weight * 1.2))
    assert error_of(more).max() > bound


def test_no_events_no_gradient() -> None:
    store = ReplayBuffer(LOGISTIC, 8, "forget")
    likelihood, key = BufferLikelihood(store, 4), jax.random.key(0)
    value, grad = likelihood.estimate_gradient(key, store.empty(), draws(LOGISTIC))
    assert not np.any(value)
    assert not np.any(grad)


def test_shares_count_events_for_each_particle() -> None:
    events = simulate(LOGISTIC, 20)
    particles = draws(LOGISTIC)
    store = ReplayBuffer(LOGISTIC, 20, "forget")
    buffer = fill(store, events, jnp.zeros(3))
    rows = buffer.events.weight.shape[0]
    shares = np.random.default_rng(0).poisson(1.0, (rows, particles.shape[1])).astype(np.float32)
    value, grad = BufferLikelihood(store).value_and_grad(buffer, particles, jnp.asarray(shares))
    for s in range(particles.shape[1]):
        again = events._replace(weight=jnp.asarray(shares[:20, s]))
        whole, _ = direct(LOGISTIC, again, particles[:, s : s + 1])
        np.testing.assert_allclose(value[s], whole[0], rtol=ROUNDING)
        alone = fill(store, again, jnp.zeros(3))
        # A share of nothing is no event at all, and keeps no slot.
        np.testing.assert_allclose(
            grad[:, s],
            BufferLikelihood(store).value_and_grad(alone, particles[:, s : s + 1])[1][:, 0],
            rtol=1e-3,
            atol=1e-3,
        )


@pytest.mark.parametrize("wide", [False, True])
def test_noise_shifts_the_observation_for_each_particle(wide: bool) -> None:
    model = build_model("linear:arms=0:features=3")
    events, particles = simulate(model, 20), draws(model)
    store = ReplayBuffer(model, 20, "forget")
    buffer = fill(store, events, jnp.zeros(3))
    rows, count = buffer.events.weight.shape[0], particles.shape[1]
    noise = jnp.asarray(np.random.default_rng(0).normal(size=(rows, count)), jnp.float32)
    shares = jnp.full((rows, count), 2.0)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("buffer_likelihood", "vmap_last") if wide else ():
            patch.setattr(f"uncertain.posteriors.parts.{name}.WIDE", 1)
        value, grad = jax.jit(BufferLikelihood(store).value_and_grad)(
            buffer, particles, shares, noise
        )
    x, y = np.asarray(events.action, float), np.asarray(events.observation, float)
    residual = y[:, None] + np.asarray(noise, float)[:20] - x @ np.asarray(particles, float)
    expected = 2 * x.T @ residual / model.noise**2
    np.testing.assert_allclose(
        grad, expected, rtol=ROUNDING, atol=ROUNDING * np.abs(expected).max()
    )
    # Negative control: another particle's noise.
    assert np.abs(np.roll(expected, 1, axis=1) - grad).max() > 1
    seen = events._replace(observation=events.observation + noise[:20, 0])
    whole, _ = direct(model, seen, particles[:, :1])
    np.testing.assert_allclose(value[0], 2 * whole[0], rtol=ROUNDING)


def test_a_wide_network_has_the_same_gradient() -> None:
    unknowns = unknowns_of(WIDE_MODEL)
    assert unknowns.size < WIDE
    events = simulate(WIDE_MODEL, 10)
    particles = draws(WIDE_MODEL, 3)
    store = ReplayBuffer(WIDE_MODEL, 16, "forget")
    buffer = fill(store, events, jnp.zeros(unknowns.size))
    narrow = jax.jit(BufferLikelihood(store).value_and_grad)(buffer, particles)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("uncertain.posteriors.parts.buffer_likelihood.WIDE", 1)
        patch.setattr("uncertain.posteriors.parts.vmap_last.WIDE", 1)
        wide = jax.jit(lambda h, p: BufferLikelihood(store).value_and_grad(h, p))(buffer, particles)
    for one, two in zip(narrow, wide, strict=True):
        scale = np.abs(np.asarray(one)).max()
        np.testing.assert_allclose(one / scale, two / scale, atol=1e-5)


def test_batches_need_events_without_an_order() -> None:
    with pytest.raises(UsageError, match="have an order: use batch=0"):
        BufferLikelihood(ReplayBuffer(build_model("causal-pair"), 8, "forget"), 4)
    with pytest.raises(UsageError, match="batch=-1"):
        BufferLikelihood(ReplayBuffer(LOGISTIC, 8, "forget"), -1)


def test_auto_folds_only_where_the_factor_is_small() -> None:
    wide = build_model("mlp:hidden=(100,)")
    assert ReplayBuffer(LOGISTIC, 4, "auto").empty().linear.shape == (3,)
    store = ReplayBuffer(wide, 4, "auto")
    assert store.empty().linear.shape == (0,)
    buffer = fill(store, block(simulate(wide, 12), 0, 12), jnp.zeros(unknowns_of(wide).size))
    # A reservoir: the kept four stand for all twelve.
    one = BufferLikelihood(store).log_density(buffer, draws(wide, 1))
    kept = BufferLikelihood(ReplayBuffer(wide, 4, "forget")).log_density(buffer, draws(wide, 1))
    np.testing.assert_allclose(one, 3 * kept, rtol=1e-5)
