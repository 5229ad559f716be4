"""Expected information gain of candidate actions, in nats, and expected reward.

The gain is the mutual information between the unknowns and the next observation under a belief:
enumerated for finite outcomes, integrated on a grid for scalar ones, closed-form for a Gaussian
belief on a linear model, nested Monte Carlo otherwise. Not here: choosing.
Sources: Lindley (1956); Houlsby et al. (2011) for the entropy form; Rainforth et al. (2018) for
nested Monte Carlo.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
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
from .base import JITTER, as_draws

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
    else:
        gain = _nested(key, model, particles, weights, stats, features, groups)
    return jnp.maximum(gain, 0.0)


def _predict(model: Model, u: Array, stats: Any, action: Array) -> Distribution:
    return model.predict(unknowns_of(model).constrain(u), stats, action)


def _finite(model, kind, particles, weights, stats, features, groups) -> Array:
    def one(action: Array) -> Array:
        return across(lambda u: log_probs(_predict(model, u, stats, action), kind), particles)

    p = jnp.exp(jax.vmap(one)(features))  # [A, K, S]
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
            d = _predict(model, u, stats, action)
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
                lambda u: jnp.exp(jax.vmap(_predict(model, u, stats, action).log_prob)(nodes)),
                particles,
            )
            single = -spacing * jnp.sum(xlogy(p, p), axis=0)
        overall = -spacing * jnp.sum(xlogy(q := p @ weights, q))
        if groups is None:
            return overall - single @ weights
        share, parts = _grouped(p, weights, groups)
        return overall - (-spacing * jnp.sum(xlogy(parts, parts), axis=0)) @ share

    return jax.vmap(one)(features)


def _nested(key, model, particles, weights, stats, features, groups) -> Array:
    pick_key, outcome_key = jax.random.split(key)
    picked = jax.random.categorical(pick_key, jnp.log(weights), shape=(NESTED,))
    keys = jax.random.split(outcome_key, NESTED)

    def one(action: Array) -> Array:
        def term(key: Array, index: Array) -> Array:
            y = sampled(key, _predict(model, particles[:, index], stats, action))
            logs = across(lambda u: log_prob(_predict(model, u, stats, action), y), particles)
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


HERMITE = 8
"""Gauss-Hermite nodes of a reward's expectation over a normal outcome."""


def normal_reward(model: Model, action: Array, mean: Array, scale: Array) -> Array:
    """Expected reward `[]` of an action whose outcome is Normal(mean, scale)."""
    abscissae, hermite = np.polynomial.hermite_e.hermegauss(HERMITE)
    # Written out, so that no axis of eight is there to be reduced.
    terms = zip(abscissae.tolist(), (hermite / hermite.sum()).tolist(), strict=True)
    return reduce(jnp.add, [w * model.reward(action, mean + scale * z) for z, w in terms])


LATTICE = 32
"""Counts that the expected reward of one without a bound is summed over."""


def count_reward(model: Model, action: Array, d: Distribution) -> Array:
    """Expected reward `[]` of an action whose outcome is a count of distribution `d`.

    Summed over every count within `TAIL` standard deviations, or every second, third, ... where
    there are more than `LATTICE`: sampling counts would take a hundred times as long.
    """
    mean, sd = jnp.asarray(d.mean), jnp.sqrt(jnp.asarray(d.variance))
    stride = jnp.ceil(jnp.maximum(2 * TAIL * sd / (LATTICE - 1), 1.0))
    low = jnp.maximum(jnp.floor(mean - TAIL * sd), 0.0)
    counts = low + stride * jnp.arange(LATTICE)
    share = jax.nn.softmax(jax.vmap(lambda y: log_prob(d, y))(counts))
    return share @ jax.vmap(lambda y: model.reward(action, y))(counts)


def linear_reward(key: Array, model: Model, belief: Gaussian, features: Array, count: int) -> Array:
    """Expected reward `[A, S]` under `count` draws of a linear-Gaussian model.

    Only the A predictions are drawn, jointly, not the D unknowns behind them.
    """
    x, scale = jax.vmap(model.linear)(features)
    blocks = x.reshape(-1, *belief.covariance.shape[:2])
    pushed = jnp.einsum("bij,abj->abi", belief.covariance, blocks)
    shared = pushed.reshape(x.shape) @ x.T
    diagonal = jnp.diag(shared)
    root = jnp.linalg.cholesky(shared + jnp.diag(JITTER * diagonal + jnp.finfo(x.dtype).tiny))
    noise = jax.random.normal(key, (x.shape[0], count), x.dtype)
    means = (x @ belief.mean)[:, None] + root @ noise

    def one(action: Array, mean: Array, scale: Array) -> Array:
        return across(lambda m: normal_reward(model, action, m[0], scale), mean[None, :])

    return jax.vmap(one)(features, means, scale)


def expected_reward(key: Array, model: Model, draws: Draws, stats: Any, features: Array) -> Array:
    """Expected reward `[A, S]` of each action under each draw."""
    kind = outcome_kind(model)
    particles = draws.values.T
    keys = jax.random.split(key, NESTED)

    def one(action: Array) -> Array:
        def reward(u: Array) -> Array:
            d = _predict(model, u, stats, action)
            if isinstance(kind, Finite):
                values = jnp.asarray(kind.array)
                pay = jax.vmap(lambda y: model.reward(action, y))(values)
                return jnp.sum(jnp.exp(log_probs(d, kind)) * pay)
            if isinstance(kind, Scalar) and kind.normal:
                return normal_reward(model, action, d.mean, jnp.sqrt(d.variance))
            if counted(model):
                return count_reward(model, action, d)
            return jnp.mean(jax.vmap(lambda k: model.reward(action, sampled(k, d)))(keys))

        return across(reward, particles)

    return jax.vmap(one)(features)
