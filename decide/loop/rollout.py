"""Many seeds of agent against world in one compiled program, for quality, never for latency.

A `lax.scan` over steps inside a `vmap` over seeds, doing the live loop's arithmetic. Not here:
clocks (live.py) or judgement (decide/judge).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ...posteriors.base import Array, Event, Summary
from ...streams.worlds.base import World
from ..rules.information import belief_gain
from .foresight import foresee
from .kept import kept
from .step import JUDGE, Agent, Decision, Request, blank_request, build_step, step_key

AGENT, TRUTH, CONTEXT, ANSWER, PROBE, SETTLE = range(6)
"""Purposes folded into a seed's key."""


class Trace(NamedTuple):
    """What happened, one row a step.

    action `[T, size]`, observation `[T]`, context `[T, C]`, features `[T, A, size]` offered,
    propensity `[T]` of the chosen, predicted `[T]` its expected gain in nats under the belief,
    truth `[T, D]` (size 0 where unknown), work `[T]`, healthy `[T]`; probe_*: a candidate taken
    at random, what was predicted of it and what it would have answered (it is not learnt from).
    paid, best_pay, mean_pay `[T]`: what the chosen, the best and a random candidate pay in
    expectation, 0 where the world does not say. place `[T]`: of each observation in its prediction
    (transform.py), NaN where there was none. Gains and probes are 0 where the world has no model
    to judge them by, or nobody asks. Arrays of JAX inside a trace, of NumPy once rolled.
    """

    action: Any
    observation: Any
    context: Any
    features: Any
    propensity: Any
    predicted: Any
    truth: Any
    work: Any
    healthy: Any
    probe_action: Any
    probe_predicted: Any
    probe_observation: Any
    paid: Any
    best_pay: Any
    mean_pay: Any
    place: Any


def seed_key(seed: int | Array, stream: int | Array) -> Array:
    """The key of one run: everything random in it is folded from this."""
    return jax.random.fold_in(jax.random.key(seed), stream)


