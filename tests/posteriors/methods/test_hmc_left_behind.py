"""Chains of hmc that are left behind: told by their density, and only once they had time.

See also: benchmarks/left_behind.py for the rate.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import compiled, simulate
from uncertain.posteriors import build_posterior
from uncertain.posteriors.methods.hmc import LOST, PATIENCE, choose_donors
from uncertain.posteriors.models.linear import Linear

MODEL = Linear(arms=0, features=3, noise=0.5)


@pytest.mark.parametrize(
    ("density", "expected"),
    [
        ([-1.0, -2.0, -3.0, -4.0], [0, 1, 2, 3]),
        ([-1.0, -99.0, -3.0, -4.0], [0, 0, 2, 3]),
        # Two that are lost do not both follow the first.
        ([-1.0, -99.0, -3.0, -4.0, -98.0], [0, 0, 2, 3, 2]),
        ([-1.0, np.nan, -3.0, -np.inf, -2.0], [0, 0, 2, 2, 4]),
        # The median is lost too, and so nobody is.
        ([-99.0, -99.0, -99.0, -1.0], [0, 1, 2, 3]),
        ([np.nan, np.nan, np.nan], [0, 1, 2]),
    ],
)
def test_whose_place_a_chain_takes(density: list[float], expected: list[int]) -> None:
    np.testing.assert_array_equal(jax.jit(choose_donors)(jnp.array(density), 10.0), expected)


def behind(quiet: int) -> tuple[np.ndarray, np.ndarray]:
    """Chains `[S, D]` before and after one transition, the last of which begins far out."""
    posterior = compiled(build_posterior("hmc:particles=8", MODEL))
    state = posterior.absorb(
        jax.random.key(1), posterior.init(jax.random.key(0)), simulate(MODEL, 64)
    )
    chains = jnp.zeros_like(state.chains).at[:, -1].set(200.0)
    tiny = jnp.asarray(1e-4, state.step_size.dtype)
    state = state._replace(
        chains=chains, step_size=tiny, quiet=jnp.asarray(quiet, state.quiet.dtype)
    )
    end, _ = jax.jit(posterior.refine)(jax.random.key(2), state)
    return np.asarray(chains.T), np.asarray(end.chains.T)


def test_a_chain_far_out_goes_on_from_another_once_it_had_time() -> None:
    before, after = behind(PATIENCE)
    assert np.abs(after[-1]).max() < 1
    np.testing.assert_array_equal(after[-1], after[0])
    assert np.abs(after[:-1] - before[:-1]).max() < 1
    # Negative control: events have just come.
    assert np.abs(behind(PATIENCE - 1)[1][-1]).min() > 100


def test_draws_of_the_posterior_are_not_so_low() -> None:
    """The farthest of 10^5 draws of a normal is a third as low as what is lost, if that."""
    draws = jax.random.normal(jax.random.key(0), (100_000, 3))
    density = -jnp.square(draws).sum(1) / 2
    assert jnp.median(density) - density.min() < LOST * 3 / 3
