"""Long chains of the no-U-turn sampler (BlackJAX), adapted and run in one program.

Only draws that pass R-hat and effective sample size may serve as a reference; `Chains.why` gives
the reason if they fail.
Sources: Hoffman and Gelman (2014); Vehtari et al. (2021) for rank-normalised R-hat and ESS.

See also: reference_draws.py for running them longer.
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
    """Draws of all chains and their diagnostics."""

    draws: np.ndarray
    """`[C, n, D]`."""
    rhat: float
    """Largest R-hat."""
    ess: float
    """Smallest effective sample size."""
    why: str | None
    """Reason not to use them; None if they pass."""


def run_chains(problem: BatchPosterior, key: Array, draws: int = DRAWS, warm: int = WARM) -> Chains:
    """Run chains from draws of the prior, or from the start that the model states.

    problem: posterior to draw from.
    key: random key.
    draws: of each chain.
    warm: adaptation steps of each chain.
    """
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
    """Diagnose chains.

    draws: `[C, n, D]`.
    """
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
