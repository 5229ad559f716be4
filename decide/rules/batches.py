"""Several actions at once, none twice: a rule that chooses `count` of them, one after another.

Each returns a `Choice` whose fields have a leading axis `[count]`; a row's propensity is given the
rows before it. Any rule is asked again without what is taken. eig is asked for the gain beyond what
the actions taken are about to tell, so that the gains of a batch add up to its joint gain: exactly
where the belief is Gaussian and the model linear, or where answers are few enough to be enumerated;
otherwise over answers sampled from the belief's own draws. Not here: single actions.
Sources: Kirsch, van Amersfoort and Gal (2019), greedy batches by joint mutual information.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ...posteriors.base import Array, Belief, Draws, Event, Gaussian, Model
from ...posteriors.blocks import contract
from ...posteriors.outcomes import Finite, log_probs, outcome_kind, sampled
from ...posteriors.trailing import across
from ...posteriors.unknowns import likelihood, normalise, unknowns_of
from .base import Candidates, Choice, Rule, as_draws, best, exploring
from .choosing import EIG, eig
from .information import linear_gaussian

FANTASIES = 16
"""Ways in which the actions taken so far may be answered that a later one is scored under."""


def one_by_one(rule: Rule, count: int) -> Rule:
    """A rule asked `count` times, each time without what it has taken."""

    def choose(key, belief, model, stats, candidates: Candidates) -> Choice:
        def turn(valid: Array, key: Array) -> tuple[Array, Choice]:
            choice = rule(key, belief, model, stats, candidates._replace(valid=valid))
            return valid.at[choice.index].set(False), choice

        return jax.lax.scan(turn, candidates.valid, jax.random.split(key, count))[1]

    return choose


def jointly(config: EIG, model: Model, count: int, explore: float = 0.0) -> Rule:
    """eig, each action after the first by its gain given the answers to those before."""
    rule = eig(config, model)
    closed = linear_gaussian(model) and config.about == "all"

    def choose(key, belief, model, stats, candidates: Candidates) -> Choice:
        draw_key, *keys = jax.random.split(key, count + 1)
        narrow = closed and isinstance(belief, Gaussian)
        past = None if narrow else nothing_said(as_draws(draw_key, belief, config.particles), stats)
        valid, choices = candidates.valid, []
        for number, key in enumerate(keys):
            score_key, choice_key, answer_key = jax.random.split(key, 3)
            if past is None or number == 0:
                scores = rule(score_key, belief, model, stats, candidates).scores
            else:
                scores = expected_scores(score_key, rule, model, past, candidates)
            choice = exploring(by(scores), explore)(
                choice_key, belief, model, stats, candidates._replace(valid=valid)
            )
            choices.append(choice)
            valid = valid.at[choice.index].set(False)
            action = candidates.features[choice.index]
            if past is not None:
                past = answered(answer_key, model, past, action)
            else:
                belief = narrowed(belief, model, action)
        return jax.tree.map(lambda *rows: jnp.stack(rows), *choices)

    return choose


def by(scores: Array) -> Rule:
    """A rule that takes the highest of given scores."""

    def choose(key, belief, model, stats, candidates: Candidates) -> Choice:
        return best(key, scores, candidates.valid)

    return choose


def narrowed(belief: Belief, model: Model, action: Array) -> Gaussian:
    """A Gaussian after a linear observation; what it will be moves the mean, which no gain sees."""
    assert isinstance(belief, Gaussian)
    x, scale = model.linear(action)
    return belief._replace(covariance=contract(belief.covariance, (x / scale)[None, :]))


class Imagined(NamedTuple):
    """M ways in which the actions taken may have been answered.

    values `[S, D]`: the draws. log_weights `[M, S]`: theirs after the answers. share `[M]`: how
    probable each way is. stats: the model's, every leaf `[M, ...]`.
    """

    values: Array
    log_weights: Array
    share: Array
    stats: Any


def nothing_said(draws: Draws, stats: Any) -> Imagined:
    """The one way in which nothing was answered."""
    stats = jax.tree.map(lambda x: jnp.asarray(x)[None], stats)
    one = jnp.ones(1, draws.log_weights.dtype)
    return Imagined(draws.values, draws.log_weights[None], one, stats)


def expected_scores(
    key: Array, rule: Rule, model: Model, past: Imagined, candidates: Candidates
) -> Array:
    """A rule's scores `[A]`, averaged over the answers imagined."""

    def one(key: Array, log_weights: Array, stats: Any) -> Array:
        return rule(key, Draws(past.values, log_weights), model, stats, candidates).scores

    keys = jax.random.split(key, len(past.share))
    return past.share @ jax.vmap(one)(keys, past.log_weights, past.stats)


def answered(key: Array, model: Model, past: Imagined, action: Array) -> Imagined:
    """Every way carried on by the answers to one more action: all of them while they are few."""
    kind = outcome_kind(model)
    if isinstance(kind, Finite) and len(past.share) * len(kind.values) <= FANTASIES:
        return _enumerated(model, kind, past, action)
    return _sampled(key, model, past, action)


def _enumerated(model: Model, kind: Finite, past: Imagined, action: Array) -> Imagined:
    values = jnp.asarray(kind.array, past.share.dtype)

    def one(log_weights: Array, share: Array, stats: Any) -> tuple[Array, Array, Any]:
        def every(u: Array) -> Array:
            return log_probs(model.predict(unknowns_of(model).constrain(u), stats, action), kind)

        joint = log_weights[None, :] + across(every, past.values.T)  # [K, S]
        evidence = jax.nn.logsumexp(joint, axis=1)
        possible = evidence > -jnp.inf
        # An impossible answer keeps the weights it found: its share is 0, NaN would not be.
        after = joint - jnp.where(possible, evidence, 0.0)[:, None]
        after = jnp.where(possible[:, None], after, log_weights[None, :])
        return (
            after,
            share * jnp.exp(evidence),
            jax.vmap(lambda y: _seen(model, stats, action, y))(values),
        )

    told = jax.vmap(one)(past.log_weights, past.share, past.stats)
    flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), told)
    return Imagined(past.values, *flat)


def _sampled(key: Array, model: Model, past: Imagined, action: Array) -> Imagined:
    which_key, answer_key = jax.random.split(key)
    which = jnp.arange(FANTASIES)
    if len(past.share) < FANTASIES:
        which = jax.random.categorical(which_key, jnp.log(past.share), shape=(FANTASIES,))

    def one(key: Array, log_weights: Array, stats: Any) -> tuple[Array, Any]:
        guess_key, outcome_key = jax.random.split(key)
        guess = past.values[jax.random.categorical(guess_key, log_weights)]
        d = model.predict(unknowns_of(model).constrain(guess), stats, action)
        y = sampled(outcome_key, d).astype(log_weights.dtype)
        logs = across(lambda u: likelihood(model, u, stats, action, y), past.values.T)
        return normalise(log_weights + logs), _seen(model, stats, action, y)

    stats = jax.tree.map(lambda x: x[which], past.stats)
    keys = jax.random.split(answer_key, FANTASIES)
    log_weights, stats = jax.vmap(one)(keys, past.log_weights[which], stats)
    share = jnp.full(FANTASIES, 1 / FANTASIES, past.share.dtype)
    return Imagined(past.values, log_weights, share, stats)


def _seen(model: Model, stats: Any, action: Array, y: Array) -> Any:
    """The model's stats after an event that is only imagined."""
    zero, one = jnp.zeros(()), jnp.ones(())
    return model.update_stats(stats, Event(action, y, zero, jnp.zeros((), jnp.int32), one))
