"""A covariance as L D L': what is certain stays positive, whatever the scale of its features.

Subtracting from a covariance loses a variance that is 1e-7 of what it was; here variances are only
ever multiplied, and a feature's scale is a factor of its column.

Source: Bierman (1977), Factorization Methods for Discrete Sequential Estimation, his U D U' from
the other end, with its recursions over coordinates as cumulative sums.
See also: block_gaussian.py for covariances that are not factored.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from ..base import Array


def factor_of(root: Array) -> Array:
    """Return the factor of the covariance `root @ root'`.

    root: `[B, b, b]`, lower triangles.

    Returns: `[B, b, b]`, L below the diagonal (1 on its own), D on it.
    """
    pivots = jnp.einsum("bii->bi", root)
    return _packed(root / pivots[:, None, :], jnp.square(pivots))


def root_of(factor: Array) -> Array:
    """Return the Cholesky factor `[B, b, b]` of the covariance.

    factor: `[B, b, b]`.
    """
    lower, variances = _parts(factor)
    return lower * jnp.sqrt(variances)[:, None, :]


def condition_factor(factor: Array, row: Array) -> tuple[Array, Array]:
    """Update a factored covariance by information `row row'`.

    factor: `[B, b, b]`, before the event.
    row: `[D]`, D = B b, of which all but one block are 0.

    Returns: the factor after it; the gain `[D]`, by which the mean moves for each unit of surprise
        in the row's own direction.
    """
    lower, variances = _parts(factor)
    seen = jnp.einsum("bij,bi->bj", lower, row.reshape(variances.shape))
    pushed = variances * seen
    # From the last coordinate on, without its own term.
    total = 1 + jax.lax.cumsum(pushed * seen, axis=1, reverse=True)
    before = jnp.concatenate([total[:, 1:], jnp.ones_like(total[:, :1])], axis=1)
    moved = jax.lax.cumsum(lower * pushed[:, None, :], axis=2, reverse=True)
    gain = moved[:, :, 0] / total[:, :1]
    others = jnp.concatenate([moved[:, :, 1:], jnp.zeros_like(moved[:, :, :1])], axis=2)
    lower = lower - others * (seen / before)[:, None, :]
    return _packed(lower, variances * (before / total)), gain.reshape(row.shape)


def _parts(factor: Array) -> tuple[Array, Array]:
    """L, with its 1s, and D `[B, b]`."""
    unit = jnp.eye(factor.shape[-1], dtype=factor.dtype)
    return jnp.tril(factor, -1) + unit[None], jnp.einsum("bii->bi", factor)


def _packed(lower: Array, variances: Array) -> Array:
    return jnp.tril(lower, -1) + jax.vmap(jnp.diag)(variances)
