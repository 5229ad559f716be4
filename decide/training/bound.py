"""The contrastive bound on a policy's information gain, its estimate and its gradient.

Each rollout of a policy is contrasted with `contrasts` other draws of the prior. Normal outcomes
are reparameterised, as mean + scale * noise; all others use the score function, with the mean of
the other rollouts as baseline. A batch shares its contrasts, where the released code draws new ones
for each rollout; the expectation is the same.
See also: posteriors/parts/policy_network.py for networks, training.py for the optimiser.
Source: Foster, Ivanova, Malik and Rainforth (2021), Deep Adaptive Design, equations 9 to 11.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ...posteriors.base import Array, Event, Model
from ...posteriors.parts.outcomes import Scalar, log_prob, outcome_kind, sample_outcome
from ...posteriors.parts.policy_network import Policy, Weights
from ...posteriors.parts.unknowns import log_likelihood, unknowns_of
from ...posteriors.parts.vmap_last import vmap_last

MAX_LIKELIHOODS = 2**22
"""Likelihoods held in memory at once when a policy is scored with many contrasts."""


class Rollouts(NamedTuple):
    """Histories of N rollouts of T events.

    actions: `[T, N, size]`.
    observations: `[T, N]`.
    stats: the model's summary before each event, leaves `[T, N, ...]`.
    own: `[N]`, log likelihood of each history under its own truth.
    """

    actions: Array
    observations: Array
    stats: Any
    own: Array


def build_rollouts(
    model: Model, policy: Policy, horizon: int
) -> Callable[[Weights, Array, Array], Rollouts]:
    """Build the simulation of a policy against draws of the prior.

    model: simulates the observations.
    policy: the network that emits actions.
    horizon: T, events in a rollout.

    Returns: `(weights, key, truths [N, D]) -> Rollouts`.
    """
    unknowns = unknowns_of(model)
    kind = outcome_kind(model)
    reparameterised = isinstance(kind, Scalar) and kind.normal

    def answer(key: Array, u: Array, stats: Any, action: Array) -> tuple[Array, Array]:
        outcome: Any = model.predict(unknowns.constrain(u), stats, action)
        if reparameterised:
            y = outcome.loc + outcome.scale * jax.random.normal(key)
        else:
            y = jax.lax.stop_gradient(sample_outcome(key, outcome).astype(jnp.result_type(float)))
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

        def step(carry: tuple[Array, Any], key: Array):
            keys = jax.random.split(key, count)
            code, stats, row = jax.vmap(partial(one, weights))(truths, *carry, keys)
            return (code, stats), row

        start = jax.tree.map(
            lambda x: jnp.broadcast_to(jnp.asarray(x), (count, *jnp.shape(x))),
            (policy.start(), model.init_stats()),
        )
        _, rows = jax.lax.scan(step, start, jax.random.split(key, horizon))
        actions, observations, stats, logs = rows
        return Rollouts(actions, observations, stats, logs.sum(0))

    return roll


def contrast_likelihoods(model: Model, rollouts: Rollouts, particles: Array) -> Array:
    """Compute the log likelihood of every history under every contrast.

    One event at a time, and again for the gradient, so that `[T, N, L]` is never held in memory.

    model: gives the likelihood of an event.
    rollouts: N histories.
    particles: `[D, L]`, the contrasts.

    Returns: log likelihoods `[N, L]`.
    """

    def one(action: Array, y: Array, stats: Any) -> Array:
        return vmap_last(lambda u: log_likelihood(model, u, stats, action, y), particles)

    together = jax.checkpoint(jax.vmap(one))

    def add_event(total: Array, row: Any) -> tuple[Array, None]:
        return total + together(*row), None

    shape = rollouts.own.shape[0], particles.shape[1]
    rows = rollouts.actions, rollouts.observations, rollouts.stats
    return jax.lax.scan(add_event, jnp.zeros(shape, rollouts.own.dtype), rows)[0]


def build_bound(
    model: Model, policy: Policy, horizon: int, batch: int, contrasts: int
) -> Callable[[Weights, Array], tuple[Array, Array]]:
    """Build the bound that training maximises.

    model: simulates and scores the observations.
    policy: the network that emits actions.
    horizon: events in a rollout.
    batch: rollouts of one estimate.
    contrasts: draws of the prior that each rollout is contrasted with.

    Returns: `(weights, key) -> (surrogate [], estimate [])`, nats. The estimate is sPCE; the
        gradient of the surrogate is an unbiased estimate of the gradient of sPCE.
    """
    unknowns = unknowns_of(model)
    roll = build_rollouts(model, policy, horizon)
    kind = outcome_kind(model)
    pathwise = isinstance(kind, Scalar) and kind.normal

    def bound(weights: Weights, key: Array) -> tuple[Array, Array]:
        truth_key, contrast_key, roll_key = jax.random.split(key, 3)
        rolled = roll(weights, roll_key, unknowns.sample(truth_key, batch))
        others = contrast_likelihoods(model, rolled, unknowns.sample(contrast_key, contrasts).T)
        both = jnp.concatenate([rolled.own[:, None], others], axis=1)
        gain = rolled.own - jax.nn.logsumexp(both, axis=1) + jnp.log(contrasts + 1.0)
        estimate = jnp.mean(gain)
        if pathwise:
            return estimate, estimate
        fixed = jax.lax.stop_gradient(gain)
        # The mean of the other rollouts does not depend on this one, so it adds no bias.
        above = (fixed - jnp.mean(fixed)) * (batch / max(batch - 1, 1))
        return jnp.mean(gain + above * rolled.own), estimate

    return bound


def build_score(
    model: Model, policy: Policy, horizon: int, rollouts: int, contrasts: int
) -> Callable[[Weights, Array], tuple[Array, Array]]:
    """Build the bounds that score a policy, with any number of contrasts.

    model: simulates and scores the observations.
    policy: the network that emits actions.
    horizon: events in a rollout.
    rollouts: N.
    contrasts: fresh draws of the prior, in parts of at most `MAX_LIKELIHOODS` likelihoods.

    Returns: `(weights, key) -> (sPCE [N], sNMC [N])`, nats: a lower and an upper bound.
    """
    unknowns = unknowns_of(model)
    roll = build_rollouts(model, policy, horizon)
    chunk = max(min(contrasts, MAX_LIKELIHOODS // rollouts), 1)

    def score(weights: Weights, key: Array) -> tuple[Array, Array]:
        truth_key, contrast_key, roll_key = jax.random.split(key, 3)
        rolled = roll(weights, roll_key, unknowns.sample(truth_key, rollouts))

        def part(index: Array, total: Array) -> Array:
            drawn = unknowns.sample(jax.random.fold_in(contrast_key, index), chunk).T
            logs = contrast_likelihoods(model, rolled, drawn)
            counted = index * chunk + jnp.arange(chunk) < contrasts
            more = jax.nn.logsumexp(jnp.where(counted[None, :], logs, -jnp.inf), axis=1)
            return jnp.logaddexp(total, more)

        nothing = jnp.full(rollouts, -jnp.inf)
        total = jax.lax.fori_loop(0, -(-contrasts // chunk), part, nothing)
        lower = rolled.own - (jnp.logaddexp(rolled.own, total) - jnp.log(contrasts + 1.0))
        return lower, rolled.own - (total - jnp.log(float(contrasts)))

    return score
