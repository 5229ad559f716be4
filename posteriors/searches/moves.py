"""Moves of objects to neighbours: by Metropolis and Hastings, or uphill only."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..base import Array
from .evidence import Evidence


class Moved(NamedTuple):
    """Result of some moves.

    objects: `[S, n]`.
    target: `[S]`, log posterior there, up to a constant.
    acceptance: `[]`, share of proposals that were accepted and led elsewhere.
    """

    objects: Array
    target: Array
    acceptance: Array


def metropolis(evidence: Evidence, key: Array, objects: Array, stats: Any, steps: int) -> Moved:
    """Move each object by Metropolis and Hastings, which leaves the posterior unchanged.

    evidence: the target.
    key: for the proposals.
    objects: `[S, n]`.
    stats: the model's running statistics.
    steps: proposals an object.
    """
    gathered = evidence.gather(stats)
    log_target = jax.vmap(lambda u: evidence.log_target(u, gathered))
    propose = jax.vmap(evidence.space.propose)

    def once(carry: tuple[Array, Array], key: Array) -> tuple[tuple[Array, Array], Array]:
        objects, target = carry
        propose_key, accept_key = jax.random.split(key)
        proposal, ratio = propose(jax.random.split(propose_key, objects.shape[0]), objects)
        proposed = log_target(proposal)
        chance = jnp.log(jax.random.uniform(accept_key, target.shape, target.dtype))
        accept = chance < proposed - target + ratio
        gone = accept & jnp.any(proposal != objects, axis=1)
        objects = jnp.where(accept[:, None], proposal, objects)
        return (objects, jnp.where(accept, proposed, target)), jnp.mean(gone.astype(target.dtype))

    start = objects, log_target(objects)
    (objects, target), rates = jax.lax.scan(once, start, jax.random.split(key, steps))
    return Moved(objects, target, jnp.mean(rates))


def climb(evidence: Evidence, key: Array, value: Array, stats: Any, tries: int) -> Moved:
    """Move one object to the best of some neighbours, where that is better.

    evidence: the target.
    key: for the proposals.
    value: `[n]`.
    stats: the model's running statistics.
    tries: neighbours.

    Returns: without the leading axis.
    """
    gathered = evidence.gather(stats)
    keys = jax.random.split(key, tries)
    near, _ = jax.vmap(lambda k: evidence.space.propose(k, value))(keys)
    logs = jax.vmap(lambda u: evidence.log_target(u, gathered))(near)
    here, best = evidence.log_target(value, gathered), jnp.argmax(logs)
    better = logs[best] > here
    moved = jnp.where(better, near[best], value)
    return Moved(moved, jnp.where(better, logs[best], here), better.astype(here.dtype))
