"""Adaptive tempered sequential Monte Carlo: from the prior to a posterior of several modes.

The likelihood's exponent grows as fast as half of the particles survive; after each step all are
moved. The error of its means is estimated from the particles' ancestors in the prior, because
descendants of one ancestor are not independent. The prior must be one that can be drawn from.
Sources: Del Moral, Doucet and Jasra (2006); Jasra et al. (2011) for the adaptation; Lee and
Whiteley (2018) for the variance.

See also: posteriors/parts/mcmc_moves.py for the moves.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ....posteriors.base import Array
from ....posteriors.parts.draws import normalise, resample_systematic
from ....posteriors.parts.mcmc_moves import MOVES
from .batch_posterior import BatchPosterior

PARTICLES = 100_000
MOVED = 10
"""Moves after each step of the exponent."""
SURVIVE = 0.5
"""Effective share of the particles that a step leaves."""
HALVINGS = 40
"""Of the interval in which the next exponent lies."""
MOST = 200
"""Steps; more means that the likelihood is never reached."""
LEAST = 1000.0
"""Effective sample size, by ancestors, below which the means are not known."""


class Tempered(NamedTuple):
    """Particles of the posterior and their diagnostics."""

    particles: np.ndarray
    """`[S, D]`, equally weighted."""
    ancestors: np.ndarray
    """`[S]`, position of each one's ancestor in the prior."""
    steps: int
    """Steps of the exponent."""
    ess: float
    """Smallest effective sample size, by ancestors."""
    why: str | None
    """Reason not to use them; None if they pass."""


def run_tempered_smc(problem: BatchPosterior, key: Array, particles: int = PARTICLES) -> Tempered:
    """Draw particles of the posterior in one program.

    problem: posterior to draw from, with a proper prior.
    key: random key.
    particles: their number, S.
    """
    unknowns = problem.unknowns
    move = MOVES["discrete" if unknowns.discrete else "evolution"](unknowns, particles)
    even = jnp.full(particles, -np.log(particles), jnp.result_type(float))

    def share(logs: Array, by: Array) -> Array:
        return 1 / (particles * jnp.sum(jnp.exp(2 * normalise(by * logs))))

    def target(points: Array, exponent: Array) -> Array:
        logs = problem.log_prior(points) + exponent * problem.log_likelihood(points)
        return jnp.where(jnp.isnan(logs), -jnp.inf, logs)

    def next_by(logs: Array, exponent: Array) -> Array:
        """By how much the exponent may grow."""

        def halve(_: int, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
            low, high = bounds
            middle = 0.5 * (low + high)
            enough = share(logs, middle) >= SURVIVE
            return jnp.where(enough, middle, low), jnp.where(enough, high, middle)

        rest = 1 - exponent
        found, _ = jax.lax.fori_loop(0, HALVINGS, halve, (jnp.zeros_like(rest), rest))
        return jnp.where(share(logs, rest) >= SURVIVE, rest, found)

    def step(carry: Any) -> Any:
        points, ancestors, exponent, index = carry
        pick_key, move_key = jax.random.split(jax.random.fold_in(key, index))
        logs = problem.log_likelihood(points)
        logs = jnp.where(jnp.isfinite(logs), logs, jnp.finfo(logs.dtype).min / 1e3)
        by = next_by(logs, exponent)
        picked = resample_systematic(pick_key, normalise(by * logs))
        # Shuffled: a move learns from the other half, and copies lie side by side.
        picked = jax.random.permutation(jax.random.fold_in(pick_key, 1), picked)
        exponent = exponent + by
        points, ancestors = points[:, picked], ancestors[picked]

        def moved(i: int, carry: tuple[Array, Array]) -> tuple[Array, Array]:
            made = move(
                jax.random.fold_in(move_key, i),
                carry[0],
                jnp.exp(even),
                carry[1],
                jnp.ones(()),
                lambda p: target(p, exponent),
                lambda p: (target(p, exponent), p),
            )
            return made.particles, made.target

        points, _ = jax.lax.fori_loop(0, MOVED, moved, (points, target(points, exponent)))
        return points, ancestors, exponent, index + 1

    def run(start_key: Array) -> Any:
        points = unknowns.sample(start_key, particles).T
        start = points, jnp.arange(particles), jnp.zeros(()), jnp.zeros((), jnp.int32)
        return jax.lax.while_loop(lambda c: (c[2] < 1) & (c[3] < MOST), step, start)

    points, ancestors, exponent, steps = jax.jit(run)(jax.random.fold_in(key, MOST))
    values, ancestors = np.asarray(points).T, np.asarray(ancestors)
    size = float(effective_size(values, ancestors).min())
    why = None
    if float(exponent) < 1:
        why = f"SMC: the likelihood was not reached in {MOST} steps"
    elif not size > LEAST:
        why = f"SMC: effective sample size {size:.0f} by ancestors, wanted is above {LEAST:.0f}"
    return Tempered(values, ancestors, int(steps), size, why)


def effective_size(values: np.ndarray, ancestors: np.ndarray) -> np.ndarray:
    """Return the number of independent draws that means over particles are worth.

    values: `[S, Q]`.
    ancestors: of the particles, `[S]`.
    Returns: `[Q]`.
    """
    values = np.asarray(values, float)
    centred = values - values.mean(0)
    families = np.zeros((int(ancestors.max()) + 1, values.shape[1]))
    np.add.at(families, ancestors, centred)
    error = np.square(families).sum(0) / len(values) ** 2
    with np.errstate(all="ignore"):
        return np.where(error > 0, values.var(0) / error, len(values))
