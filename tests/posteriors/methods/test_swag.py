"""swag's moments against plain NumPy sums over its own iterates, its draws against those moments.

See also: tests/posteriors/test_contract.py for the contract.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fitting import values_of
from support import Z, simulate
from uncertain.posteriors.errors import UsageError
from uncertain.posteriors.registry import build_model, build_posterior

MODEL = build_model("logistic:arms=0:features=3")
RANK, EVERY, WINDOW, STEPS = 4, 3, 25, 80
TEXT = f"swag:rank={RANK}:every={EVERY}:window={WINDOW}:batch=4"


def climbed(text: str = TEXT, steps: int = STEPS):
    """The posterior, its final state, and the iterates `[steps, D]` that led there."""
    posterior = build_posterior(text, MODEL)

    @jax.jit
    def run(events):
        def step(state, key):
            state, _ = posterior.refine(key, state)
            return state, state.estimate.params

        state = posterior.absorb(jax.random.key(1), posterior.init(jax.random.key(0)), events)
        return jax.lax.scan(step, state, jax.random.split(jax.random.key(2), steps))

    state, iterates = run(simulate(MODEL, 30))
    return posterior, state, np.asarray(iterates, float)


def weights(steps: int, window: float) -> np.ndarray:
    """How much each iterate counts after `steps` of them; they sum to 1."""
    shares = 1 / np.minimum(np.arange(1, steps + 1), window)
    left = np.append(np.cumprod((1 - shares[1:])[::-1])[::-1], 1)
    return shares * left


def moments(iterates: np.ndarray, window: float) -> tuple[np.ndarray, np.ndarray]:
    share = weights(len(iterates), window)
    mean = share @ iterates
    return mean, share @ iterates**2 - mean**2


def test_moments_are_those_of_the_iterates() -> None:
    _, state, iterates = climbed()
    assert weights(STEPS, WINDOW).sum() == pytest.approx(1)
    mean, variance = moments(iterates, WINDOW)
    assert np.allclose(state.mean, mean, rtol=1e-4, atol=1e-5)
    assert np.allclose(state.variance, variance, rtol=1e-3, atol=1e-6)
    taken = range(EVERY, STEPS + 1, EVERY)
    away = [iterates[n - 1] - moments(iterates[:n], WINDOW)[0] for n in taken]
    kept = np.sort(np.asarray(away[-RANK:]), axis=0)
    assert np.allclose(np.sort(state.deviations, axis=0), kept, atol=1e-5)
    # Negative control: without forgetting the first climb is still in the moments.
    plain, _ = moments(iterates, np.inf)
    assert not np.allclose(state.mean, plain, rtol=1e-2)


def test_draws_have_half_of_each_covariance() -> None:
    scale, count = 1.5, 20_000
    posterior, state, _ = climbed(f"{TEXT}:scale={scale}:particles={count}")
    values = values_of(posterior, state)
    away = np.asarray(state.deviations, float)
    low_rank = away.T @ away / (RANK - 1)

    def error(share: float) -> float:
        diagonal = np.diag(np.asarray(state.variance, float))
        expected = scale**2 * (share * diagonal + (1 - share) * low_rank)
        found = np.cov(values.T)
        sd = np.sqrt(np.diag(expected))
        # A sample covariance of normals errs by sqrt((1 + r^2) / n) sd_i sd_j at most sqrt(2 / n).
        return float(np.max(np.abs(found - expected) / np.outer(sd, sd)) * np.sqrt(count / 2))

    # Nine entries at a total false-alarm rate below 1e-4.
    assert error(0.5) < Z
    # Negative control: one covariance alone.
    assert error(1.0) > Z
    assert error(0.0) > Z
    middle = np.abs(values.mean(0) - np.asarray(state.mean, float))
    assert np.all(middle < Z * values.std(0) / np.sqrt(count))


def test_before_the_first_step_it_is_a_point() -> None:
    posterior = build_posterior("swag:particles=3", MODEL)
    state = posterior.init(jax.random.key(0))
    assert np.allclose(values_of(posterior, state), state.estimate.params, atol=1e-6)


def test_first_deviation_of_few_is_not_thinned_by_empty_ones() -> None:
    posterior, state, _ = climbed(TEXT.replace("rank=4", "rank=50"), 12)
    away = np.asarray(state.deviations, float)
    assert np.count_nonzero(np.abs(away).sum(1)) == 12 // EVERY
    quiet = state._replace(variance=jnp.zeros(3))
    many = np.concatenate([values_of(posterior, quiet, seed) for seed in range(400)])
    expected = (away**2).sum(0) / 2 / (12 // EVERY - 1)
    # A sample variance of n normals errs by sqrt(2 / n).
    assert np.all(np.abs(many.var(0) / expected - 1) < Z * np.sqrt(2 / len(many)))


@pytest.mark.parametrize("wrong", ["rank=0", "every=0", "window=0.5", "scale=-1"])
def test_what_it_refuses(wrong: str) -> None:
    with pytest.raises(UsageError, match=f"swag: {wrong}"):
        build_posterior(f"swag:{wrong}", MODEL)
