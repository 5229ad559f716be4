"""hmc against closed form within the error of independent runs; its adaptation and its gradients.

See also: tests/posteriors/test_contract.py for the contract.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import Z, seeded, simulate
from uncertain.posteriors.errors import UsageError
from uncertain.posteriors.methods.hmc import FLOOR, blend_moments, build_chain_density
from uncertain.posteriors.parts.buffer_likelihood import BufferLikelihood
from uncertain.posteriors.parts.replay_buffer import ReplayBuffer
from uncertain.posteriors.parts.unknowns import unknowns_of
from uncertain.posteriors.registry import build_model, build_posterior

pytestmark = pytest.mark.rate(1e-5)
LIMIT = Z + 0.5
"""Some ten comparisons at a total false-alarm rate of 1e-5 (Bonferroni)."""
MODEL = build_model("linear:arms=0:features=2:noise=1.0")
EVENTS = simulate(MODEL, 20, 5)


def closed_form() -> tuple[np.ndarray, np.ndarray]:
    x, y = np.asarray(EVENTS.action, float), np.asarray(EVENTS.observation, float)
    covariance = np.linalg.inv(x.T @ x + np.eye(2))
    return covariance @ x.T @ y, covariance


def runs(text: str, count: int, quiet: int, begin: Any = lambda state, run: state) -> Any:
    """Chains `[R, D, S]` of runs that made two transitions an event and `quiet` more after them,
    and the diagnostics `[R, quiet]` of these. begin: changes a run's first state."""
    posterior = build_posterior(text, MODEL)
    blocks = jax.tree.map(lambda x: jnp.asarray(x)[:, None], EVENTS)

    def refine(state: Any, key: Any) -> Any:
        state, info = posterior.refine(key, state)
        return state, info.diagnostics

    def learn(state: Any, item: Any) -> Any:
        key, event = item
        absorb_key, refine_key = jax.random.split(key)
        state = posterior.absorb(absorb_key, state, event)
        return jax.lax.scan(refine, state, jax.random.split(refine_key, 2))[0], None

    def one(key: Any, run: Any) -> Any:
        init_key, learn_key, refine_key = jax.random.split(key, 3)
        items = jax.random.split(learn_key, 20), blocks
        state, _ = jax.lax.scan(learn, begin(posterior.init(init_key), run), items)
        state, seen = jax.lax.scan(refine, state, jax.random.split(refine_key, quiet))
        return state.chains, seen

    return jax.jit(jax.vmap(one))(jax.random.split(seeded(0), count), jnp.arange(count))


