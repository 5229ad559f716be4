"""Batches: rules that choose several distinct actions at once, one after another.

Each returns a `Choice` whose fields have a leading axis `[count]`; the propensity of a row is
conditional on the rows before it. Any rule can choose again without the actions already chosen. For
eig the gain of each action is conditional on the observations of those before it, so that the gains
of a batch add up to its joint gain: exactly where the belief is Gaussian and the model linear, or
where outcomes are few enough to be enumerated; otherwise over outcomes sampled from the draws.
See also: basic.py for single actions.
Sources: Kirsch, van Amersfoort and Gal (2019), greedy batches by joint mutual information.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ...posteriors.base import Array, Belief, Draws, Event, Gaussian, Model
from ...posteriors.parts.block_gaussian import condition_gaussian
from ...posteriors.parts.draws import normalise
from ...posteriors.parts.outcomes import Finite, log_probs, outcome_kind, sample_outcome
from ...posteriors.parts.unknowns import log_likelihood, unknowns_of
from ...posteriors.parts.vmap_last import vmap_last
from .base import Candidates, Choice, Rule, as_draws, choose_best, with_exploration
from .basic import EIG, build_eig
from .information import is_linear_gaussian

FANTASIES = 16
"""Largest number of imagined outcomes of the batch so far, over which later scores are averaged."""


def build_sequential(rule: Rule, count: int) -> Rule:
    """Build a rule that chooses repeatedly without replacement.

    rule: the rule of single actions.
    count: actions to choose.

    Returns: the batch rule; fields of its choice are `[count, ...]`.
    """

    def choose(key, belief, model, stats, candidates: Candidates) -> Choice:
        def choose_next(valid: Array, key: Array) -> tuple[Array, Choice]:
            choice = rule(key, belief, model, stats, candidates._replace(valid=valid))
            return valid.at[choice.index].set(False), choice

        return jax.lax.scan(choose_next, candidates.valid, jax.random.split(key, count))[1]

    return choose


def build_joint_eig(config: EIG, model: Model, count: int, explore: float = 0.0) -> Rule:
    """Build eig for batches: the gain of each action is conditional on those before it.

    config: options of eig.
    model: the model of the gains.
    count: actions to choose.
    explore: probability of a uniform choice, for each action.

    Returns: the batch rule; its scores `[count, A]` are gains in nats.
    """
    rule = build_eig(config, model)
    closed = is_linear_gaussian(model) and config.about == "all"

    def choose(key, belief, model, stats, candidates: Candidates) -> Choice:
        draw_key, *keys = jax.random.split(key, count + 1)
        narrow = closed and isinstance(belief, Gaussian)
        past = (
            None
            if narrow
            else _start_fantasies(as_draws(draw_key, belief, config.particles), stats)
        )
        valid, choices = candidates.valid, []
        for number, key in enumerate(keys):
            score_key, choice_key, answer_key = jax.random.split(key, 3)
            if past is None or number == 0:
                scores = rule(score_key, belief, model, stats, candidates).scores
            else:
                scores = _mean_scores(score_key, rule, model, past, candidates)
            choice = with_exploration(_by(scores), explore)(
                choice_key, belief, model, stats, candidates._replace(valid=valid)
            )
            choices.append(choice)
            valid = valid.at[choice.index].set(False)
            action = candidates.features[choice.index]
            if past is not None:
                past = _extend(answer_key, model, past, action)
            else:
                belief = _narrowed(belief, model, action)
        return jax.tree.map(lambda *rows: jnp.stack(rows), *choices)

    return choose


def _by(scores: Array) -> Rule:
    """A rule that chooses the highest of given scores."""

    def choose(key, belief, model, stats, candidates: Candidates) -> Choice:
        return choose_best(key, scores, candidates.valid)

    return choose


def _narrowed(belief: Belief, model: Model, action: Array) -> Gaussian:
    """A Gaussian after a linear observation, whose value moves only the mean (not the gain)."""
    assert isinstance(belief, Gaussian)
    x, scale = model.linear(action)
    return condition_gaussian(belief, x / scale)


class Fantasies(NamedTuple):
    """M imagined sequences of outcomes of the actions chosen so far.

    values: `[S, D]`, the draws.
    log_weights: `[M, S]`, of the draws after each sequence.
    share: `[M]`, probability of each sequence.
    stats: the model's running summary, every leaf `[M, ...]`.
    """

    values: Array
    log_weights: Array
    share: Array
    stats: Any


def _start_fantasies(draws: Draws, stats: Any) -> Fantasies:
    """The one empty sequence."""
    stats = jax.tree.map(lambda x: jnp.asarray(x)[None], stats)
    one = jnp.ones(1, draws.log_weights.dtype)
    return Fantasies(draws.values, draws.log_weights[None], one, stats)


def _mean_scores(
    key: Array, rule: Rule, model: Model, past: Fantasies, candidates: Candidates
) -> Array:
    """A rule's scores `[A]`, averaged over the imagined outcomes."""

    def one(key: Array, log_weights: Array, stats: Any) -> Array:
        return rule(key, Draws(past.values, log_weights), model, stats, candidates).scores

    keys = jax.random.split(key, len(past.share))
    return past.share @ jax.vmap(one)(keys, past.log_weights, past.stats)


