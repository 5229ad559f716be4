"""Block-diagonal covariances `[B, b, b]`: products, and the steps of a Kalman filter.

Not here: what the blocks are about, or where the curvature comes from (curvature.py).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from .base import Array

TRUST = 3.0
"""Longest linearised step, in posterior standard deviations."""


def apply(covariance: Array, vector: Array) -> Array:
    """Block-diagonal `covariance [B, b, b]` times `vector [D]`."""
    blocks = vector.reshape(covariance.shape[:2])
    return jnp.einsum("bij,bj->bi", covariance, blocks).reshape(-1)


def contract(covariance: Array, rows: Array) -> Array:
    """Covariance after seeing information `rows.T @ rows`, one rank-one step a row `[R, D]`.

    Each step subtracts an exactly symmetric outer product, so symmetry never drifts.
    """

    def one(covariance: Array, row: Array) -> tuple[Array, None]:
        blocks = row.reshape(covariance.shape[:2])
        pushed = jnp.einsum("bij,bj->bi", covariance, blocks)
        gain = 1 / (1 + jnp.sum(pushed * blocks, axis=1))
        outer = pushed[:, :, None] * pushed[:, None, :]
        return covariance - gain[:, None, None] * outer, None

    return jax.lax.scan(one, covariance, rows, unroll=min(rows.shape[0], 4))[0]


def joint_step(covariance: Array, rows: Array, score: Array) -> Array:
    """The mean's step `(P^-1 + rows.T @ rows)^-1 @ score` from the covariance P before the event.

    Where the blocks of P are only an approximation, one event tells of coordinates in several of
    them. Stepping each block by its own updated covariance would count the event's surprise once
    a block, and overshoot the more, the more blocks there are; this shares it out.
    """
    pushed = jax.vmap(apply, in_axes=(None, 0))(covariance, rows)
    inner = jnp.eye(rows.shape[0]) + rows @ pushed.T
    inner = inner.astype(rows.dtype)
    return apply(covariance, score) - pushed.T @ jnp.linalg.solve(inner, pushed @ score)


def trusted(step: Array, score: Array) -> Array:
    """A linearised step `covariance @ score`, cut where it is longer than `TRUST`."""
    length = jnp.sqrt(jnp.maximum(step @ score, 0.0))
    return step * jnp.minimum(1.0, TRUST / jnp.maximum(length, TRUST))