def scores(chains: Any, mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Means and products about `mean` over runs: how many standard errors they are off."""
    apart = np.asarray(chains, float) - mean[None, :, None]
    products = apart[:, 0] * apart[:, 1]
    means = [apart.mean(2), np.square(apart).mean(2), products.mean(1)[:, None]]
    found = np.concatenate(means, axis=1)
    expected = np.r_[0.0, 0.0, np.diag(covariance), covariance[0, 1]]
    error = found.std(0, ddof=1) / np.sqrt(len(found))
    return np.abs(found.mean(0) - expected) / error


@pytest.mark.parametrize(("particles", "count"), [(256, 64), (4, 2000), (1, 4000)])
def test_chains_agree_with_closed_form_beyond_their_memory(particles: int, count: int) -> None:
    """Sixteen of twenty events are kept, the rest folded, which is exact here."""
    mean, covariance = closed_form()
    quiet = 20 if particles > 4 else 100
    chains, _ = runs(f"hmc:particles={particles}:capacity=16", count, quiet)
    assert scores(chains, mean, covariance).max() < LIMIT
    # Negative control: half the variance.
    assert scores(chains, mean, covariance / 2).max() > LIMIT


def test_minibatches_are_no_posterior() -> None:
    """What the options say: chains that see two events at a time lie too wide."""
    mean, covariance = closed_form()
    chains, _ = runs("hmc:particles=32:capacity=32:batch=2", 64, 20)
    assert scores(chains, mean, covariance).max() > LIMIT
    spread = np.asarray(chains, float).var(axis=(0, 2))
    assert np.all(spread > np.diag(covariance))


def test_step_size_finds_the_acceptance_asked_for() -> None:
    """From a twentieth of a standard deviation and from four, for two acceptances."""

    def begin(state: Any, run: Any) -> Any:
        step_size = jnp.where(run % 2 == 0, 0.05, 4.0)
        return state._replace(step_size=step_size, acceptance=jnp.where(run < 4, 0.65, 0.9))

    _, seen = runs("hmc:particles=64:capacity=32", 8, 60, begin)
    last = np.asarray(seen["acceptance"])[:, -20:].mean(1)
    # Means of 20 x 64 acceptances of standard deviation below 0.4, and what is left to adapt.
    assert np.abs(last[:4] - 0.65).max() < 0.05
    assert np.abs(last[4:] - 0.9).max() < 0.05


def test_moments_are_those_of_a_mixture() -> None:
    old, new = np.random.default_rng(0).normal(size=(2, 3, 40)) * 2 + 1
    found = blend_moments(old.mean(1), old.var(1), new, jnp.asarray(0.5))
    both = np.concatenate([old, new], axis=1)
    np.testing.assert_allclose(found[0], both.mean(1), rtol=1e-5)
    np.testing.assert_allclose(found[1], both.var(1), rtol=1e-5)


def test_masses_keep_a_floor() -> None:
    """Chains that stand on one spot still move."""
    posterior = build_posterior("hmc:particles=3:capacity=8", MODEL)
    state = posterior.init(jax.random.key(0))
    state = state._replace(variance=jnp.zeros(2), chains=jnp.ones((2, 3)), mean=jnp.ones(2))
    state, _ = jax.jit(posterior.refine)(jax.random.key(1), state)
    assert float(state.variance.min()) >= 0.99 * FLOOR**2
    state, info = jax.jit(posterior.refine)(jax.random.key(2), state)
    assert info.healthy
    assert float(jnp.ptp(state.chains[0])) > 0


def test_mapped_gradient_is_the_plain_one() -> None:
    model = build_model("logistic:arms=0:features=3")
    unknowns, store = unknowns_of(model), ReplayBuffer(model, 8, "fold")
    empty, events = store.empty(), simulate(model, 12)
    buffer = store.extend(jax.random.key(0), empty, events, jnp.zeros(unknowns.size))
    particles = unknowns.sample(jax.random.key(1), 5)
    density, key = build_chain_density(unknowns, BufferLikelihood(store)), jax.random.key(2)

    @jax.jit
    def all_ways() -> Any:
        value, pull = jax.vjp(lambda p: jax.vmap(unknowns.log_prior)(p), particles)
        likely, slope = BufferLikelihood(store).value_and_grad(buffer, particles.T)
        expected = value + likely, pull(jnp.ones(5))[0] + slope.T
        alone = jax.value_and_grad(lambda u: density(u, key, buffer))
        return jax.vmap(alone)(particles), alone(particles[0]), expected

    mapped, alone, expected = all_ways()
    for found, one, right in zip(mapped, alone, expected, strict=True):
        scale = np.abs(right).max()
        np.testing.assert_allclose(found / scale, right / scale, atol=1e-5)
        np.testing.assert_allclose(one / scale, right[0] / scale, atol=1e-5)
    assert np.abs(expected[1][1] - mapped[1][0]).max() > 1e-2  # negative control: another chain


def test_minibatch_key_is_meant_to_be_used_again() -> None:
    posterior = build_posterior("hmc:particles=2:capacity=8:batch=2", MODEL)
    state = posterior.init(jax.random.key(0))
    with jax.debug_key_reuse(True):
        jax.jit(lambda k, s: posterior.refine(k, s)).trace(jax.random.key(1), state)


@pytest.mark.parametrize("text", ["hmc:leapfrogs=0", "hmc:acceptance=1.0"])
def test_options_out_of_range_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=text.partition(":")[2].partition("=")[0]):
        build_posterior(text, MODEL)