@lru_cache(maxsize=64)
def build_rollout(
    agent: Agent, world: World, steps: int, settle: int = 0, probed: bool = True
) -> Callable[[Array], tuple[Any, Trace]]:
    """`run(key) -> (posterior state, Trace)`, not yet compiled.

    settle: refine steps after the last event; their health is the last event's too. probed: whether
    anybody will look at predicted gains, which may cost more than all the rest.
    """
    step = build_step(agent)
    blank = blank_request(agent)

    def opened(decision: Decision, index: Array) -> Decision:
        """The world's own opening instead, where it has not ended yet."""
        arms = jnp.asarray(world.opening, jnp.int32)
        arm = arms[jnp.minimum(index, len(world.opening) - 1)]
        index = jnp.where(index < len(world.opening), arm, decision.index)
        return decision._replace(index=index, action=decision.features[index])

    def probe(
        key: Array, state: Any, truth: Any, decision: Decision, now: Array
    ) -> tuple[Array, Array, Array, Array]:
        """Gain predicted of the action; a random candidate, its predicted gain and its answer."""
        which, belief_key, gain_key, aside = jax.random.split(key, 4)
        offered = decision.features.shape[0]
        aside_action = decision.features[jax.random.randint(which, (), 0, offered)]
        if world.model is None or not probed:
            zero = jnp.zeros(())
            return zero, aside_action, zero, zero
        belief = agent.posterior.belief(belief_key, state.posterior, now)
        both = jnp.stack([decision.action, aside_action])
        predicted = belief_gain(gain_key, agent.model, belief, state.stats, both, agent.particles)
        _, answer = world.answer(aside, truth, aside_action, now)
        return predicted[0], aside_action, predicted[1], answer

    def placed(state: Any, event: Event) -> Array:
        """Of the observation in its prediction, by the keys of a replay and of a live loop."""
        belief_key, score_key, _ = jax.random.split(step_key(state, JUDGE), 3)
        belief = agent.posterior.belief(belief_key, state.posterior, event.time)
        if isinstance(belief, Summary):
            return jnp.full((), jnp.nan)
        return foresee(score_key, agent.model, belief, state.stats, event).place

    def run(key: Array) -> tuple[Any, Trace]:
        state = step.init(jax.random.fold_in(key, AGENT))
        truth = world.init(jax.random.fold_in(key, TRUTH))
        context_key, answer_key, probe_key = (
            jax.random.fold_in(key, purpose) for purpose in (CONTEXT, ANSWER, PROBE)
        )

        def turn(carry: tuple[Any, Any], index: Array) -> tuple[tuple[Any, Any], Trace]:
            state, truth = carry
            now = index.astype(jnp.result_type(float))
            seen = world.context(jax.random.fold_in(context_key, index), truth)
            request: Request = blank._replace(now=now, context=seen)
            decision = step.decide(state, request)

            if world.opening:
                decision = opened(decision, index)
            pays = jnp.zeros(decision.features.shape[0])
            if world.pays is not None:
                pays = world.pays(truth, decision.features)
            probed = probe(jax.random.fold_in(probe_key, index), state, truth, decision, now)
            truth, observation = world.answer(
                jax.random.fold_in(answer_key, index), truth, decision.action, now
            )
            event = Event(decision.action, observation, now, index, jnp.ones_like(now))
            place = placed(state, event)
            state, learned = step.learn(state, event)
            if agent.think:
                state, more = step.think(state, jnp.zeros((), jnp.int32))
                both = learned.work + more.work, learned.healthy & more.healthy
                learned = learned._replace(work=both[0], healthy=both[1])
            row = Trace(
                decision.action,
                observation,
                seen,
                decision.features,
                decision.propensity[decision.index],
                probed[0],
                world.truth(truth) if world.truth else jnp.zeros(0),
                learned.work,
                learned.healthy,
                *probed[1:],
                pays[decision.index],
                jnp.max(pays),
                jnp.mean(pays),
                place,
            )
            return (state, truth), row

        (state, _), trace = jax.lax.scan(turn, (state, truth), jnp.arange(steps, dtype=jnp.int32))
        if not settle:
            return state.posterior, trace

        def once(inner: Any, key: Array) -> tuple[Any, Array]:
            inner, info = agent.posterior.refine(key, inner)
            return inner, info.healthy

        keys = jax.random.split(jax.random.fold_in(key, SETTLE), settle)
        inner, healthy = jax.lax.scan(once, state.posterior, keys)
        whole = trace.healthy.at[-1].set(trace.healthy[-1] & jnp.all(healthy))
        return inner, trace._replace(healthy=whole)

    return run


def roll(
    agent: Agent,
    world: World,
    steps: int,
    seed: int,
    seeds: int,
    first: int = 0,
    width: int = 8,
    settle: int = 0,
    probed: bool = True,
) -> tuple[Any, Trace]:
    """Runs `first` to `first + seeds`, `width` at a time: (posterior states, Trace), seeds leading.

    A run depends on `seed` and its own number only, so any split over processes gives the same.
    """
    width = min(width, seeds)
    many = compiled(agent, world, steps, settle, probed)

    parts = []
    for start in range(first, first + seeds, width):
        # The last batch is filled up, so that one program serves all.
        numbers = np.arange(start, start + width)
        parts.append(jax.tree.map(np.asarray, many(np.asarray(seed), numbers)))
    return jax.tree.map(lambda *x: np.concatenate(x)[:seeds], *parts)


@lru_cache(maxsize=64)
def compiled(
    agent: Agent, world: World, steps: int, settle: int = 0, probed: bool = True
) -> Callable[[Any, Any], tuple[Any, Trace]]:
    """The rollout over a seed and the numbers of a batch of runs, jitted once."""
    name = None
    if agent.name and world.name:
        name = f"rollout {agent.name} in {world.name} {steps} {settle} {probed}"

    # Built outside any trace: it is cached, and so are the arrays that it holds.
    once = build_rollout(agent, world, steps, settle, probed)

    def many(seed: Array, runs: Array) -> tuple[Any, Trace]:
        return jax.vmap(lambda run: once(seed_key(seed, run)))(runs)

    return jax.jit(kept(many, name))
