"""Joint prediction: how well the final belief predicts several observations together.

One observation at a time cannot tell a point estimate from a posterior; ten together can. Rows
are drawn with replacement from two anchors, so that what the first answers say about the unknowns
helps with the rest; no more than the two are ever predicted where outcomes are finite, so tau may
be a hundred. (The published testbed takes other inputs above ten, and projects them.)
Source: Osband et al. (2022), dyadic sampling.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ...posteriors.base import Arms, Array, Model, provides
from ...posteriors.outcomes import Finite, log_probs, outcome_kind, sampled
from ...posteriors.trailing import across
from ...posteriors.unknowns import likelihood, unknowns_of
from ...streams.worlds.base import World
from ..loop.rollout import Trace
from ..loop.step import Agent
from ..rules.base import as_draws
from ..rules.proposing import uniform
from .likelihood import unit_event
from .reference import in_batches

ANCHORS = 2
TESTS = 64
"""Blocks of tau rows scored a run."""
TOGETHER = 8
"""Blocks scored at once."""
DRAWS = 1000
"""Draws of a Gaussian belief."""


def joint_divergence(
    agent: Agent, world: World, states: Any, trace: Trace, key: Array, taus: tuple[int, ...]
) -> np.ndarray:
    """Mean over blocks of log P*(y) - log E_belief prod p(y_t), in nats a block, `[N, taus]`.

    The rows of a smaller tau are the first of a larger one's.
    """
    keys = jax.random.split(key, len(trace.action))
    many = compiled_divergence(agent, world, trace.action.shape[1], taus)
    inputs = keys, states, trace.truth[:, -1], trace.action, trace.observation
    return np.asarray(in_batches(many, inputs, len(trace.action)), float)


@lru_cache(maxsize=32)
def compiled_divergence(agent: Agent, world: World, steps: int, taus: tuple[int, ...]):
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
            pick = jax.random.randint(pick_key, (max(taus),), 0, ANCHORS)

            def answer(stats: Any, row: tuple[Array, Array]):
                k, action = row
                params = unknowns_of(truth_model).constrain(truth)
                outcome = truth_model.predict(params, stats, action)
                y = sampled(k, outcome).astype(jnp.result_type(float))
                return truth_model.update_stats(stats, unit_event(action, y)), y

            keys = jax.random.split(answer_key, max(taus))
            _, ys = jax.lax.scan(answer, true_stats, (keys, anchors[pick]))
            own = running(truth_model, truth[:, None], anchors, pick, ys, true_stats)[:, 0]
            logs = running(model, draws.values.T, anchors, pick, ys, stats)
            mixed = jax.nn.logsumexp(draws.log_weights[None, :] + logs, axis=1)
            return (own - mixed)[np.asarray(taus) - 1]

        keys = jax.random.split(block_key, TESTS)
        return jnp.mean(jax.lax.map(block, keys, batch_size=TOGETHER), axis=0)

    return jax.jit(jax.vmap(run))


def running(
    model: Model, particles: Array, anchors: Array, pick: Array, ys: Array, stats: Any
) -> Array:
    """Log likelihood `[T, S]` of the first 1, 2, ... T rows, which are `anchors[pick]`."""

    def one(stats: Any, action: Array, y: Array) -> Array:
        return across(lambda u: likelihood(model, u, stats, action, y), particles)

    kind = outcome_kind(model)
    if jax.tree.leaves(stats):

        def turn(stats: Any, row: tuple[Array, Array]) -> tuple[Any, Array]:
            return model.update_stats(stats, unit_event(*row)), one(stats, *row)

        logs = jax.lax.scan(turn, stats, (anchors[pick], ys))[1]
    elif isinstance(kind, Finite):
        # Each anchor is predicted once, however many rows repeat it.
        outcomes = kind
        unknowns = unknowns_of(model)

        def every(action: Array) -> Array:
            def of(u: Array) -> Array:
                return log_probs(model.predict(unknowns.constrain(u), stats, action), outcomes)

            return across(of, particles)

        table = jax.vmap(every)(anchors)
        which = jnp.argmax(ys[:, None] == jnp.asarray(outcomes.array)[None, :], axis=1)
        logs = table[pick, which]
    else:
        logs = jax.vmap(lambda action, y: one(stats, action, y))(anchors[pick], ys)
    return jnp.cumsum(logs, axis=0)


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
