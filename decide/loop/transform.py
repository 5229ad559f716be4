"""Where an observation fell in its prediction: the probability integral transform, in [0, 1].

If the model is right and the belief exact, the places of a stream's observations are independent
and uniform, whatever the actions were. Outcomes that jump are randomised within their jump, under
a key of their own; what has no distribution function is ranked among draws of the prediction,
which is as uniform. Not here: what is made of the places (alarm.py).
Sources: Rosenblatt (1952); Dawid (1984); Smith (1985), randomised; Talts et al. (2018), ranks.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ...posteriors.base import Array, Draws, Event, Model, example
from ...posteriors.outcomes import Finite, is_discrete, log_probs, outcome_kind, sampled
from ...posteriors.trailing import across
from ...posteriors.unknowns import likelihood, unknowns_of

RANKS = 63
"""Draws of the prediction that an observation is ranked among: places come in 64 steps, within
which they are randomised."""


def place_among(key: Array, model: Model, draws: Draws, stats: Any, event: Event) -> Array:
    """The place `[]` of an event's observation in its prediction under weighted guesses.

    A vector is placed by its predictive density: near 0 it is a surprise.
    """
    weights = jnp.exp(draws.log_weights)
    weights = weights / jnp.sum(weights)
    kind = outcome_kind(model)
    chance_key, rank_key = jax.random.split(key)
    chance = jax.random.uniform(chance_key, (), weights.dtype)
    if isinstance(kind, Finite):
        unknowns = unknowns_of(model)

        def every(u: Array) -> Array:
            return log_probs(model.predict(unknowns.constrain(u), stats, event.action), kind)

        probs = jnp.exp(across(every, draws.values.T)) @ weights
        values = jnp.asarray(kind.array, probs.dtype)
        below = jnp.sum(jnp.where(values < event.observation, probs, 0.0))
        here = jnp.sum(jnp.where(values == event.observation, probs, 0.0))
        return (below + chance * here) / jnp.sum(probs)
    if has_cdf(model):
        return _by_cdf(chance, model, draws, weights, stats, event)
    return _by_rank(chance, rank_key, model, draws, stats, event)


def in_normal(mean: Array, variance: Array, observation: Array) -> Array:
    """The place `[]` of an observation in a normal prediction."""
    return jax.scipy.special.ndtr((observation - mean) / jnp.sqrt(variance))


def has_cdf(model: Model) -> bool:
    """Whether a model's outcome is one number with a distribution function that can be computed."""
    if np.shape(jax.eval_shape(lambda given: model.predict(*given).mean, example(model))) != ():
        return False
    try:
        jax.eval_shape(lambda given: model.predict(*given).cdf(jnp.ones(())), example(model))
    except NotImplementedError:
        return False
    return True


def _by_cdf(
    chance: Array, model: Model, draws: Draws, weights: Array, stats: Any, event: Event
) -> Array:
    unknowns = unknowns_of(model)
    jumps = is_discrete(model.predict(*example(model)))

    def below(u: Array) -> Array:
        outcome = model.predict(unknowns.constrain(u), stats, event.action)
        return jnp.asarray(outcome.cdf(event.observation))

    upper = across(below, draws.values.T) @ weights
    if not jumps:
        return upper
    logs = across(
        lambda u: likelihood(model, u, stats, event.action, event.observation), draws.values.T
    )
    return jnp.maximum(upper - (1 - chance) * (jnp.exp(logs) @ weights), 0.0)


def _by_rank(
    chance: Array, key: Array, model: Model, draws: Draws, stats: Any, event: Event
) -> Array:
    """Under the prediction the observation and the draws are exchangeable, so its rank among them
    is uniform, whatever they are ranked by."""
    unknowns = unknowns_of(model)
    which_key, draw_key = jax.random.split(key)
    picked = jax.random.categorical(which_key, draws.log_weights, shape=(RANKS,))

    def one(key: Array, u: Array) -> Array:
        outcome = model.predict(unknowns.constrain(u), stats, event.action)
        return sampled(key, outcome).astype(event.observation.dtype)

    made = jax.vmap(one)(jax.random.split(draw_key, RANKS), draws.values[picked])

    def statistic(y: Array) -> Array:
        if y.shape == ():
            return y
        logs = across(lambda u: likelihood(model, u, stats, event.action, y), draws.values.T)
        return jax.nn.logsumexp(draws.log_weights + logs)

    own, others = statistic(event.observation), jax.vmap(statistic)(made)
    lower = jnp.sum(others < own).astype(own.dtype)
    alike = jnp.sum(others == own).astype(own.dtype)
    return (lower + chance * (1 + alike)) / (RANKS + 1)


__all__ = ["RANKS", "has_cdf", "in_normal", "place_among"]
