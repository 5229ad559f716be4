"""Weighted draws: normalising, resampling, equal weights."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from ..base import Array, Draws


def normalise(log_weights: Array) -> Array:
    """Shift log weights so that their exponentials sum to 1.

    log_weights: `[S]`.
    """
    return log_weights - jax.nn.logsumexp(log_weights)


def resample_systematic(key: Array, log_weights: Array, count: int | None = None) -> Array:
    """Choose draws by systematic resampling: one uniform, no sorting.

    Each draw is chosen as often as its weight says, up to less than one. Source: Kitagawa (1996).

    key: for the uniform.
    log_weights: `[S]`, normalised.
    count: number to choose, S unless given.

    Returns: `[count]` int32 indices.
    """
    size = log_weights.shape[0]
    wanted = size if count is None else count
    edges = jnp.cumsum(jnp.exp(log_weights))
    points = (jnp.arange(wanted) + jax.random.uniform(key)) / wanted
    # Rounding may leave the last edge below 1.
    return jnp.minimum(jnp.searchsorted(edges, points * edges[-1]), size - 1)


def uniform_draws(values: Array) -> Draws:
    """Make equally weighted draws.

    values: `[S, D]`.
    """
    count = values.shape[0]
    return Draws(values, jnp.full(count, -np.log(count), jnp.result_type(float)))
