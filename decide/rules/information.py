"""Expected information gain of candidate actions, in nats.

The gain is the mutual information between the unknowns and the next observation under a belief:
enumerated for finite outcomes, integrated on a grid for scalar ones, summed over cells of counts
for those without a bound, closed-form for a Gaussian belief on a linear model, nested Monte Carlo
otherwise. Not here: choosing, or reward (rewards.py).
Sources: Lindley (1956); Houlsby et al. (2011) for the entropy form; Rainforth et al. (2018) for
nested Monte Carlo.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import xlogy

from ...posteriors.base import Array, Belief, Distribution, Draws, Gaussian, Model, provides
from ...posteriors.outcomes import (
    Finite,
    Scalar,
    counted,
    log_prob,
    log_probs,
    outcome_kind,
    sampled,
)
from ...posteriors.trailing import across
from ...posteriors.unknowns import unknowns_of
from .base import as_draws

NODES = 64
"""Grid points of the outcome integral."""
TAIL = 4.5
"""Standard deviations of the widest draw that the grid covers on either side."""
COARSEST = 0.7
"""Largest node spacing, in outcome standard deviations, at which the trapezoid rule is exact to
about 1e-8 nats. Where the draws are spread wider, the noise is widened to this: an observation
with more noise never tells more, so the gain stays a lower bound."""
NEGLIGIBLE = 1e-6
"""Draws of less weight than this do not stretch the grid."""
CELLS = 128
"""Cells of counts, as wide in standard deviations for small counts as for large."""
NESTED = 64
"""Outcomes sampled a candidate by nested Monte Carlo."""


def expected_gain(
    key: Array, model: Model, draws: Draws, stats: Any, features: Array, groups: Array | None = None
) -> Array:
    """Gain `[A]` of each action in `features [A, size]`, at least 0.

    groups: `[S, G]` 0/1; if given, the gain is about which group the truth belongs to (a part of
    the unknowns, or the best action) rather than about all unknowns.
    """
    kind = outcome_kind(model)
    weights = jnp.exp(draws.log_weights)
    particles = draws.values.T
    if isinstance(kind, Finite):
        gain = _finite(model, kind, particles, weights, stats, features, groups)
    elif isinstance(kind, Scalar):
        gain = _scalar(model, kind, particles, weights, stats, features, groups)
    elif counted(model):
        gain = _counts(model, particles, weights, stats, features, groups)
    else:
        gain = _nested(key, model, particles, weights, stats, features, groups)
    return jnp.maximum(gain, 0.0)


def predict_at(model: Model, u: Array, stats: Any, action: Array) -> Distribution:
    """The outcome's distribution under flat coordinates `u [D]`."""
    return model.predict(unknowns_of(model).constrain(u), stats, action)


def _finite(model, kind, particles, weights, stats, features, groups) -> Array:
    def one(action: Array) -> Array:
        return across(lambda u: log_probs(predict_at(model, u, stats, action), kind), particles)

    return _summed(jnp.exp(jax.vmap(one)(features)), weights, groups)


def _summed(p: Array, weights: Array, groups: Array | None) -> Array:
    """Gain `[A]` from the probabilities `[A, K, S]` of finitely many outcomes."""
    overall = -jnp.sum(xlogy(mean := p @ weights, mean), axis=1)
    if groups is None:
        return overall - (-jnp.sum(xlogy(p, p), axis=1)) @ weights
    share, parts = _grouped(p, weights, groups)
    return overall - (-jnp.sum(xlogy(parts, parts), axis=1)) @ share


def _grouped(p: Array, weights: Array, groups: Array) -> tuple[Array, Array]:
    """Group weights `[G]` and the group predictive `[..., G]` from `p [..., S]`."""
    joint = weights[:, None] * groups
    share = joint.sum(0)
    return share, p @ (joint / jnp.maximum(share, jnp.finfo(share.dtype).tiny)[None, :])


def _scalar(model, kind, particles, weights, stats, features, groups) -> Array:
    def one(action: Array) -> Array:
        def moments(u: Array) -> tuple[Array, Array]:
            d = predict_at(model, u, stats, action)
            return d.mean, jnp.sqrt(d.variance)

        mean, sd = across(moments, particles)
        counts = weights > NEGLIGIBLE
        low = jnp.min(jnp.where(counts, mean - TAIL * sd, jnp.inf))
        high = jnp.max(jnp.where(counts, mean + TAIL * sd, -jnp.inf))
        spacing = (high - low) / (NODES - 1)
        nodes = low + spacing * jnp.arange(NODES)
        if kind.normal:
            wide = jnp.maximum(sd, spacing / COARSEST)
            z = (nodes[:, None] - mean[None, :]) / wide[None, :]
            p = jnp.exp(-0.5 * z * z) * (1 / (wide * jnp.sqrt(2 * jnp.pi)))[None, :]
            single = 0.5 * jnp.log(2 * jnp.pi * jnp.e * jnp.square(wide))
        else:
            p = across(
                lambda u: jnp.exp(jax.vmap(predict_at(model, u, stats, action).log_prob)(nodes)),
                particles,
            )
            single = -spacing * jnp.sum(xlogy(p, p), axis=0)
        overall = -spacing * jnp.sum(xlogy(q := p @ weights, q))
        if groups is None:
            return overall - single @ weights
        share, parts = _grouped(p, weights, groups)
        return overall - (-spacing * jnp.sum(xlogy(parts, parts), axis=0)) @ share

    return jax.vmap(one)(features)


