"""Block-diagonal matrices `[B, b, b]`: products, and the steps of a Kalman filter.

See also: curvature.py for the rows and scores that the steps take.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from ..base import Array

TRUST = 3.0
"""Longest linearised step, in posterior standard deviations."""


def block_matvec(matrix: Array, vector: Array) -> Array:
    """Multiply a block-diagonal matrix by a vector.

    matrix: `[B, b, b]`.
    vector: `[D]`, D = B b.

    Returns: `[D]`.
    """
    blocks = vector.reshape(matrix.shape[:2])
    return jnp.einsum("bij,bj->bi", matrix, blocks).reshape(-1)


def block_matmul(matrix: Array, particles: Array) -> Array:
    """Multiply a block-diagonal matrix by columns.

    matrix: `[B, b, b]`.
    particles: `[D, S]`, D = B b.

    Returns: `[D, S]`.
    """
    parts = particles.reshape(*matrix.shape[:2], -1)
    return jnp.einsum("bij,bjs->bis", matrix, parts).reshape(particles.shape)


def condition_covariance(covariance: Array, rows: Array) -> Array:
    """Update a covariance by information `rows.T @ rows`, one rank-one step a row.

    Each step subtracts an exactly symmetric outer product, so symmetry never drifts.

    covariance: `[B, b, b]`, before the event.
    rows: `[R, D]`.

    Returns: `[B, b, b]`.
    """

    def step(covariance: Array, row: Array) -> tuple[Array, None]:
        blocks = row.reshape(covariance.shape[:2])
        pushed = jnp.einsum("bij,bj->bi", covariance, blocks)
        gain = 1 / (1 + jnp.sum(pushed * blocks, axis=1))
        outer = pushed[:, :, None] * pushed[:, None, :]
        return covariance - gain[:, None, None] * outer, None

    return jax.lax.scan(step, covariance, rows, unroll=min(rows.shape[0], 4))[0]


def joint_step(covariance: Array, rows: Array, score: Array) -> Array:
    """Compute the mean's step `(P^-1 + rows.T @ rows)^-1 @ score` with P block diagonal.

    Where the blocks are only an approximation, one event is about coordinates in several of them.
    Stepping each block by its own updated covariance would count the event's surprise once a
    block and overshoot; the joint step counts it once.

    covariance: `[B, b, b]`, P, before the event.
    rows: `[R, D]`, the event's information.
    score: `[D]`, gradient of its log likelihood.

    Returns: `[D]`.
    """
    pushed = jax.vmap(block_matvec, in_axes=(None, 0))(covariance, rows)
    inner = jnp.eye(rows.shape[0]) + rows @ pushed.T
    inner = inner.astype(rows.dtype)
    return block_matvec(covariance, score) - pushed.T @ jnp.linalg.solve(inner, pushed @ score)


def clip_step(step: Array, score: Array) -> Array:
    """Shorten a linearised step to at most `TRUST` posterior standard deviations.

    step: `[D]`, covariance times score.
    score: `[D]`.

    Returns: `[D]`.
    """
    length = jnp.sqrt(jnp.maximum(step @ score, 0.0))
    return step * jnp.minimum(1.0, TRUST / jnp.maximum(length, TRUST))
