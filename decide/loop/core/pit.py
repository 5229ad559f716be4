"""Probability integral transform: the position of an observation in its predictive distribution.

If the model is right and the belief exact, the transforms (PITs) of a stream's observations are
independent and uniform on [0, 1], whatever the actions were. A discrete outcome is randomised
within its jump, under its own key. An outcome without a distribution function is ranked among draws
of the prediction; the rank is uniform too.

See also: e_process.py for the test built on it.
Sources: Rosenblatt (1952); Dawid (1984); Smith (1985), randomised; Talts et al. (2018), ranks.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ....posteriors.base import Array, Draws, Event, Model
from ....posteriors.parts.outcomes import (
    Finite,
    is_discrete,
    log_probs,
    outcome_kind,
    sample_outcome,
)
from ....posteriors.parts.unknowns import log_likelihood, unknowns_of
from ....posteriors.parts.vmap_last import vmap_last
from ....posteriors.placeholders import example, look_at_prediction

RANKS = 63
"""Draws of the prediction that an observation is ranked among: places come in 64 steps, within
which they are randomised."""


def pit_of_draws(key: Array, model: Model, draws: Draws, stats: Any, event: Event) -> Array:
    """Compute the PIT of an observation under weighted draws.

    key: random key, for randomisation and ranks.
    model: the model.
    draws: weighted draws of the unknowns.
    stats: the model's running statistics.
    event: the event, before it is learnt; a vector observation is ranked by its predictive density.

    Returns: `[]` in [0, 1]; for a vector, near 0 is a surprise.
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

        probs = jnp.exp(vmap_last(every, draws.values.T)) @ weights
        values = jnp.asarray(kind.array, probs.dtype)
        below = jnp.sum(jnp.where(values < event.observation, probs, 0.0))
        here = jnp.sum(jnp.where(values == event.observation, probs, 0.0))
        return (below + chance * here) / jnp.sum(probs)
    if has_cdf(model):
        return _pit_by_cdf(chance, model, draws, weights, stats, event)
    return _pit_by_rank(chance, rank_key, model, draws, stats, event)


def pit_of_normal(mean: Array, variance: Array, observation: Array) -> Array:
    """Compute the PIT of an observation under a normal prediction.

    mean: `[]` predictive mean.
    variance: `[]` predictive variance.
    observation: `[]` observed value.

    Returns: `[]` in [0, 1].
    """
    return jax.scipy.special.ndtr((observation - mean) / jnp.sqrt(variance))


def has_cdf(model: Model) -> bool:
    """Test whether the model's outcome is a scalar with a computable distribution function.

    model: the model.

    Returns: True if the outcome distribution implements `cdf`.
    """
    if np.shape(jax.eval_shape(lambda given: model.predict(*given).mean, example(model))) != ():
        return False
    try:
        jax.eval_shape(lambda given: model.predict(*given).cdf(jnp.ones(())), example(model))
    except NotImplementedError:
        return False
    return True


def _pit_by_cdf(
    chance: Array, model: Model, draws: Draws, weights: Array, stats: Any, event: Event
) -> Array:
    """PIT by the outcome's distribution function; a jump is randomised by `chance`."""
    unknowns = unknowns_of(model)
    jumps = look_at_prediction(model, is_discrete)

    def below(u: Array) -> Array:
        outcome = model.predict(unknowns.constrain(u), stats, event.action)
        return jnp.asarray(outcome.cdf(event.observation))

    upper = vmap_last(below, draws.values.T) @ weights
    if not jumps:
        return upper
    logs = vmap_last(
        lambda u: log_likelihood(model, u, stats, event.action, event.observation), draws.values.T
    )
    return jnp.maximum(upper - (1 - chance) * (jnp.exp(logs) @ weights), 0.0)


def _pit_by_rank(
    chance: Array, key: Array, model: Model, draws: Draws, stats: Any, event: Event
) -> Array:
    """PIT by rank: the observation is exchangeable with draws of the prediction."""
    unknowns = unknowns_of(model)
    which_key, draw_key = jax.random.split(key)
    picked = jax.random.categorical(which_key, draws.log_weights, shape=(RANKS,))

    def one(key: Array, u: Array) -> Array:
        outcome = model.predict(unknowns.constrain(u), stats, event.action)
        return sample_outcome(key, outcome).astype(event.observation.dtype)

    made = jax.vmap(one)(jax.random.split(draw_key, RANKS), draws.values[picked])

    def statistic(y: Array) -> Array:
        if y.shape == ():
            return y
        logs = vmap_last(lambda u: log_likelihood(model, u, stats, event.action, y), draws.values.T)
        return jax.nn.logsumexp(draws.log_weights + logs)

    own, others = statistic(event.observation), jax.vmap(statistic)(made)
    lower = jnp.sum(others < own).astype(own.dtype)
    alike = jnp.sum(others == own).astype(own.dtype)
    return (lower + chance * (1 + alike)) / (RANKS + 1)


__all__ = ["RANKS", "has_cdf", "pit_of_draws", "pit_of_normal"]
