"""Fidelity: share of the best gain that choices buy, on histories shared by all backends.

See also: ../reference/shared_histories.py for the histories and their gains.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ....posteriors.base import Array, Event
from ....streams.worlds.base import World
from ...loop.core.rollout import AGENT, Trace, seed_key
from ...loop.core.step import DECIDE, Agent, blank_request, build_step, step_key
from ...rules.base import Candidates
from ..reference.online import PARTICLES, run_in_batches
from ..reference.shared_histories import shared_histories
from .experiment import Cell

SHARED = 7_919
"""Added to the seed of shared histories: no backend has seen their noise before."""


def fidelity(
    agent: Agent, world: World, cell: Cell, first: int, count: int, particles: int = PARTICLES
) -> dict[str, Any]:
    """Measure the reference gain of an agent's choices along shared histories.

    agent: that chooses.
    world: of the histories.
    cell: specs and sizes.
    first: number of the first run.
    count: number of runs.
    particles: of the reference, if it is sampled.
    Returns: bought, best `[N]` nats: summed gain of the chosen and of the best candidates.
    """
    shared = replace(cell, seed=cell.seed + SHARED)
    trace, gains = shared_histories(
        world, shared.steps, shared.candidates, shared.seed, first, count, particles
    )
    inputs = _keys(shared.seed, first, count), trace
    chosen = np.asarray(run_in_batches(_choices(agent, cell.steps), inputs, count))
    bought = np.take_along_axis(gains, chosen[..., None], axis=2)[..., 0]
    return {"bought": bought.sum(1), "best": gains.max(2).sum(1)}


def _keys(seed: int, first: int, count: int) -> Array:
    """Keys of the runs."""
    return jax.vmap(lambda s: seed_key(seed, s))(jnp.arange(first, first + count))


@lru_cache(maxsize=32)
def _choices(agent: Agent, steps: int):
    """`choose(keys, trace) -> [N, T]`: choices of the agent along shared histories, compiled."""
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
