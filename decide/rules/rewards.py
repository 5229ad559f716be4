"""Expected reward of candidate actions under each draw of a belief.

Summed for finite outcomes and counts, by quadrature for normal ones, sampled otherwise. Not here:
what is known only on average, which rules take care of (choosing.py).
"""

from __future__ import annotations

from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ...posteriors.base import Array, Distribution, Draws, Gaussian, Model
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
from .base import JITTER
from .information import NESTED, TAIL, predict_at

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
            d = predict_at(model, u, stats, action)
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