def _extend(key: Array, model: Model, past: Fantasies, action: Array) -> Fantasies:
    """Every sequence extended by the outcome of one more action: all outcomes while few."""
    kind = outcome_kind(model)
    if isinstance(kind, Finite) and len(past.share) * len(kind.values) <= FANTASIES:
        return _enumerated(model, kind, past, action)
    return _sampled(key, model, past, action)


def _enumerated(model: Model, kind: Finite, past: Fantasies, action: Array) -> Fantasies:
    values = jnp.asarray(kind.array, past.share.dtype)

    def one(log_weights: Array, share: Array, stats: Any) -> tuple[Array, Array, Any]:
        def every(u: Array) -> Array:
            return log_probs(model.predict(unknowns_of(model).constrain(u), stats, action), kind)

        joint = log_weights[None, :] + vmap_last(every, past.values.T)  # [K, S]
        evidence = jax.nn.logsumexp(joint, axis=1)
        possible = evidence > -jnp.inf
        # An impossible outcome keeps the old weights: its share is 0, but 0 times NaN is not.
        after = joint - jnp.where(possible, evidence, 0.0)[:, None]
        after = jnp.where(possible[:, None], after, log_weights[None, :])
        return (
            after,
            share * jnp.exp(evidence),
            jax.vmap(lambda y: _seen(model, stats, action, y))(values),
        )

    extended = jax.vmap(one)(past.log_weights, past.share, past.stats)
    flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), extended)
    return Fantasies(past.values, *flat)


def _sampled(key: Array, model: Model, past: Fantasies, action: Array) -> Fantasies:
    which_key, answer_key = jax.random.split(key)
    which = jnp.arange(FANTASIES)
    if len(past.share) < FANTASIES:
        which = jax.random.categorical(which_key, jnp.log(past.share), shape=(FANTASIES,))

    def one(key: Array, log_weights: Array, stats: Any) -> tuple[Array, Any]:
        guess_key, outcome_key = jax.random.split(key)
        guess = past.values[jax.random.categorical(guess_key, log_weights)]
        d = model.predict(unknowns_of(model).constrain(guess), stats, action)
        y = sample_outcome(outcome_key, d).astype(log_weights.dtype)
        logs = vmap_last(lambda u: log_likelihood(model, u, stats, action, y), past.values.T)
        return normalise(log_weights + logs), _seen(model, stats, action, y)

    stats = jax.tree.map(lambda x: x[which], past.stats)
    keys = jax.random.split(answer_key, FANTASIES)
    log_weights, stats = jax.vmap(one)(keys, past.log_weights[which], stats)
    share = jnp.full(FANTASIES, 1 / FANTASIES, past.share.dtype)
    return Fantasies(past.values, log_weights, share, stats)


def _seen(model: Model, stats: Any, action: Array, y: Array) -> Any:
    """The model's summary after an imagined event."""
    zero, one = jnp.zeros(()), jnp.ones(())
    return model.update_stats(stats, Event(action, y, zero, jnp.zeros((), jnp.int32), one))
