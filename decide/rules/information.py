"""Expected information gain of candidate actions, in nats.

The gain is the mutual information between the unknowns and the next observation under a belief:
enumerated for finite outcomes, integrated on a grid for scalar ones, summed over cells of counts
for those without a bound, closed-form for a Gaussian belief on a linear model, nested Monte Carlo
otherwise.
See also: basic.py for choosing, rewards.py for rewards.
Sources: Lindley (1956); Houlsby et al. (2011) for the entropy form; Rainforth et al. (2018) for
nested Monte Carlo.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import xlogy

from ...posteriors.base import Array, Belief, Distribution, Draws, Gaussian, Model, provides
from ...posteriors.parts.block_gaussian import variance_along
from ...posteriors.parts.outcomes import (
    Finite,
    Scalar,
    is_count,
    log_prob,
    log_probs,
    outcome_kind,
    sample_outcome,
)
from ...posteriors.parts.unknowns import unknowns_of
from ...posteriors.parts.vmap_last import vmap_last
from .base import as_draws

NODES = 64
"""Grid points of the outcome integral."""
TAIL = 4.5
"""Standard deviations of the widest draw that the grid covers on either side."""
COARSEST = 0.7
"""Largest node spacing, in outcome standard deviations, at which the trapezoid rule is exact to
about 1e-8 nats. Where the draws are spread wider, the noise is widened to this: more noise never
adds information, so the gain stays a lower bound."""
NEGLIGIBLE = 1e-6
"""Draws of less weight than this do not stretch the grid."""
CELLS = 128
"""Cells of counts, equally wide in standard deviations for small and large counts."""
NESTED = 64
"""Outcomes that nested Monte Carlo samples for each candidate."""


def expected_gain(
    key: Array, model: Model, draws: Draws, stats: Any, features: Array, groups: Array | None = None
) -> Array:
    """Compute the expected information gain of each action.

    key: random key, used by nested Monte Carlo only.
    model: gives the outcome's distribution.
    draws: `[S, D]`, weighted.
    stats: the model's running summary of past events.
    features: `[A, size]`, the actions.
    groups: `[S, G]` of 0 and 1; if given, the gain is about which group the truth belongs to (a
        part of the unknowns, or the best action) rather than about all unknowns.

    Returns: gains `[A]`, nats, at least 0.
    """
    kind = outcome_kind(model)
    weights = jnp.exp(draws.log_weights)
    particles = draws.values.T
    if isinstance(kind, Finite):
        gain = _finite(model, kind, particles, weights, stats, features, groups)
    elif isinstance(kind, Scalar):
        gain = _scalar(model, kind, particles, weights, stats, features, groups)
    elif is_count(model):
        gain = _counts(model, particles, weights, stats, features, groups)
    else:
        gain = _nested(key, model, particles, weights, stats, features, groups)
    return jnp.maximum(gain, 0.0)


def predict_at(model: Model, u: Array, stats: Any, action: Array) -> Distribution:
    """Predict the outcome of an action from flat coordinates.

    model: the model that predicts.
    u: `[D]`, flat, unconstrained.
    stats: the model's running summary of past events.
    action: `[size]`.

    Returns: the outcome's distribution.
    """
    return model.predict(unknowns_of(model).constrain(u), stats, action)


def _finite(model, kind, particles, weights, stats, features, groups) -> Array:
    def one(action: Array) -> Array:
        return vmap_last(lambda u: log_probs(predict_at(model, u, stats, action), kind), particles)

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

        mean, sd = vmap_last(moments, particles)
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
            p = vmap_last(
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
    """Gain over cells that are even in the square root of a count (a stable standard deviation).

    A small count has its own cell; a cell of several counts has the probability of the middle one
    times their number. Where a cell is too wide for a draw, its noise is widened (`COARSEST`).
    """

    def one(action: Array) -> Array:
        def moments(u: Array) -> tuple[Array, Array]:
            d = predict_at(model, u, stats, action)
            return jnp.asarray(d.mean), jnp.sqrt(jnp.asarray(d.variance))

        mean, sd = vmap_last(moments, particles)
        heard = weights > NEGLIGIBLE
        low = jnp.min(jnp.where(heard, jnp.maximum(mean - TAIL * sd, 0.0), jnp.inf))
        high = jnp.max(jnp.where(heard, mean + TAIL * sd, 0.0)) + 1
        low, high = jnp.sqrt(jnp.floor(low)), jnp.sqrt(jnp.ceil(high))
        step = (high - low) / CELLS
        # Rounding must not lose the first count of a cell.
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

        return vmap_last(shares, particles)

    return _summed(jax.vmap(one)(features), weights, groups)


def _nested(key, model, particles, weights, stats, features, groups) -> Array:
    pick_key, outcome_key = jax.random.split(key)
    picked = jax.random.categorical(pick_key, jnp.log(weights), shape=(NESTED,))
    keys = jax.random.split(outcome_key, NESTED)

    def one(action: Array) -> Array:
        def term(key: Array, index: Array) -> Array:
            y = sample_outcome(key, predict_at(model, particles[:, index], stats, action))
            logs = vmap_last(lambda u: log_prob(predict_at(model, u, stats, action), y), particles)
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
    """Compute each action's expected gain about all unknowns, under draws or a Gaussian.

    key: random key.
    model: in closed form if linear-Gaussian and the belief is Gaussian.
    belief: draws or a Gaussian.
    stats: the model's running summary of past events.
    features: `[A, size]`, the actions.
    particles: draws of a Gaussian belief on any other model.

    Returns: gains `[A]`, nats.
    """
    if isinstance(belief, Gaussian) and is_linear_gaussian(model):
        return linear_gain(model, belief, features)
    draw_key, gain_key = jax.random.split(key)
    return expected_gain(gain_key, model, as_draws(draw_key, belief, particles), stats, features)


def is_linear_gaussian(model: Model) -> bool:
    """Tell whether observations are linear in normal unknowns, with normal noise.

    model: the model to check.

    Returns: whether the closed forms hold.
    """
    return provides(model, "linear") and unknowns_of(model).normal


def linear_gain(model: Model, belief: Gaussian, features: Array) -> Array:
    """Compute gains in closed form: log(1 + x' P x / scale^2) / 2.

    model: linear-Gaussian.
    belief: Gaussian, covariance P.
    features: `[A, size]`, the actions.

    Returns: gains `[A]`, nats.
    """

    def one(action: Array) -> Array:
        x, scale = model.linear(action)
        return 0.5 * jnp.log1p(variance_along(belief, x) / jnp.square(scale))

    return jax.vmap(one)(features)
