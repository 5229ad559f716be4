"""Regret: expected reward of the best action minus that of the chosen one."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ....posteriors.base import Draws, Model, provides
from ....streams.worlds.base import World
from ...loop.core.rollout import Trace
from ...rules.rewards import expected_reward
from ..reference.likelihood import unit_event
from ..reference.online import run_in_batches


def regrets(world: World, trace: Trace) -> dict[str, Any]:
    """Measure the regret of each run, and that of choosing uniformly among its candidates.

    world: that answered.
    trace: of the runs.
    Returns: regret, uniform `[N]`, and reward `[N]` if observations are rewards; empty for worlds
        without a reward.
    """
    if world.pays is not None:
        best = np.asarray(trace.best_pay, float)
        return {
            "regret": (best - np.asarray(trace.paid, float)).sum(1),
            "uniform": (best - np.asarray(trace.mean_pay, float)).sum(1),
            "reward": np.asarray(trace.observation, float).sum(1),
        }
    model = world.model
    if model is None or not provides(model, "reward"):
        return {}
    inputs = trace.truth, trace.action, trace.observation, trace.features
    lost, uniform = run_in_batches(_regret(model), inputs, len(trace.action))
    return {"regret": np.asarray(lost, float), "uniform": np.asarray(uniform, float)}


@lru_cache(maxsize=32)
def _regret(model: Model):
    """Regret of runs in a world whose model has a reward, compiled."""

    def run(truth, actions, observations, features):
        def turn(stats, row):
            u, action, observation, offered = row
            draws = Draws(u[None], jnp.zeros(1))
            key = jax.random.key(0)  # used only where a reward has no closed form
            every = jnp.concatenate([action[None], offered])
            pay = expected_reward(key, model, draws, stats, every)[:, 0]
            best = jnp.max(pay[1:])
            row = best - pay[0], best - jnp.mean(pay[1:])
            return model.update_stats(stats, unit_event(action, observation)), row

        rows = truth, actions, observations, features
        lost, uniform = jax.lax.scan(turn, model.init_stats(), rows)[1]
        return lost.sum(), uniform.sum()

    return jax.jit(jax.vmap(run))
