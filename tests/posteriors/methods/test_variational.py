"""variational against the best normal of its kind, known where the posterior is normal.

See also: tests/posteriors/test_contract.py for the contract.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import dense, simulate
from uncertain.posteriors.base import Draws, Gaussian
from uncertain.posteriors.errors import UsageError
from uncertain.posteriors.methods.variational import Normal, draw_points, entropy, mirror_noise
from uncertain.posteriors.registry import build_model, build_posterior

MODEL = build_model("linear:arms=0:features=3:noise=2.0:scale=1.5")
CLOSE = 0.03
"""What the noise of the last, smallest steps may leave: posterior standard deviations of the mean,
relative error of a variance."""


def correlated() -> Any:
    """Ten events whose features go together: the posterior's coordinates are correlated."""
    events = simulate(MODEL, 10, 3)
    action = events.action.at[:, 1].set(0.8 * events.action[:, 0] + 0.3 * events.action[:, 1])
    return events._replace(action=action)


EVENTS = correlated()


def exact() -> tuple[np.ndarray, np.ndarray]:
    """Posterior mean and precision."""
    x, y = np.asarray(EVENTS.action, float), np.asarray(EVENTS.observation, float)
    precision = x.T @ x / MODEL.noise**2 + np.eye(3) / MODEL.scale**2
    return np.linalg.solve(precision, x.T @ y / MODEL.noise**2), precision


def settled(text: str) -> Gaussian:
    """The belief after many steps, ever smaller."""
    posterior = build_posterior(text, MODEL)

    @jax.jit
    def run(key: Any) -> Any:
        init_key, absorb_key, refine_key, belief_key = jax.random.split(key, 4)
        state = posterior.absorb(absorb_key, posterior.init(init_key), EVENTS)

        def step(state: Any, item: Any) -> Any:
            key, size = item
            return posterior.refine(key, state._replace(step_size=size))[0], None

        sizes = jnp.concatenate([jnp.full(1000, 0.05), jnp.geomspace(0.05, 1e-4, 3000)])
        state, _ = jax.lax.scan(step, state, (jax.random.split(refine_key, 4000), sizes))
        return posterior.belief(belief_key, state, jnp.zeros(()))

    return run(jax.random.key(0))


def test_mean_field_has_the_mean_and_the_diagonal_of_the_precision() -> None:
    """The closest diagonal normal (Bishop 2006, section 10.1.2)."""
    mean, precision = exact()
    belief = settled("variational:capacity=16:samples=16")
    assert belief.covariance.shape == (3, 1, 1)
    variance = np.asarray(belief.covariance, float)[:, 0, 0]
    apart = np.abs(np.asarray(belief.mean, float) - mean) * np.sqrt(np.diag(precision))
    assert apart.max() < CLOSE
    assert np.abs(variance * np.diag(precision) - 1).max() < CLOSE
    # Negative controls: the true marginal variances, and no mean.
    assert np.abs(np.diag(np.linalg.inv(precision)) * np.diag(precision) - 1).max() > CLOSE
    assert (np.abs(mean) * np.sqrt(np.diag(precision))).max() > CLOSE


def test_low_rank_reaches_the_whole_covariance() -> None:
    mean, precision = exact()
    covariance = np.linalg.inv(precision)
    belief = settled("variational:capacity=16:samples=16:structure=low-rank:rank=2")
    assert belief.covariance.shape == (1, 3, 3)
    scale = np.sqrt(np.diag(covariance))

    def off(found: np.ndarray) -> float:
        return float(np.abs((found - covariance) / np.outer(scale, scale)).max())

    assert (np.abs(np.asarray(belief.mean, float) - mean) / scale).max() < CLOSE
    assert off(dense(belief.covariance)) < CLOSE
    assert off(np.diag(1 / np.diag(precision))) > CLOSE  # negative control: mean field


def test_entropy_is_half_the_log_determinant() -> None:
    rng = np.random.default_rng(0)
    normal = Normal(*(jnp.asarray(rng.normal(size=s), jnp.float32) for s in (4, 4, (4, 2))))
    factor = np.asarray(normal.factor, float)
    covariance = np.diag(np.exp(2 * np.asarray(normal.log_scale, float))) + factor @ factor.T
    expected = 0.5 * np.linalg.slogdet(covariance)[1]
    np.testing.assert_allclose(entropy(normal), expected, rtol=1e-5)
    # The map from noise to points is linear; its square is the covariance.
    through = (
        np.asarray(draw_points(normal, jnp.eye(4, 6), jnp.eye(2, 6, 4))) - normal.mean[:, None]
    )
    np.testing.assert_allclose(through @ through.T, covariance, rtol=1e-5)
    assert np.abs(mirror_noise(through).sum(1)).max() < 1e-5


def test_a_wide_low_rank_belief_is_draws() -> None:
    model = build_model("linear:arms=0:features=300")
    posterior = build_posterior(
        "variational:structure=low-rank:rank=2:particles=5:capacity=4", model
    )
    state = jax.jit(posterior.init)(jax.random.key(0))
    belief = posterior.belief(jax.random.key(1), state, jnp.zeros(()))
    assert isinstance(belief, Draws)
    assert belief.values.shape == (5, 300)
    # 1 500 numbers of the prior's scale 1, their spread known to 2 %: five standard errors.
    assert abs(float(jnp.std(belief.values)) - 1) < 0.1


@pytest.mark.parametrize("text", ["structure=full", "samples=3", "samples=0", "rank=0"])
def test_options_out_of_range_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=text.partition("=")[0]):
        build_posterior(f"variational:{text}", MODEL)
