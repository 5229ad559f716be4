"""What a rule sees and returns, and the few steps that every rule shares.

Not here: any score.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ...posteriors.base import Array, Belief, Draws, Gaussian, Model, UsageError
from ...posteriors.unknowns import systematic, uniform_draws


class Candidates(NamedTuple):
    """Actions on offer. features `[A, size]`, valid `[A]` bool, cost `[A]` (1 unless given)."""

    features: Array
    valid: Array
    cost: Array


class Choice(NamedTuple):
    """index `[]` int32; propensity `[A]`, each one's probability; scores `[A]`, the rule's own."""

    # The contract's own name; nobody looks a value up in a Choice.
    index: Array  # pyright: ignore[reportIncompatibleMethodOverride]
    propensity: Array
    scores: Array


Rule = Callable[[Array, Belief, Model, Any, Candidates], Choice]
"""`choose(key, belief, model, stats, candidates) -> Choice`."""

JITTER = 1e-6
"""Added to a covariance's diagonal, relative to it, before its Cholesky factor is taken."""


def as_draws(key: Array, belief: Belief, count: int) -> Draws:
    """The belief as weighted draws; a Gaussian is sampled `count` times."""
    if isinstance(belief, Draws):
        return belief
    if not isinstance(belief, Gaussian):
        raise UsageError(
            "this posterior's belief is a summary, from which no draws can be had: only its own "
            "rule can read it"
        )
    groups, width = belief.covariance.shape[:2]
    diagonal = jnp.einsum("bii->bi", belief.covariance)
    ridge = jax.vmap(jnp.diag)(JITTER * diagonal + jnp.finfo(diagonal.dtype).tiny)
    root = jnp.linalg.cholesky(belief.covariance + ridge)
    noise = jax.random.normal(key, (count, groups, width), belief.mean.dtype)
    offsets = jnp.einsum("bij,sbj->sbi", root, noise).reshape(count, -1)
    return uniform_draws(belief.mean[None, :] + offsets)


def thinned(key: Array, draws: Draws, count: int) -> Draws:
    """`count` of the draws, alike in weight; all of them, untouched, where there are no more."""
    if draws.values.shape[0] <= count:
        return draws
    return uniform_draws(draws.values[systematic(key, draws.log_weights, count)])


def best(key: Array, scores: Array, valid: Array) -> Choice:
    """The highest score among valid candidates, ties broken at random.

    A NaN score counts as the lowest, so that one broken candidate cannot win.
    """
    masked = jnp.where(valid & ~jnp.isnan(scores), scores, -jnp.inf)
    ties = valid & (masked == jnp.max(masked))
    # No valid finite score at all: any valid candidate will do.
    ties = jnp.where(jnp.any(ties), ties, valid)
    noise = jax.random.uniform(key, scores.shape)
    index = jnp.argmax(jnp.where(ties, noise, -1.0)).astype(jnp.int32)
    propensity = ties / jnp.maximum(jnp.sum(ties), 1)
    return Choice(index, propensity.astype(scores.dtype), scores)


def draw(key: Array, propensity: Array, scores: Array) -> Choice:
    """Choose at random with the given probabilities `[A]`."""
    logits = jnp.log(jnp.maximum(propensity, jnp.finfo(propensity.dtype).tiny))
    index = jax.random.categorical(key, jnp.where(propensity > 0, logits, -jnp.inf))
    return Choice(index.astype(jnp.int32), propensity, scores)


def exploring(rule: Rule, share: float) -> Rule:
    """The rule, except that with probability `share` a valid candidate is taken at random."""

    def choose(
        key: Array, belief: Belief, model: Model, stats: Any, candidates: Candidates
    ) -> Choice:
        rule_key, coin_key, uniform_key = jax.random.split(key, 3)
        choice = rule(rule_key, belief, model, stats, candidates)
        uniform = candidates.valid / jnp.maximum(jnp.sum(candidates.valid), 1)
        wander = draw(uniform_key, uniform.astype(choice.scores.dtype), choice.scores)
        index = jnp.where(jax.random.uniform(coin_key) < share, wander.index, choice.index)
        propensity = (1 - share) * choice.propensity + share * wander.propensity
        return Choice(index, propensity, choice.scores)

    return choose
