"""svgd against BlackJAX, and what its particles do.

See also: tests/posteriors/test_contract.py for the contract.
"""

from typing import Any

import blackjax
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from blackjax.vi.svgd import median_heuristic
from support import simulate
from uncertain.posteriors.methods.svgd import (
    bandwidth,
    select_ranks,
    squared_distances,
    stein_direction,
)
from uncertain.posteriors.parts.unknowns import log_likelihood, unknowns_of
from uncertain.posteriors.registry import build_model, build_posterior

ROUNDING = 1e-9
"""Relative: some hundred float64 operations, and the cancellation of squared distances."""


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("count", [2, 7, 32])
def test_direction_is_that_of_blackjax(count: int) -> None:
    """One plain step of size 1 from the same particles, kernel and gradient."""
    model = build_model("logistic:arms=0:features=3")
    unknowns, events = unknowns_of(model), simulate(model, 20)
    each = jax.vmap(lambda u, a, y: log_likelihood(model, u, (), a, y), (None, 0, 0))

    def log_density(u: Any) -> Any:
        return jnp.sum(each(u, events.action, events.observation)) + unknowns.log_prior(u)

    @jax.jit
    def both() -> Any:
        slope = jax.grad(log_density)
        particles = unknowns.sample(jax.random.key(2), count)
        width = median_heuristic({}, particles)["length_scale"]
        peer = blackjax.svgd(slope, optax.sgd(1.0))
        moved = peer.step(peer.init(particles, {"length_scale": width})).particles
        points, gradient = particles.T, jax.vmap(slope)(particles).T
        found = stein_direction(points, gradient)
        alone = found - stein_direction(points, 0 * gradient)
        return width, bandwidth(squared_distances(points)), moved - particles, found.T, alone.T

    width, mine, expected, found, alone = map(np.asarray, both())
    assert expected.dtype == np.float64
    np.testing.assert_allclose(mine, width, rtol=ROUNDING)
    scale = np.abs(expected).max()
    assert np.abs(found - expected).max() < ROUNDING * scale
    # Negative control: no repulsion.
    assert np.abs(alone - expected).max() > ROUNDING * scale


def test_order_is_that_of_sorting() -> None:
    values = np.random.default_rng(0).exponential(size=(9, 9)).astype(np.float32)
    values[2] = values[3]  # ties
    values[0, :3] = 0.0, 1e-40, 1e30
    ranks = tuple(range(0, 81, 4))
    np.testing.assert_array_equal(
        select_ranks(jnp.asarray(values), ranks), np.sort(values, None)[::4]
    )


@pytest.mark.parametrize("count", [1, 2])
def test_particles_on_one_spot_stay_finite(count: int) -> None:
    points = jnp.ones((3, count))
    found = stein_direction(points, 2 * points)
    np.testing.assert_allclose(found, 2.0)


def settled(text: str, model: Any, events: Any, refines: int = 600) -> Any:
    posterior = build_posterior(text, model)

    @jax.jit
    def run(key: Any) -> Any:
        init_key, absorb_key, refine_key = jax.random.split(key, 3)
        state = posterior.absorb(absorb_key, posterior.init(init_key), events)

        def step(state: Any, item: Any) -> Any:
            key, size = item
            return posterior.refine(key, state._replace(step_size=size))[0], None

        sizes = jnp.concatenate([jnp.full(refines, 0.1), jnp.geomspace(0.1, 1e-4, refines)])
        return jax.lax.scan(step, state, (jax.random.split(refine_key, 2 * refines), sizes))[0]

    return run(jax.random.key(0))


SCALED = build_model("linear:arms=0:features=2:noise=4.0:scale=3.0")


def exact(events: Any) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.asarray(events.action, float), np.asarray(events.observation, float)
    covariance = np.linalg.inv(x.T @ x / SCALED.noise**2 + np.eye(2) / SCALED.scale**2)
    return covariance @ x.T @ y / SCALED.noise**2, covariance


def test_one_particle_is_the_point_estimate() -> None:
    events = simulate(SCALED, 10)
    mean, covariance = exact(events)
    found = np.asarray(settled("svgd:particles=1:capacity=16", SCALED, events).particles, float)
    sd = np.sqrt(np.diag(covariance))
    assert (np.abs(found[:, 0] - mean) / sd).max() < 1e-2
    # Negative control: the answer without the last event.
    fewer, _ = exact(jax.tree.map(lambda x: x[:-1], events))
    assert (np.abs(found[:, 0] - fewer) / sd).max() > 1e-2


def test_particles_find_mean_and_spread() -> None:
    """The kernel leaves the mean of a normal posterior alone, and makes its spread too small: by
    at most a quarter with 32 particles in two dimensions. Without repulsion there is none."""
    events = simulate(SCALED, 10)
    mean, covariance = exact(events)
    sd = np.sqrt(np.diag(covariance))
    found = np.asarray(settled("svgd:particles=32:capacity=16", SCALED, events).particles, float)
    assert (np.abs(found.mean(1) - mean) / sd).max() < 0.05
    ratio = found.std(1) / sd
    assert ratio.min() > 0.75
    assert ratio.max() < 1.1
    prior = np.full(2, SCALED.scale)
    assert (prior / sd).min() > 1.1  # negative control: the prior's spread
    assert (np.abs(mean) / sd).max() > 0.05  # and its mean
