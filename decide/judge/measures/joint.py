"""Joint prediction: how well the final belief predicts several observations together.

One observation at a time cannot distinguish a point estimate from a posterior; ten together can.
Rows are drawn with replacement from two anchors, so that the first answers help to predict the
rest. (The published testbed uses other inputs for tau above ten, and projects them.)
Source: Osband et al. (2022), dyadic sampling.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ....posteriors.base import Arms, Array, Model, provides
from ....posteriors.parts.outcomes import Finite, log_probs, outcome_kind, sample_outcome
from ....posteriors.parts.unknowns import log_likelihood, unknowns_of
from ....posteriors.parts.vmap_last import vmap_last
from ....streams.worlds.base import World
from ...loop.core.rollout import Trace
from ...loop.core.step import Agent
from ...rules.base import as_draws
from ...rules.proposers import uniform_actions
from ..reference.likelihood import unit_event
from ..reference.online import run_in_batches

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
    """Measure the divergence of joint predictions from the truth's.

    agent: that learnt.
    world: that answers.
    states: final states of the agent, one a run.
    trace: of the runs.
    key: of the judge.
    taus: numbers of observations; the rows of a smaller one are the first of a larger one's.
    Returns: `[N, taus]`, mean over blocks of log P*(y) - log E_belief prod p(y_t), nats a block.
    """
    keys = jax.random.split(key, len(trace.action))
    many = compile_divergence(agent, world, trace.action.shape[1], taus)
    inputs = keys, states, trace.truth[:, -1], trace.action, trace.observation
    return np.asarray(run_in_batches(many, inputs, len(trace.action)), float)


@lru_cache(maxsize=32)
def compile_divergence(agent: Agent, world: World, steps: int, taus: tuple[int, ...]):
    """Compile the divergence of many runs, once an agent.

    agent: that learnt.
    world: that answers.
    steps: events a run.
    taus: numbers of observations.
    Returns: a function of keys, states, truths, actions and observations, runs leading.
    """
    truth_model = world.model
    assert truth_model is not None
    model = agent.model

    def run(key, state, truth, actions, observations):
        belief_key, draw_key, block_key = jax.random.split(key, 3)
        now = jnp.asarray(float(steps - 1))
        draws = as_draws(draw_key, agent.posterior.belief(belief_key, state, now), DRAWS)
        stats = _after(model, actions, observations)
        true_stats = _after(truth_model, actions, observations)

        def block(key: Array) -> Array:
            anchor_key, pick_key, answer_key = jax.random.split(key, 3)
            anchors = anchor_actions(anchor_key, truth_model)
            pick = jax.random.randint(pick_key, (max(taus),), 0, ANCHORS)

            def answer(stats: Any, row: tuple[Array, Array]):
                k, action = row
                params = unknowns_of(truth_model).constrain(truth)
                outcome = truth_model.predict(params, stats, action)
                y = sample_outcome(k, outcome).astype(jnp.result_type(float))
                return truth_model.update_stats(stats, unit_event(action, y)), y

            keys = jax.random.split(answer_key, max(taus))
            _, ys = jax.lax.scan(answer, true_stats, (keys, anchors[pick]))
            own = running_log_likelihood(
                truth_model, truth[:, None], anchors, pick, ys, true_stats
            )[:, 0]
            logs = running_log_likelihood(model, draws.values.T, anchors, pick, ys, stats)
            mixed = jax.nn.logsumexp(draws.log_weights[None, :] + logs, axis=1)
            return (own - mixed)[np.asarray(taus) - 1]

        keys = jax.random.split(block_key, TESTS)
        return jnp.mean(jax.lax.map(block, keys, batch_size=TOGETHER), axis=0)

    return jax.jit(jax.vmap(run))


def running_log_likelihood(
    model: Model, particles: Array, anchors: Array, pick: Array, ys: Array, stats: Any
) -> Array:
    """Compute the log likelihood of the first 1, 2, ... T rows.

    model: that predicts.
    particles: `[D, S]`.
    anchors: actions `[ANCHORS, size]`.
    pick: anchor of each row, `[T]`.
    ys: answers `[T]`.
    stats: of the model after the run.
    Returns: `[T, S]` nats.
    """

    def one(stats: Any, action: Array, y: Array) -> Array:
        return vmap_last(lambda u: log_likelihood(model, u, stats, action, y), particles)

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

            return vmap_last(of, particles)

        table = jax.vmap(every)(anchors)
        which = jnp.argmax(ys[:, None] == jnp.asarray(outcomes.array)[None, :], axis=1)
        logs = table[pick, which]
    else:
        logs = jax.vmap(lambda action, y: one(stats, action, y))(anchors[pick], ys)
    return jnp.cumsum(logs, axis=0)


def _after(model: Model, actions: Array, observations: Array) -> Any:
    """The model's stats after the run."""

    def turn(stats: Any, row: tuple[Array, Array]) -> tuple[Any, None]:
        return model.update_stats(stats, unit_event(*row)), None

    return jax.lax.scan(turn, model.init_stats(), (actions, observations))[0]


def anchor_actions(key: Array, model: Model) -> Array:
    """Draw random actions: arms with a context, designs, or points of the action space.

    key: random key.
    model: of the world.
    Returns: `[ANCHORS, size]`.
    """
    arm_key, context_key = jax.random.split(key)
    space = model.actions
    if isinstance(space, Arms):
        arms = jax.random.randint(arm_key, (ANCHORS, 1), 0, space.count)
        context = jax.random.normal(context_key, (ANCHORS, space.context))
        return jnp.concatenate([arms.astype(context.dtype), context], axis=1)
    if provides(model, "design"):
        return jnp.asarray(model.design().sample(arm_key, (ANCHORS,)))
    return uniform_actions(arm_key, space, ANCHORS)
