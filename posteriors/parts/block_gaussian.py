"""Block-diagonal matrices `[B, b, b]`: products, and the steps of a Kalman filter.

A covariance may be kept as L D L': subtracting from a covariance loses a variance that is 1e-7 of
what it was; there variances are only ever multiplied, and a feature's scale is a factor of its
column.

Source: Kalman (1960); Bierman (1977), Factorization Methods for Discrete Sequential Estimation, for
the factored step, his U D U' from the other end, with recursions over coordinates as cumulative
sums.
See also: curvature.py for the rows and scores of the steps.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from ..base import Array, Gaussian

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

    Each step subtracts an exactly symmetric outer product, so symmetry never drifts; single
    variances are divided, since a difference would lose a small one.

    covariance: `[B, b, b]`, before the event.
    rows: `[R, D]`.

    Returns: `[B, b, b]`.
    """

    def step(covariance: Array, row: Array) -> tuple[Array, None]:
        blocks = row.reshape(covariance.shape[:2])
        pushed = jnp.einsum("bij,bj->bi", covariance, blocks)
        gain = 1 / (1 + jnp.sum(pushed * blocks, axis=1))
        if covariance.shape[-1] == 1:
            return covariance * gain[:, None, None], None
        outer = pushed[:, :, None] * pushed[:, None, :]
        return covariance - gain[:, None, None] * outer, None

    return jax.lax.scan(step, covariance, rows, unroll=min(rows.shape[0], 4))[0]


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


def gaussian_root(belief: Gaussian, jitter: float = 0.0) -> Array:
    """Return the lower triangles `[B, b, b]` of a belief's covariance.

    belief: a Gaussian.
    jitter: added to the diagonal, relative to it, where the belief has no root of its own.
    """
    if belief.root is not None:
        return belief.root
    diagonal = jnp.einsum("bii->bi", belief.covariance)
    ridge = jax.vmap(jnp.diag)(jitter * diagonal + jnp.finfo(diagonal.dtype).tiny)
    return jnp.linalg.cholesky(belief.covariance + ridge)


def gaussian_push(belief: Gaussian, vectors: Array) -> Array:
    """Multiply a belief's covariance by vectors.

    belief: a Gaussian.
    vectors: `[..., D]`.

    Returns: `[..., D]`.
    """
    if belief.root is None:
        matrix = belief.covariance
        blocks = vectors.reshape(*vectors.shape[:-1], *matrix.shape[:2])
    else:
        matrix, blocks = belief.root, _pull(belief.root, vectors)
    return jnp.einsum("bij,...bj->...bi", matrix, blocks).reshape(vectors.shape)


def covariance_along(belief: Gaussian, x: Array) -> Array:
    """Return the covariance `[A, A]` of linear functions `x @ u` of the unknowns u.

    belief: a Gaussian over u.
    x: `[A, D]`, the functions' coefficients.
    """
    if belief.root is None:
        return gaussian_push(belief, x) @ x.T
    pulled = _pull(belief.root, x).reshape(x.shape)
    return pulled @ pulled.T


def variance_along(belief: Gaussian, x: Array) -> Array:
    """Return the variance `[]` of a linear function `x @ u` of the unknowns u.

    belief: a Gaussian over u.
    x: `[D]`, the function's coefficients.
    """
    if belief.root is None:
        return x @ gaussian_push(belief, x)
    return jnp.sum(jnp.square(_pull(belief.root, x)))


def _pull(root: Array, vectors: Array) -> Array:
    """`root' @ vectors`, `[..., B, b]`."""
    blocks = vectors.reshape(*vectors.shape[:-1], *root.shape[:2])
    return jnp.einsum("bij,...bi->...bj", root, blocks)


def condition_gaussian(belief: Gaussian, row: Array) -> Gaussian:
    """Update a belief's covariance, not its mean, by information `row row'`.

    belief: a Gaussian.
    row: `[D]`.
    """
    if belief.root is None:
        return belief._replace(covariance=condition_covariance(belief.covariance, row[None, :]))
    root = root_of(condition_factor(factor_of(belief.root), row)[0])
    return belief._replace(covariance=root @ jnp.swapaxes(root, 1, 2), root=root)


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
