"""Long chains of the no-U-turn sampler (BlackJAX), all of them and their adaptation in one program.

Only draws that pass R-hat and effective sample size may be a reference: `Chains.why` says what they
fail. Not here: what is done about it (longrun.py).
Sources: Hoffman and Gelman (2014); Vehtari et al. (2021) for rank-normalised R-hat and ESS.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ....posteriors.base import Array
from .batch_posterior import BatchPosterior

CHAINS, WARM, DRAWS = 8, 1000, 1000
RHAT, ESS = 1.01, 1000.0
"""Largest R-hat and least effective sample size, of every coordinate and of its square."""


class Chains(NamedTuple):
    """draws `[C, n, D]`; the worst R-hat and ESS; why they will not do, None if they will."""

    draws: np.ndarray
    rhat: float
    ess: float
    why: str | None


def run_chains(problem: BatchPosterior, key: Array, draws: int = DRAWS, warm: int = WARM) -> Chains:
    """Run chains that start where the model's prior or stated start is."""
    import blackjax

    start_key, run_key = jax.random.split(key)

    def one(key: Array, start: Array) -> Array:
        warm_key, draw_key = jax.random.split(key)
        adaptation: Any = blackjax.window_adaptation(blackjax.nuts, problem.log_density)
        (state, parameters), _ = adaptation.run(warm_key, start, num_steps=warm)
        sampler = blackjax.nuts(problem.log_density, **parameters)

        def step(state: Any, key: Array) -> tuple[Any, Array]:
            state, _ = sampler.step(key, state)
            return state, state.position

        return jax.lax.scan(step, state, jax.random.split(draw_key, draws))[1]

    def run(start_key: Array, run_key: Array) -> Array:
        starts = problem.unknowns.sample(start_key, CHAINS)
        return jax.vmap(one)(jax.random.split(run_key, CHAINS), starts)

    with jax.numpy_rank_promotion("allow"):  # BlackJAX relies on it
        return check_chains(np.asarray(jax.jit(run)(start_key, run_key)))


def check_chains(draws: np.ndarray) -> Chains:
    """Chains `[C, n, D]` with what they fail, if anything."""
    from blackjax.diagnostics import effective_sample_size, rhat

    centred = draws - draws.mean((0, 1))
    both = jnp.asarray(np.concatenate([centred, np.square(centred)], axis=-1))
    with jax.numpy_rank_promotion("allow"):
        apart, size = np.asarray(rhat(both)), np.asarray(effective_sample_size(both))
    worst = float(np.max(np.nan_to_num(apart, nan=np.inf)))
    least = float(np.min(np.nan_to_num(size, nan=0.0)))
    why = None
    if not worst < RHAT:
        why = f"NUTS: R-hat {worst:.4g} of {draws.shape[0]} chains, wanted is below {RHAT:g}"
    elif not least > ESS:
        why = f"NUTS: effective sample size {least:.0f}, wanted is above {ESS:.0f}"
    return Chains(draws, worst, least, why)
