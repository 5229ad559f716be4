"""Expected reward of candidate actions under each draw of a belief.

Summed for finite outcomes and counts, by quadrature for normal ones, sampled otherwise.
See also: basic.py for averages over the draws.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ...posteriors.base import Array, Distribution, Draws, Gaussian, Model
from ...posteriors.parts.block_gaussian import covariance_along
from ...posteriors.parts.outcomes import (
    Finite,
    Scalar,
    is_count,
    log_prob,
    log_probs,
    outcome_kind,
    sample_outcome,
)
from ...posteriors.parts.vmap_last import vmap_last
from .base import JITTER
from .information import NESTED, TAIL, predict_at

HERMITE = 8
"""Gauss-Hermite nodes of a reward's expectation over a normal outcome."""


def _normal_reward(model: Model, action: Array, mean: Array, scale: Array) -> Array:
    """Expected reward `[]` of an action whose outcome is Normal(mean, scale)."""
    abscissae, hermite = np.polynomial.hermite_e.hermegauss(HERMITE)
    # A sum written out is faster than reducing an axis of eight.
    terms = zip(abscissae.tolist(), (hermite / hermite.sum()).tolist(), strict=True)
    return reduce(jnp.add, [w * model.reward(action, mean + scale * z) for z, w in terms])


LATTICE = 32
"""Number of counts over which the reward of an unbounded count is summed."""


def _count_reward(model: Model, action: Array, d: Distribution) -> Array:
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
    """Compute expected rewards under draws of a linear-Gaussian model's predictions.

    The A predictions are drawn jointly, rather than the D unknowns.

    key: random key.
    model: linear-Gaussian, with a reward.
    belief: Gaussian over the unknowns.
    features: `[A, size]`, the actions.
    count: S, the number of draws.

    Returns: rewards `[A, S]`.
    """
    x, scale = jax.vmap(model.linear)(features)
    shared = covariance_along(belief, x)
    diagonal = jnp.diag(shared)
    root = jnp.linalg.cholesky(shared + jnp.diag(JITTER * diagonal + jnp.finfo(x.dtype).tiny))
    noise = jax.random.normal(key, (x.shape[0], count), x.dtype)
    means = (x @ belief.mean)[:, None] + root @ noise

    def one(action: Array, mean: Array, scale: Array) -> Array:
        return vmap_last(lambda m: _normal_reward(model, action, m[0], scale), mean[None, :])

    return jax.vmap(one)(features, means, scale)


def expected_reward(key: Array, model: Model, draws: Draws, stats: Any, features: Array) -> Array:
    """Compute the expected reward of each action under each draw.

    key: random key, used where outcomes are sampled.
    model: defines `reward`.
    draws: `[S, D]`.
    stats: the model's running summary of past events.
    features: `[A, size]`, the actions.

    Returns: rewards `[A, S]`.
    """
    kind = outcome_kind(model)
    particles = draws.values.T
    keys = jax.random.split(key, NESTED)

    def one(action: Array) -> Array:
        def reward(u: Array) -> Array:
            d = predict_at(model, u, stats, action)
            if isinstance(kind, Finite):
                values = jnp.asarray(kind.array)
                pay = jax.vmap(lambda y: model.reward(action, y))(values)
                return jnp.sum(jnp.exp(log_probs(d, kind)) * pay)
            if isinstance(kind, Scalar) and kind.normal:
                return _normal_reward(model, action, d.mean, jnp.sqrt(d.variance))
            if is_count(model):
                return _count_reward(model, action, d)
            return jnp.mean(jax.vmap(lambda k: model.reward(action, sample_outcome(k, d)))(keys))

        return vmap_last(reward, particles)

    return jax.vmap(one)(features)
