"""The contrastive bound on a policy's gain, its estimate and a gradient for it.

One rollout of a policy is told from `contrasts` other draws of the prior. Normal outcomes carry the
gradient through themselves, as mean + scale * noise; for all others the score function does, with
the mean of the other rollouts as its baseline. The contrasts are shared by a batch, where the
released code draws others for each rollout: the expectation is the same. Not here: networks
(posteriors/policy.py), or steps of an optimiser (training.py).
Source: Foster, Ivanova, Malik and Rainforth (2021), Deep Adaptive Design, equations 9 to 11.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ...posteriors.base import Array, Event, Model
from ...posteriors.outcomes import Scalar, log_prob, outcome_kind, sampled
from ...posteriors.policy import Policy, Weights
from ...posteriors.trailing import across
from ...posteriors.unknowns import likelihood, unknowns_of

TOGETHER = 2**22
"""Likelihoods held at once where there are more contrasts than a gradient needs."""


class Rollouts(NamedTuple):
    """actions `[T, N, size]`, observations `[T, N]`, the stats before each event (leaves `[T, N,
    ...]`), and own `[N]`, the log likelihood of each history under its own truth."""

    actions: Array
    observations: Array
    stats: Any
    own: Array


def build_rollouts(
    model: Model, policy: Policy, horizon: int
) -> Callable[[Weights, Array, Array], Rollouts]:
    """`(weights, key, truths [N, D]) -> Rollouts`; reads nothing but the model and the policy."""
    unknowns = unknowns_of(model)
    kind = outcome_kind(model)
    reparameterised = isinstance(kind, Scalar) and kind.normal

    def answer(key: Array, u: Array, stats: Any, action: Array) -> tuple[Array, Array]:
        outcome: Any = model.predict(unknowns.constrain(u), stats, action)
        if reparameterised:
            y = outcome.loc + outcome.scale * jax.random.normal(key)
        else:
            y = jax.lax.stop_gradient(sampled(key, outcome).astype(jnp.result_type(float)))
        return y, log_prob(outcome, y)

    def one(weights: Weights, u: Array, code: Array, stats: Any, key: Array):
        raw = policy.emit(weights, code)
        action = policy.action(raw)
        y, log = answer(key, u, stats, action)
        zero = jnp.zeros(())
        event = Event(action, y, zero, jnp.zeros((), jnp.int32), zero + 1)
        after = model.update_stats(stats, event)
        return code + policy.encode(weights, raw, y), after, (action, y, stats, log)

    def roll(weights: Weights, key: Array, truths: Array) -> Rollouts:
        count = truths.shape[0]

        def turn(carry: tuple[Array, Any], key: Array):
            keys = jax.random.split(key, count)
            code, stats, row = jax.vmap(partial(one, weights))(truths, *carry, keys)
            return (code, stats), row

        many = jax.tree.map(
            lambda x: jnp.broadcast_to(jnp.asarray(x), (count, *jnp.shape(x))),
            (policy.start(), model.init_stats()),
        )
        _, rows = jax.lax.scan(turn, many, jax.random.split(key, horizon))
        actions, observations, stats, logs = rows
        return Rollouts(actions, observations, stats, logs.sum(0))

    return roll


def contrast(model: Model, rollouts: Rollouts, particles: Array) -> Array:
    """Log likelihood `[N, L]` of every history under every one of `particles [D, L]`.

    Made an event at a time and made again for the gradient, so that `[T, N, L]` never exists.
    """

    def one(action: Array, y: Array, stats: Any) -> Array:
        return across(lambda u: likelihood(model, u, stats, action, y), particles)

    together = jax.checkpoint(jax.vmap(one))

    def turn(total: Array, row: Any) -> tuple[Array, None]:
        return total + together(*row), None

    shape = rollouts.own.shape[0], particles.shape[1]
    rows = rollouts.actions, rollouts.observations, rollouts.stats
    return jax.lax.scan(turn, jnp.zeros(shape, rollouts.own.dtype), rows)[0]


def build_bound(
    model: Model, policy: Policy, horizon: int, batch: int, contrasts: int
) -> Callable[[Weights, Array], tuple[Array, Array]]:
    """`(weights, key) -> (surrogate [], estimate [])`, both in nats.

    The estimate is sPCE; the surrogate has its value's gradient in expectation.
    """
    unknowns = unknowns_of(model)
    roll = build_rollouts(model, policy, horizon)
    kind = outcome_kind(model)
    pathwise = isinstance(kind, Scalar) and kind.normal

    def bound(weights: Weights, key: Array) -> tuple[Array, Array]:
        truth_key, contrast_key, roll_key = jax.random.split(key, 3)
        made = roll(weights, roll_key, unknowns.sample(truth_key, batch))
        others = contrast(model, made, unknowns.sample(contrast_key, contrasts).T)
        both = jnp.concatenate([made.own[:, None], others], axis=1)
        told = made.own - jax.nn.logsumexp(both, axis=1) + jnp.log(contrasts + 1.0)
        estimate = jnp.mean(told)
        if pathwise:
            return estimate, estimate
        fixed = jax.lax.stop_gradient(told)
        # The mean of the others does not depend on this rollout, so it biases nothing.
        above = (fixed - jnp.mean(fixed)) * (batch / max(batch - 1, 1))
        return jnp.mean(told + above * made.own), estimate

    return bound


def build_score(
    model: Model, policy: Policy, horizon: int, rollouts: int, contrasts: int
) -> Callable[[Weights, Array], tuple[Array, Array]]:
    """`(weights, key) -> (sPCE [N], sNMC [N])` of N rollouts with L fresh contrasts, however many
    those are: only `TOGETHER` likelihoods are there at once."""
    unknowns = unknowns_of(model)
    roll = build_rollouts(model, policy, horizon)
    chunk = max(min(contrasts, TOGETHER // rollouts), 1)

    def score(weights: Weights, key: Array) -> tuple[Array, Array]:
        truth_key, contrast_key, roll_key = jax.random.split(key, 3)
        made = roll(weights, roll_key, unknowns.sample(truth_key, rollouts))

        def part(index: Array, total: Array) -> Array:
            drawn = unknowns.sample(jax.random.fold_in(contrast_key, index), chunk).T
            logs = contrast(model, made, drawn)
            counted = index * chunk + jnp.arange(chunk) < contrasts
            more = jax.nn.logsumexp(jnp.where(counted[None, :], logs, -jnp.inf), axis=1)
            return jnp.logaddexp(total, more)

        nothing = jnp.full(rollouts, -jnp.inf)
        total = jax.lax.fori_loop(0, -(-contrasts // chunk), part, nothing)
        lower = made.own - (jnp.logaddexp(made.own, total) - jnp.log(contrasts + 1.0))
        return lower, made.own - (total - jnp.log(float(contrasts)))

    return score
