"""Input and output types of a rule, and the steps that all rules share.

See also: information.py and rewards.py for scores, entries.py for a rule's properties.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ...posteriors.base import Array, Belief, Draws, Gaussian, Model
from ...posteriors.errors import UsageError
from ...posteriors.parts.block_gaussian import gaussian_root
from ...posteriors.parts.draws import resample_systematic, uniform_draws


class Candidates(NamedTuple):
    """Actions to choose from.

    features: `[A, size]`, one row an action.
    valid: `[A]` bool, whether the row may be chosen.
    cost: `[A]`, 1 unless given.
    """

    features: Array
    valid: Array
    cost: Array


class Choice(NamedTuple):
    """A rule's choice.

    index: `[]` int32, row of the chosen action.
    propensity: `[A]`, probability with which the rule chooses each action.
    scores: `[A]`, in the rule's own unit.
    """

    # The contract's name, although tuples have a method `index`; no code searches a Choice.
    index: Array  # pyright: ignore[reportIncompatibleMethodOverride]
    propensity: Array
    scores: Array


Rule = Callable[[Array, Belief, Model, Any, Candidates], Choice]
"""`choose(key, belief, model, stats, candidates) -> Choice`."""

JITTER = 1e-6
"""Added to a covariance's diagonal, relative to it, before its Cholesky factor is taken."""


def as_draws(key: Array, belief: Belief, count: int) -> Draws:
    """Turn a belief into weighted draws.

    key: random key, used for a Gaussian belief only.
    belief: draws, returned unchanged, or a Gaussian.
    count: draws to sample from a Gaussian.

    Returns: draws `[S, D]` with normalised log weights `[S]`.
    Raises: UsageError if the belief is a summary.
    """
    if isinstance(belief, Draws):
        return belief
    if not isinstance(belief, Gaussian):
        raise UsageError(
            "this posterior's belief is a summary, from which no draws can be had: only its own "
            "rule can read it"
        )
    groups, width = belief.covariance.shape[:2]
    root = gaussian_root(belief, JITTER)
    noise = jax.random.normal(key, (count, groups, width), belief.mean.dtype)
    offsets = jnp.einsum("bij,sbj->sbi", root, noise).reshape(count, -1)
    return uniform_draws(belief.mean[None, :] + offsets)


def arm_features(count: int, context: Array) -> Array:
    """Build the features of every arm: its index, then the context.

    count: number of arms.
    context: `[C]`.

    Returns: `[count, 1 + C]`.
    """
    index = jnp.arange(count, dtype=context.dtype)[:, None]
    return jnp.concatenate([index, jnp.broadcast_to(context, (count, context.size))], axis=1)


def thin_draws(key: Array, draws: Draws, count: int) -> Draws:
    """Resample draws down to a number of equally weighted ones.

    key: random key of the systematic resampling.
    draws: `[S, D]`; returned unchanged if S is at most `count`.
    count: draws to keep.

    Returns: at most `count` draws.
    """
    if draws.values.shape[0] <= count:
        return draws
    return uniform_draws(draws.values[resample_systematic(key, draws.log_weights, count)])


def choose_best(key: Array, scores: Array, valid: Array) -> Choice:
    """Choose the valid candidate with the highest score, breaking ties at random.

    key: random key for ties.
    scores: `[A]`; NaN counts as the lowest, so that one broken candidate cannot win.
    valid: `[A]` bool.

    Returns: the choice; its propensity is uniform over the tied candidates.
    """
    masked = jnp.where(valid & ~jnp.isnan(scores), scores, -jnp.inf)
    ties = valid & (masked == jnp.max(masked))
    # Without any finite score, all valid candidates tie.
    ties = jnp.where(jnp.any(ties), ties, valid)
    noise = jax.random.uniform(key, scores.shape)
    index = jnp.argmax(jnp.where(ties, noise, -1.0)).astype(jnp.int32)
    propensity = ties / jnp.maximum(jnp.sum(ties), 1)
    return Choice(index, propensity.astype(scores.dtype), scores)


def choose_at_random(key: Array, propensity: Array, scores: Array) -> Choice:
    """Choose a candidate with given probabilities.

    key: random key.
    propensity: `[A]`, probabilities that sum to 1; 0 is never chosen.
    scores: `[A]`, passed on.

    Returns: the choice.
    """
    logits = jnp.log(jnp.maximum(propensity, jnp.finfo(propensity.dtype).tiny))
    index = jax.random.categorical(key, jnp.where(propensity > 0, logits, -jnp.inf))
    return Choice(index.astype(jnp.int32), propensity, scores)


def with_exploration(rule: Rule, share: float) -> Rule:
    """Mix uniform choices into a rule, so that every propensity is positive.

    rule: the rule that otherwise chooses.
    share: probability of a uniform choice among the valid candidates.

    Returns: the mixed rule, with exact propensities.
    """

    def choose(
        key: Array, belief: Belief, model: Model, stats: Any, candidates: Candidates
    ) -> Choice:
        rule_key, coin_key, uniform_key = jax.random.split(key, 3)
        choice = rule(rule_key, belief, model, stats, candidates)
        uniform = candidates.valid / jnp.maximum(jnp.sum(candidates.valid), 1)
        wander = choose_at_random(uniform_key, uniform.astype(choice.scores.dtype), choice.scores)
        index = jnp.where(jax.random.uniform(coin_key) < share, wander.index, choice.index)
        propensity = (1 - share) * choice.propensity + share * wander.propensity
        return Choice(index, propensity, choice.scores)

    return choose
