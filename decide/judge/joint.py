"""Joint prediction: how well the final belief predicts several observations together.

One observation at a time cannot tell a point estimate from a posterior; ten together can. Rows
are drawn with replacement from two anchors, so that what the first answers say about the unknowns
helps with the rest.
Source: Osband et al. (2022), dyadic sampling.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ...posteriors.base import Arms, Array, Model, provides
from ...posteriors.unknowns import unknowns_of
from ...streams.worlds.base import World
from ..loop.rollout import Trace
from ..loop.step import Agent
from ..rules.base import as_draws
from ..rules.proposing import uniform
from .likelihood import history_log_likelihood, unit_event

ANCHORS = 2
TESTS = 64
"""Blocks of tau rows scored a run."""
DRAWS = 1000
"""Draws of a Gaussian belief."""


def joint_divergence(
    agent: Agent, world: World, states: Any, trace: Trace, key: Array, tau: int
) -> np.ndarray:
    """Mean over blocks of log P*(y) - log E_belief prod p(y_t), in nats a block, `[N]`."""
    keys = jax.random.split(key, len(trace.action))
    many = compiled_divergence(agent, world, trace.action.shape[1], tau)
    out = many(keys, states, trace.truth[:, -1], trace.action, trace.observation)
    return np.asarray(out, float)


@lru_cache(maxsize=32)
def compiled_divergence(agent: Agent, world: World, steps: int, tau: int):
    """The same over many runs, compiled once an agent."""
    truth_model = world.model
    assert truth_model is not None
    model = agent.model

    def run(key, state, truth, actions, observations):
        belief_key, draw_key, block_key = jax.random.split(key, 3)
        now = jnp.asarray(float(steps - 1))
        draws = as_draws(draw_key, agent.posterior.belief(belief_key, state, now), DRAWS)
        stats = after(model, actions, observations)
        true_stats = after(truth_model, actions, observations)

        def block(key: Array) -> Array:
            anchor_key, pick_key, answer_key = jax.random.split(key, 3)
            anchors = anchor_actions(anchor_key, truth_model)
            rows = anchors[jax.random.randint(pick_key, (tau,), 0, ANCHORS)]

            def answer(stats: Any, row: tuple[Array, Array]):
                k, action = row
                params = unknowns_of(truth_model).constrain(truth)
                y = jnp.asarray(
                    truth_model.predict(params, stats, action).sample(k), jnp.result_type(float)
                )
                return truth_model.update_stats(stats, unit_event(action, y)), y

            _, ys = jax.lax.scan(answer, true_stats, (jax.random.split(answer_key, tau), rows))
            own = history_log_likelihood(truth_model, truth[:, None], rows, ys, true_stats)[0]
            logs = history_log_likelihood(model, draws.values.T, rows, ys, stats)
            return own - jax.nn.logsumexp(draws.log_weights + logs)

        return jnp.mean(jax.vmap(block)(jax.random.split(block_key, TESTS)))

    return jax.jit(jax.vmap(run))


def after(model: Model, actions: Array, observations: Array) -> Any:
    """The model's stats once the run is over."""

    def turn(stats: Any, row: tuple[Array, Array]) -> tuple[Any, None]:
        return model.update_stats(stats, unit_event(*row)), None

    return jax.lax.scan(turn, model.init_stats(), (actions, observations))[0]


def anchor_actions(key: Array, model: Model) -> Array:
    """`[ANCHORS, size]` actions at random: an arm with a context, or a design."""
    arm_key, context_key = jax.random.split(key)
    space = model.actions
    if isinstance(space, Arms):
        arms = jax.random.randint(arm_key, (ANCHORS, 1), 0, space.count)
        context = jax.random.normal(context_key, (ANCHORS, space.context))
        return jnp.concatenate([arms.astype(context.dtype), context], axis=1)
    if provides(model, "design"):
        return jnp.asarray(model.design().sample(arm_key, (ANCHORS,)))
    return uniform(arm_key, space, ANCHORS)
