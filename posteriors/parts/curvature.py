"""Score and expected (Fisher) information of one event: the generalised Gauss-Newton pieces.

Shared by Laplace steps, Kalman steps and folded events.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ..base import Array, Event, Model, provides
from .outcomes import Finite, Other, Scalar, is_count, log_probs, outcome_kind
from .unknowns import log_likelihood, unknowns_of

Curvature = Callable[[Array, Any, Event], tuple[Array, Array]]


def curvature_of(model: Model, part: slice | None = None) -> Curvature:
    """Build `curvature(u [D], stats, event) -> (score [D], rows [R, D])`.

    `rows.T @ rows` is the expected information of one such event at `u`, positive semi-definite by
    construction.

    Normal outcomes of fixed scale: one row, the mean's gradient over the scale. Two outcomes: one
        row,
    the logit's gradient times sqrt(p (1 - p)). Binomial and Poisson counts: one row, the mean's
    gradient over the standard deviation. Finite outcomes: a row each. A likelihood that is one
    event as a whole (`numpyro.distributions.Unit`): D rows, of minus its Hessian with every
    curvature taken as positive (Dauphin et al. 2014). Otherwise the score itself (the empirical
    Fisher information, Martens 2020, which is cruder).

    model: the model.
    part: the coordinates that these are about, if not all; the others are held fixed.
    """
    unknowns = unknowns_of(model)
    kind = outcome_kind(model)

    def own(u: Array) -> Array:
        return u if part is None else u[part]

    def whole(v: Array, u: Array) -> Array:
        return v if part is None else jnp.concatenate([u[: part.start], v, u[part.stop :]])

    def score(u: Array, stats: Any, event: Event) -> Array:
        def logs(v: Array) -> Array:
            return log_likelihood(model, whole(v, u), stats, event.action, event.observation)

        return jax.grad(logs)(own(u))

    def exact(u: Array, stats: Any, event: Event) -> tuple[Array, Array]:
        x, scale = model.linear(event.action)
        residual = (event.observation - x @ u) / scale
        row = own(x) / scale
        return residual * row, row[None, :]

    def normal(u: Array, stats: Any, event: Event) -> tuple[Array, Array]:
        def moments(v: Array) -> tuple[Array, Array]:
            d = model.predict(unknowns.constrain(whole(v, u)), stats, event.action)
            return d.mean, jnp.log(d.variance)

        # Normal information: J_m' J_m / s^2 + J_l' J_l / 2 with l = log s^2.
        (_, log_variance), pull = jax.vjp(moments, own(u))
        one, zero = jnp.ones_like(log_variance), jnp.zeros_like(log_variance)
        mean_row = pull((one, zero))[0] * jnp.exp(-0.5 * log_variance)
        scale_row = pull((zero, one))[0] * jnp.sqrt(0.5)
        return score(u, stats, event), jnp.stack([mean_row, scale_row])

    def count(u: Array, stats: Any, event: Event) -> tuple[Array, Array]:
        def moments(v: Array) -> tuple[Array, Array]:
            d = model.predict(unknowns.constrain(whole(v, u)), stats, event.action)
            return jnp.asarray(d.mean), jnp.asarray(d.variance)

        gradient, variance = jax.grad(moments, has_aux=True)(own(u))
        # Where the outcome is all but certain both vanish, the gradient no later.
        sd = jnp.sqrt(jnp.maximum(variance, jnp.finfo(variance.dtype).tiny))
        return score(u, stats, event), (gradient / sd)[None, :]

    def finite(u: Array, stats: Any, event: Event) -> tuple[Array, Array]:
        assert isinstance(kind, Finite)

        outcomes = kind

        def every(v: Array) -> Array:
            d = model.predict(unknowns.constrain(whole(v, u)), stats, event.action)
            return log_probs(d, outcomes)

        logs = every(own(u))
        if len(outcomes.values) == 2:
            gradient = jax.grad(lambda v: jnp.subtract(*every(v)))(own(u))
            row = gradient * jnp.exp(0.5 * (logs[0] + logs[1]))
            return score(u, stats, event), row[None, :]
        jacobian = jax.jacrev(every)(own(u))
        return score(u, stats, event), jacobian * jnp.exp(0.5 * logs)[:, None]

    def whole_likelihood(u: Array, stats: Any, event: Event) -> tuple[Array, Array]:
        def logs(v: Array) -> Array:
            return log_likelihood(model, whole(v, u), stats, event.action, event.observation)

        return jax.grad(logs)(own(u)), positive_root(jax.hessian(logs)(own(u)))

    def empirical(u: Array, stats: Any, event: Event) -> tuple[Array, Array]:
        gradient = score(u, stats, event)
        return gradient, gradient[None, :]

    if provides(model, "linear"):
        return exact
    if isinstance(kind, Scalar) and kind.normal:
        return normal
    if is_count(model):
        return count
    if isinstance(kind, Finite):
        return finite
    if kind == Other((0,)):
        return whole_likelihood
    return empirical


def positive_root(hessian: Array) -> Array:
    """Compute rows `[D, D]` with `rows.T @ rows` the Hessian, its eigenvalues made positive.

    hessian: `[D, D]`.
    """
    values, vectors = jnp.linalg.eigh(0.5 * (hessian + hessian.T))
    return jnp.sqrt(jnp.abs(values))[:, None] * vectors.T
