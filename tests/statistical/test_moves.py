"""Each move leaves its target alone: exact populations, moved, still have the target's moments.

Thousands of small independent populations are drawn from a known normal (or categorical) target
and moved; z-scores use the spread between populations, so nothing is assumed about how particles
of one population depend on each other.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats as scipy_stats
from support import Z, seeded
from uncertain.posteriors.parts.mcmc_moves import MOVES, Moved
from uncertain.posteriors.parts.unknowns import unknowns_of
from uncertain.posteriors.registry import build_model

POPULATIONS = 4000
MOVES_EACH = 8
MEAN = np.asarray([0.5, -1.0])
COVARIANCE = np.asarray([[1.0, 0.6], [0.6, 0.8]])
ROOT = jnp.asarray(np.linalg.cholesky(COVARIANCE), jnp.float32)
PRECISION = jnp.asarray(np.linalg.inv(COVARIANCE), jnp.float32)
UNKNOWNS = unknowns_of(build_model("linear:arms=0:features=2"))
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def log_target(particles: Any) -> Any:
    apart = particles - jnp.asarray(MEAN, jnp.float32)[:, None]
    return -0.5 * jnp.sum(apart * (PRECISION @ apart), axis=0)


def spread_out(key: Any, count: int, even: bool) -> Any:
    """Weights `[S]`, equal or very unequal, that know nothing of the particles."""
    logs = jnp.zeros(count) if even else 2.0 * jax.random.normal(key, (count,))
    return jax.nn.softmax(logs)


def moved(
    move: Any,
    count: int,
    even: bool = True,
    reuse: bool = False,
    density: Any = log_target,
    start: float = 1.0,
) -> np.ndarray:
    """`[R, 2, S]` populations drawn from the target and moved.

    Wrong samplers: reuse moves with the key that drew the population; density is what the move
    takes for the target; start scales the variance of the draws.
    """

    def slope(particles: Any) -> tuple[Any, Any]:
        value, pull = jax.vjp(density, particles)
        return value, pull(jnp.ones_like(value))[0]

    def one(key: Any) -> Any:
        start_key, weight_key, move_key = jax.random.split(key, 3)
        keys = jax.random.split(move_key, MOVES_EACH)
        noise = jnp.sqrt(start) * jax.random.normal(start_key, (2, count))
        particles = jnp.asarray(MEAN, jnp.float32)[:, None] + ROOT @ noise
        weights = spread_out(weight_key, count, even)
        target = density(particles)

        def step(carry: Any, k: Any) -> Any:
            found = move(k, carry[0], weights, carry[1], jnp.float32(1), density, slope)
            return (found.particles, found.target), None

        used = jnp.stack([start_key] * MOVES_EACH) if reuse else keys
        (particles, _), _ = jax.lax.scan(step, (particles, target), used)
        return particles

    keys = jax.random.split(seeded(11), POPULATIONS)
    return np.asarray(jax.jit(jax.vmap(one))(keys), float)


def scores(populations: np.ndarray) -> np.ndarray:
    """z-scores of the means, second moments and quantiles of both coordinates and their sum."""
    centred = populations - MEAN[None, :, None]
    features = [centred[:, 0], centred[:, 1], centred[:, 0] * centred[:, 1] - COVARIANCE[0, 1]]
    sums = centred.sum(1), COVARIANCE.sum()
    parts = [*zip(centred.swapaxes(0, 1), COVARIANCE.diagonal(), strict=True), sums]
    for values, variance in parts:
        features.append(values**2 - variance)
        edges = np.sqrt(variance) * scipy_stats.norm.ppf(QUANTILES)
        features += [(values < e) - q for e, q in zip(edges, QUANTILES, strict=True)]
    means = np.stack([f.mean(1) for f in features])
    return means.mean(1) / (means.std(1, ddof=1) / np.sqrt(means.shape[1]))


pytestmark = pytest.mark.rate(1e-5)
LIMIT = Z + 0.7
"""Twenty-one z-scores at a total false-alarm rate of 1e-5 (Bonferroni)."""


@pytest.mark.parametrize(("count", "even"), [(4, False), (9, True)])
@pytest.mark.parametrize("name", ["evolution", "walk", "hmc"])
def test_move_leaves_its_target_alone(name: str, count: int, even: bool) -> None:
    populations = moved(MOVES[name](UNKNOWNS, count), count, even)
    assert np.abs(scores(populations)).max() < LIMIT
    # It does move: a sampler that stands still would pass as well.
    assert np.mean(populations != moved(stand_still, count, even)) > 0.3


def stand_still(key: Any, particles: Any, weights: Any, target: Any, *rest: Any) -> Moved:
    """A move that makes none."""
    return Moved(particles, target, jnp.zeros(()), 0)


def always(key: Any, particles: Any, weights: Any, target: Any, step: Any, *rest: Any) -> Moved:
    """A wrong move: every proposal is accepted."""
    proposal = particles + 0.2 * jax.random.normal(key, particles.shape)
    return Moved(proposal, target, jnp.ones(()), 1)


def fitted(
    key: Any, particles: Any, weights: Any, target: Any, step: Any, density: Any, slope: Any
):
    """A wrong move: its scale is fitted to the particles it moves."""
    noise_key, uniform_key = jax.random.split(key)
    spread = jnp.std(particles, axis=1, keepdims=True)
    proposal = particles + 2 * spread * jax.random.normal(noise_key, particles.shape)
    proposed = density(proposal)
    accept = jnp.log(jax.random.uniform(uniform_key, target.shape)) < proposed - target
    kept = jnp.where(accept[None, :], proposal, particles)
    return Moved(kept, jnp.where(accept, proposed, target), jnp.mean(accept), 1)


def without_jacobian(particles: Any) -> Any:
    """The target as if the first coordinate were the log of what has this density."""
    return log_target(particles) - particles[0]


WALK = MOVES["walk"](UNKNOWNS, 9)
WRONG = {
    "accepts always": lambda: moved(always, 9),
    "fitted to what it moves": lambda: moved(fitted, 3),
    "Jacobian left out": lambda: moved(WALK, 9, density=without_jacobian),
    "half the variance": lambda: moved(WALK, 9, density=lambda p: 2 * log_target(p)),
    "started too wide": lambda: moved(WALK, 9, start=2.0),
    "key reused": lambda: moved(WALK, 9, reuse=True),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_move_is_caught(name: str) -> None:
    assert np.abs(scores(WRONG[name]())).max() > LIMIT


def frequencies(density: Any) -> float:
    """Pearson's statistic, in standard errors, of discrete moves from and for a known target."""
    unknowns = unknowns_of(build_model("finite:weights=(0.4,0.3,0.2,0.1)"))
    chances = np.asarray([0.1, 0.2, 0.2, 0.5])
    move = MOVES["discrete"](unknowns, 8)

    def one(key: Any) -> Any:
        start_key, *keys = jax.random.split(key, 4)
        particles = jax.random.categorical(start_key, jnp.log(chances), shape=(1, 8))
        particles = particles.astype(jnp.int32)
        target = density(particles)
        for k in keys:
            found = move(k, particles, jnp.ones(8) / 8, target, jnp.float32(1), density, None)
            particles, target = found.particles, found.target
        return particles

    found = np.asarray(jax.jit(jax.vmap(one))(jax.random.split(seeded(5), POPULATIONS)))
    shares = np.stack([(found == k).mean((1, 2)) for k in range(4)], 1)
    return float(np.abs((shares.mean(0) - chances) / (shares.std(0) / POPULATIONS**0.5)).max())


def test_discrete_move_leaves_its_target_alone() -> None:
    chances = jnp.asarray([0.1, 0.2, 0.2, 0.5])
    assert frequencies(lambda p: jnp.log(chances)[p[0]]) < LIMIT
    # Negative control: the prior counted twice, 0.4, 0.3, 0.2, 0.1.
    twice = jnp.log(chances * jnp.asarray([0.4, 0.3, 0.2, 0.1]))
    assert frequencies(lambda p: twice[p[0]]) > LIMIT