def _counts(model, particles, weights, stats, features, groups) -> Array:
    """Cells even in the square root of a count, whose standard deviation hardly changes.

    A small count has a cell of its own; a cell of several is as probable as its middle one times
    their number. Where a cell is too wide for a draw, the draw's noise is widened (`COARSEST`).
    """

    def one(action: Array) -> Array:
        def moments(u: Array) -> tuple[Array, Array]:
            d = predict_at(model, u, stats, action)
            return jnp.asarray(d.mean), jnp.sqrt(jnp.asarray(d.variance))

        mean, sd = across(moments, particles)
        heard = weights > NEGLIGIBLE
        low = jnp.min(jnp.where(heard, jnp.maximum(mean - TAIL * sd, 0.0), jnp.inf))
        high = jnp.max(jnp.where(heard, mean + TAIL * sd, 0.0)) + 1
        low, high = jnp.sqrt(jnp.floor(low)), jnp.sqrt(jnp.ceil(high))
        step = (high - low) / CELLS
        # A count is in the cell whose edges it lies between; rounding must not lose the first.
        edges = jnp.ceil(jnp.square(low + step * jnp.arange(CELLS + 1)) - 1e-4)
        inside = jnp.diff(edges)
        middle = jnp.maximum(jnp.floor((edges[:-1] + edges[1:] - 1) / 2), 0.0)
        number = jnp.where(inside > 0, jnp.log(jnp.maximum(inside, 1.0)), -jnp.inf)
        # The square root of a Poisson count has a standard deviation of a half.
        sharp = jnp.square(COARSEST / jnp.maximum(2 * step, COARSEST))

        def shares(u: Array) -> Array:
            d = predict_at(model, u, stats, action)
            logs = jax.vmap(lambda y: log_prob(d, y))(middle)
            return jax.nn.softmax(sharp * logs + number)

        return across(shares, particles)

    return _summed(jax.vmap(one)(features), weights, groups)


def _nested(key, model, particles, weights, stats, features, groups) -> Array:
    pick_key, outcome_key = jax.random.split(key)
    picked = jax.random.categorical(pick_key, jnp.log(weights), shape=(NESTED,))
    keys = jax.random.split(outcome_key, NESTED)

    def one(action: Array) -> Array:
        def term(key: Array, index: Array) -> Array:
            y = sampled(key, predict_at(model, particles[:, index], stats, action))
            logs = across(lambda u: log_prob(predict_at(model, u, stats, action), y), particles)
            overall = jax.nn.logsumexp(logs, b=weights)
            if groups is None:
                return logs[index] - overall
            inside = weights * (groups @ groups[index])
            return jax.nn.logsumexp(logs, b=inside) - jnp.log(inside.sum()) - overall

        return jnp.mean(jax.vmap(term)(keys, picked))

    return jax.vmap(one)(features)


def belief_gain(
    key: Array, model: Model, belief: Belief, stats: Any, features: Array, particles: int
) -> Array:
    """Gain `[A]` about all unknowns under any belief; a Gaussian is sampled `particles` times
    unless the model is linear-Gaussian, where the closed form needs no draws."""
    if isinstance(belief, Gaussian) and linear_gaussian(model):
        return linear_gain(model, belief, features)
    draw_key, gain_key = jax.random.split(key)
    return expected_gain(gain_key, model, as_draws(draw_key, belief, particles), stats, features)


def linear_gaussian(model: Model) -> bool:
    """Whether a normal belief about the unknowns makes observations normal."""
    return provides(model, "linear") and unknowns_of(model).normal


def linear_gain(model: Model, belief: Gaussian, features: Array) -> Array:
    """Gain `[A]` in closed form: log(1 + x' P x / scale^2) / 2 for a linear-Gaussian model."""

    def one(action: Array) -> Array:
        x, scale = model.linear(action)
        return 0.5 * jnp.log1p(spread_along(belief, x) / jnp.square(scale))

    return jax.vmap(one)(features)


def spread_along(belief: Gaussian, x: Array) -> Array:
    """Variance `[]` of `x @ u` under a Gaussian belief."""
    blocks = x.reshape(belief.covariance.shape[:2])
    return jnp.einsum("bi,bij,bj->", blocks, belief.covariance, blocks)
