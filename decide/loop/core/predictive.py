"""Predictive scores of events before they are learnt: log probability, realised gain, joint score.

The same formulas serve every backend. A Gaussian belief is integrated along the one direction in
which it meets an event: in closed form for linear-Gaussian models, by Gauss-Hermite nodes
elsewhere. This is exact for models with one linear predictor and linearised for others.

Sources: Dawid (1984), prequential scores; Osband et al. (2022), joint and dyadic prediction.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ....posteriors.base import Array, Belief, Draws, Event, Gaussian, Model, provides
from ....posteriors.parts.block_gaussian import (
    covariance_along,
    gaussian_push,
    variance_along,
)
from ....posteriors.parts.curvature import curvature_of
from ....posteriors.parts.draws import uniform_draws
from ....posteriors.parts.outcomes import Finite, is_count, log_probs, outcome_kind
from ....posteriors.parts.unknowns import log_likelihood, unknowns_of
from ....posteriors.parts.vmap_last import vmap_last
from ...rules.base import JITTER, as_draws
from ...rules.rewards import expected_reward
from .pit import pit_of_draws, pit_of_normal

NODES = 32
"""Gauss-Hermite nodes along the direction of an event."""
DRAWS = 256
"""Draws of a Gaussian belief behind a joint prediction without closed form."""
DYAD = 2
"""Distinct events in a dyadic joint prediction."""
LOG_2PI = float(np.log(2 * np.pi))


class PredictiveScore(NamedTuple):
    """Scores of one event under the belief held before it.

    log_prob: `[]` log probability of the observation, nats.
    gain: `[]` realised information gain, nats (see `predictive_score`).
    correct: `[]` 1 if the most probable outcome occurred, else 0; 0 where outcomes are not finite.
    pit: `[]` probability integral transform of the observation (pit.py).
    """

    log_prob: Array
    gain: Array
    correct: Array
    pit: Array


def predictive_score(
    key: Array, model: Model, belief: Belief, stats: Any, event: Event
) -> PredictiveScore:
    """Score one event under the belief held before it.

    The gain is KL(belief reweighted by the event's likelihood || belief): the information that
    exact conditioning would gain. It does not use the backend's next belief, so a backend cannot
    raise its gain by shrinking its covariance.

    key: random key.
    model: the model.
    belief: draws or a Gaussian.
    stats: the model's running statistics.
    event: the event.

    Returns: the scores.
    """
    if _linear(model, belief):
        assert isinstance(belief, Gaussian)
        return _linear_score(model, belief, event)
    draw_key, pit_key = jax.random.split(key)
    draws = _nodes(draw_key, model, belief, stats, event)
    logs = vmap_last(
        lambda u: log_likelihood(model, u, stats, event.action, event.observation), draws.values.T
    )
    log_prob = jax.nn.logsumexp(draws.log_weights + logs)
    after = jnp.exp(draws.log_weights + logs - log_prob)
    gain = jnp.sum(jnp.where(after > 0, after * (logs - log_prob), 0.0))
    kind = outcome_kind(model)
    correct = jnp.zeros_like(log_prob)
    if isinstance(kind, Finite):

        def every(u: Array) -> Array:
            params = unknowns_of(model).constrain(u)
            return log_probs(model.predict(params, stats, event.action), kind)

        probs = jnp.exp(vmap_last(every, draws.values.T)) @ jnp.exp(draws.log_weights)
        guess = jnp.asarray(kind.array, probs.dtype)[jnp.argmax(probs)]
        correct = (guess == event.observation).astype(log_prob.dtype)
    pit = pit_of_draws(pit_key, model, draws, stats, event)
    return PredictiveScore(log_prob, jnp.maximum(gain, 0.0), correct, pit)


def _linear(model: Model, belief: Belief) -> bool:
    """Whether the prediction has a closed form: a linear-Gaussian model and a Gaussian belief."""
    exact = provides(model, "linear") and unknowns_of(model).normal
    return isinstance(belief, Gaussian) and exact


def _linear_score(model: Model, belief: Gaussian, event: Event) -> PredictiveScore:
    """Scores in closed form."""
    x, scale = model.linear(event.action)
    mean, variance, noise = x @ belief.mean, variance_along(belief, x), jnp.square(scale)
    error = event.observation - mean
    log_prob = _log_normal(error, variance + noise)
    share = variance / (variance + noise)
    # KL of the two normals of x @ u, the only direction that moves.
    moved = 0.5 * share * jnp.square(error) / (variance + noise)
    gain = 0.5 * (jnp.log1p(variance / noise) - share) + moved
    pit = pit_of_normal(mean, variance + noise, event.observation)
    return PredictiveScore(log_prob, gain, jnp.zeros_like(log_prob), pit)


def _log_normal(error: Array, variance: Array) -> Array:
    """Log density of a centred normal at `error`."""
    return -0.5 * (LOG_2PI + jnp.log(variance) + jnp.square(error) / variance)


def _direction(model: Model, mean: Array, stats: Any, event: Event) -> Array:
    """Gradient `[R, D]` of the outcome's predictor in the unknowns, of any length."""
    return curvature_of(model)(mean, stats, event)[1]


def _one_predictor(model: Model) -> bool:
    """Whether the outcome depends on the unknowns through one linear predictor."""
    kind = outcome_kind(model)
    two = isinstance(kind, Finite) and len(kind.values) == 2
    return two or is_count(model) or provides(model, "linear")


def _nodes(key: Array, model: Model, belief: Belief, stats: Any, event: Event) -> Draws:
    """Weighted points that integrate one event's prediction under the belief."""
    if not isinstance(belief, Gaussian) or not _one_predictor(model):
        return as_draws(key, belief, DRAWS)
    row = _direction(model, belief.mean, stats, event)[0]
    # Only the direction counts; scaled so that its square does not underflow.
    row = row / jnp.maximum(jnp.max(jnp.abs(row)), jnp.finfo(row.dtype).tiny)
    pushed = gaussian_push(belief, row)
    length = jnp.sqrt(jnp.maximum(row @ pushed, jnp.finfo(row.dtype).tiny))
    abscissae, weights = np.polynomial.hermite_e.hermegauss(NODES)
    z = jnp.asarray(abscissae, row.dtype)
    log_weights = jnp.asarray(np.log(weights / weights.sum()), row.dtype)
    return Draws(belief.mean[None, :] + z[:, None] * (pushed / length)[None, :], log_weights)


class JointScore(NamedTuple):
    """Joint log probability `[]` of a block's observations, nats.

    coming: of the block's own events.
    dyadic: of as many events drawn with replacement from two of them. It separates a belief that
        knows its own uncertainty from one that does not.
    """

    coming: Array
    dyadic: Array


def joint_predictive_score(
    key: Array, model: Model, belief: Belief, stats: Any, events: Event
) -> JointScore:
    """Score a block of events jointly under the belief held before the first.

    The unknowns must not move within the block. The statistics follow the block's own events.

    key: random key.
    model: the model.
    belief: draws or a Gaussian.
    stats: the model's running statistics before the block.
    events: `Event [B, ...]`.

    Returns: the joint scores.
    """
    draw_key, pair_key, pick_key = jax.random.split(key, 3)
    size = events.weight.shape[0]
    pair = jax.random.choice(pair_key, size, (DYAD,), replace=size < DYAD)
    picks = pair[jax.random.randint(pick_key, (size,), 0, DYAD)]
    if _linear(model, belief):
        assert isinstance(belief, Gaussian)
        x, scale = jax.vmap(model.linear)(events.action)
        shared = covariance_along(belief, x)
        error = events.observation - x @ belief.mean

        def joint(rows: Array) -> Array:
            spread = shared[rows][:, rows] + jnp.diag(jnp.square(scale[rows]))
            root = jnp.linalg.cholesky(spread)
            z = jax.scipy.linalg.solve_triangular(root, error[rows], lower=True)
            return -jnp.sum(jnp.log(jnp.diag(root))) - 0.5 * (size * LOG_2PI + z @ z)

        return JointScore(joint(jnp.arange(size)), joint(picks))

    def advance(before: Any, event: Event) -> tuple[Any, Any]:
        return model.update_stats(before, event), before

    _, before = jax.lax.scan(advance, stats, events)
    draws = _block_draws(draw_key, model, belief, before, events)

    def one(stats: Any, event: Event) -> Array:
        return vmap_last(
            lambda u: log_likelihood(model, u, stats, event.action, event.observation),
            draws.values.T,
        )

    logs = jax.vmap(one)(before, events)  # [B, S]
    coming = jax.nn.logsumexp(draws.log_weights + logs.sum(0))
    return JointScore(coming, jax.nn.logsumexp(draws.log_weights + logs[picks].sum(0)))


def _block_draws(key: Array, model: Model, belief: Belief, before: Any, events: Event) -> Draws:
    """Draws that agree with the belief in every direction in which the block meets it."""
    if not isinstance(belief, Gaussian) or not _one_predictor(model):
        return as_draws(key, belief, DRAWS)
    rows = jax.vmap(lambda s, e: _direction(model, belief.mean, s, e)[0])(before, events)
    largest = jnp.max(jnp.abs(rows), axis=1, keepdims=True)
    rows = rows / jnp.maximum(largest, jnp.finfo(rows.dtype).tiny)
    pushed = gaussian_push(belief, rows)  # [B, D]
    values, vectors = jnp.linalg.eigh(rows @ pushed.T)
    # Repeated events span fewer directions than there are events.
    kept = values > JITTER * jnp.max(values)
    inverse_root = jnp.where(kept, 1 / jnp.sqrt(jnp.where(kept, values, 1.0)), 0.0)
    noise = jax.random.normal(key, (DRAWS, values.shape[0]), rows.dtype)
    offsets = (noise * inverse_root[None, :]) @ vectors.T @ pushed
    return uniform_draws(belief.mean[None, :] + offsets)


def predicted_rewards(
    key: Array, model: Model, belief: Belief, stats: Any, features: Array
) -> Array:
    """Predict the reward of each action, for a doubly robust estimate.

    key: random key.
    model: the model, with a reward.
    belief: draws, or a Gaussian of which only the mean is used.
    stats: the model's running statistics.
    features: `[A, size]` candidate actions.

    Returns: expected rewards `[A]`.
    """
    if isinstance(belief, Gaussian):
        draws = uniform_draws(belief.mean[None, :])
    else:
        draws = as_draws(key, belief, 1)
    pay = expected_reward(key, model, draws, stats, features)
    return pay @ jnp.exp(draws.log_weights)


__all__ = [
    "JointScore",
    "PredictiveScore",
    "joint_predictive_score",
    "predicted_rewards",
    "predictive_score",
]
