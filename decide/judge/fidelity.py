"""Fidelity: on the same history and candidates, how much of the best gain does a choice buy?

Not here: the histories, which are the same for every backend, and their gains (shared.py).
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ...posteriors.base import Array, Event
from ...streams.worlds.base import World
from ..loop.rollout import AGENT, Trace, seed_key
from ..loop.step import DECIDE, Agent, blank_request, build_step, step_key
from ..rules.base import Candidates
from .experiment import Cell
from .reference import PARTICLES, in_batches
from .shared import shared_histories

SHARED = 7_919
"""Added to the seed of shared histories: no backend has seen their noise before."""


def fidelity(
    agent: Agent, world: World, cell: Cell, first: int, count: int, particles: int = PARTICLES
) -> dict[str, Any]:
    """bought, best `[N]`: summed reference gain of what was chosen, and of the best offered.

    particles: of the reference, where it is sampled.
    """
    shared = replace(cell, seed=cell.seed + SHARED)
    trace, gains = shared_histories(
        world, shared.steps, shared.candidates, shared.seed, first, count, particles
    )
    inputs = _keys(shared.seed, first, count), trace
    chosen = np.asarray(in_batches(_choices(agent, cell.steps), inputs, count))
    bought = np.take_along_axis(gains, chosen[..., None], axis=2)[..., 0]
    return {"bought": bought.sum(1), "best": gains.max(2).sum(1)}


def _keys(seed: int, first: int, count: int) -> Array:
    return jax.vmap(lambda s: seed_key(seed, s))(jnp.arange(first, first + count))


@lru_cache(maxsize=32)
def _choices(agent: Agent, steps: int):
    """`choose(keys, trace) -> [N, T]`: what the agent would have chosen along shared histories."""
    step = build_step(agent)
    valid = blank_request(agent).valid

    def run(key: Array, trace: Trace) -> Array:
        state = step.init(jax.random.fold_in(key, AGENT))

        def turn(state: Any, row: Any):
            index, action, observation, features = row
            now = index.astype(jnp.result_type(float))
            belief_key, rule_key = jax.random.split(step_key(state, DECIDE))
            belief = agent.posterior.belief(belief_key, state.posterior, now)
            offered = Candidates(features, valid, jnp.ones(valid.shape))
            choice = agent.rule(rule_key, belief, agent.model, state.stats, offered)
            event = Event(action, observation, now, index, jnp.ones_like(now))
            return step.learn(state, event)[0], choice.index

        rows = jnp.arange(steps), trace.action, trace.observation, trace.features
        return jax.lax.scan(turn, state, rows)[1]

    return jax.jit(jax.vmap(run))
