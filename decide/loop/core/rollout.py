"""Many seeds of agent against world in one compiled program, for quality, never for latency.

A `lax.scan` over steps inside a `vmap` over seeds, with the live loop's arithmetic.

See also: compiled.py for latency, decide/judge/measures for the scores.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ....posteriors.base import Array, Event, Summary
from ....streams.worlds.base import World
from ...rules.information import belief_gain
from .packing import build_packing, build_shelf
from .predictive import predictive_score
from .program_cache import cached_program
from .step import JUDGE, Agent, Decision, Request, Step, blank_request, build_step, step_key

AGENT, TRUTH, CONTEXT, ANSWER, PROBE, SETTLE = range(6)
"""Purposes folded into a seed's key."""


class Trace(NamedTuple):
    """History of a run, one row per step: JAX arrays inside a trace, NumPy arrays once rolled out.

    action: `[T, size]` chosen.
    observation: `[T]`.
    context: `[T, C]`.
    features: `[T, A, size]` candidates.
    propensity: `[T]` of the chosen action.
    predicted: `[T]` its expected gain under the belief, nats; 0 where not probed.
    truth: `[T, D]` true unknowns; size 0 where they are not known.
    work, healthy: `[T]` of learning.
    probe_action: `[T, size]` a candidate drawn uniformly, which is not done.
    probe_predicted: `[T]` its expected gain, nats; 0 where not probed.
    probe_observation: `[T]` the observation that it would have had, which is not learnt.
    paid, best_pay, mean_pay: `[T]` expected pay of the chosen, the best and a uniformly drawn
        candidate; 0 where the world does not define it.
    pit: `[T]` PIT of each observation (pit.py); NaN where there was no prediction.
    kept: packed states of the agent that were asked for, and one that is nothing: `[K + 1, ...]`.
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
    pit: Any
    kept: Any = ()


def seed_key(seed: int | Array, stream: int | Array) -> Array:
    """Derive the random key of one run; all randomness of the run is folded from it.

    seed: seed of the experiment.
    stream: number of the run.

    Returns: a key.
    """
    return jax.random.fold_in(jax.random.key(seed), stream)


@dataclass(frozen=True, eq=False)
class _Rollout:
    """The program of one run; the fields are the arguments of `build_rollout`."""

    agent: Agent
    world: World
    steps: int
    settle: int
    probed: bool
    kept: tuple[int, ...]

    def run(self, key: Array) -> tuple[Any, Trace]:
        """(posterior state, Trace) of the run of that key."""
        state = self._step.init(jax.random.fold_in(key, AGENT))
        truth = self.world.init(jax.random.fold_in(key, TRUTH))
        keys = tuple(jax.random.fold_in(key, purpose) for purpose in (CONTEXT, ANSWER, PROBE))

        room, keep = build_shelf(state, self.kept)

        def step(carry: tuple[Any, Any], index: Array) -> tuple[tuple[Any, Any], Trace]:
            inner, kept = carry
            kept = keep(kept, inner[0], index)
            inner, row = self._one_step(keys, inner, index)
            return (inner, kept), row

        indices = jnp.arange(self.steps, dtype=jnp.int32)
        ((state, _), kept), trace = jax.lax.scan(step, ((state, truth), room), indices)
        if self.kept:
            kept = keep(kept, state, jnp.full((), self.steps, jnp.int32))
            trace = trace._replace(kept=jax.vmap(build_packing(state).pack)(kept))
        if not self.settle:
            return state.posterior, trace

        def refine(inner: Any, key: Array) -> tuple[Any, Array]:
            inner, info = self.agent.posterior.refine(key, inner)
            return inner, info.healthy

        settle_keys = jax.random.split(jax.random.fold_in(key, SETTLE), self.settle)
        inner, healthy = jax.lax.scan(refine, state.posterior, settle_keys)
        whole = trace.healthy.at[-1].set(trace.healthy[-1] & jnp.all(healthy))
        return inner, trace._replace(healthy=whole)

    @cached_property
    def _step(self) -> Step:
        return build_step(self.agent)

    @cached_property
    def _blank(self) -> Request:
        return blank_request(self.agent)

    def _one_step(
        self, keys: tuple[Array, ...], carry: tuple[Any, Any], index: Array
    ) -> tuple[tuple[Any, Any], Trace]:
        """Decide, observe and learn; keys: of context, answer and probe."""
        context_key, answer_key, probe_key = keys
        agent, world, step = self.agent, self.world, self._step
        state, truth = carry
        now = index.astype(jnp.result_type(float))
        context = world.context(jax.random.fold_in(context_key, index), truth)
        request = self._blank._replace(now=now, context=context)
        decision = step.decide(state, request)
        if world.opening:
            decision = self._opening(decision, index)
        pays = jnp.zeros(decision.features.shape[0])
        if world.pays is not None:
            pays = world.pays(truth, decision.features)
        probed = self._probe(jax.random.fold_in(probe_key, index), state, truth, decision, now)
        truth, observation = world.answer(
            jax.random.fold_in(answer_key, index), truth, decision.action, now
        )
        event = Event(decision.action, observation, now, index, jnp.ones_like(now))
        pit = self._pit(state, event)
        state, learned = step.learn(state, event)
        if agent.think:
            state, more = step.think(state, jnp.zeros((), jnp.int32))
            both = learned.work + more.work, learned.healthy & more.healthy
            learned = learned._replace(work=both[0], healthy=both[1])
        row = Trace(
            decision.action,
            observation,
            context,
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
            pit,
        )
        return (state, truth), row

    def _opening(self, decision: Decision, index: Array) -> Decision:
        """Replace the decision by the world's own opening, until that has ended."""
        opening = self.world.opening
        arms = jnp.asarray(opening, jnp.int32)
        arm = arms[jnp.minimum(index, len(opening) - 1)]
        index = jnp.where(index < len(opening), arm, decision.index)
        return decision._replace(index=index, action=decision.features[index])

    def _probe(
        self, key: Array, state: Any, truth: Any, decision: Decision, now: Array
    ) -> tuple[Array, Array, Array, Array]:
        """Expected gain of the action; a random candidate, its expected gain and observation."""
        which, belief_key, gain_key, aside = jax.random.split(key, 4)
        agent, offered = self.agent, decision.features.shape[0]
        aside_action = decision.features[jax.random.randint(which, (), 0, offered)]
        if self.world.model is None or not self.probed:
            zero = jnp.zeros(())
            return zero, aside_action, zero, zero
        belief = agent.posterior.belief(belief_key, state.posterior, now)
        both = jnp.stack([decision.action, aside_action])
        predicted = belief_gain(gain_key, agent.model, belief, state.stats, both, agent.particles)
        _, answer = self.world.answer(aside, truth, aside_action, now)
        return predicted[0], aside_action, predicted[1], answer

    def _pit(self, state: Any, event: Event) -> Array:
        """PIT of the observation, with the random keys of a replay and of a live loop."""
        belief_key, score_key, _ = jax.random.split(step_key(state, JUDGE), 3)
        belief = self.agent.posterior.belief(belief_key, state.posterior, event.time)
        if isinstance(belief, Summary):
            return jnp.full((), jnp.nan)
        return predictive_score(score_key, self.agent.model, belief, state.stats, event).pit


@lru_cache(maxsize=64)
def build_rollout(
    agent: Agent,
    world: World,
    steps: int,
    settle: int = 0,
    probed: bool = True,
    kept: tuple[int, ...] = (),
) -> Callable[[Array], tuple[Any, Trace]]:
    """Build the program of one run, not yet compiled.

    agent: the agent.
    world: the world.
    steps: T.
    settle: refine steps after the last event; their health counts for the last event.
    probed: whether expected gains are computed, which may cost more than all the rest.
    kept: numbers of events, 0 to T, after which the agent's state is kept.

    Returns: `run(key) -> (posterior state, Trace)`.
    """
    rollout = _Rollout(agent, world, steps, settle, probed, kept)
    # Outside any trace: they are cached, and so are the arrays that they hold.
    _ = rollout._step, rollout._blank
    return rollout.run


def roll_out(
    agent: Agent,
    world: World,
    steps: int,
    seed: int,
    seeds: int,
    first: int = 0,
    width: int = 8,
    settle: int = 0,
    probed: bool = True,
    kept: tuple[int, ...] = (),
) -> tuple[Any, Trace]:
    """Run `seeds` independent runs, `width` at a time.

    A run depends on `seed` and its own number only, so any split over processes gives the same
    results.

    agent: the agent.
    world: the world.
    steps: T.
    seed: seed of the experiment.
    seeds: number of runs.
    first: number of the first run.
    width: runs per batch.
    settle: refine steps after the last event.
    probed: whether expected gains are computed.
    kept: as in `build_rollout`.

    Returns: (posterior states, Trace), with a leading axis of runs.
    """
    width = min(width, seeds)
    many = compiled_rollout(agent, world, steps, settle, probed, kept)
    parts = []
    for start in range(first, first + seeds, width):
        # The last batch is filled up, so that one program serves all.
        numbers = np.arange(start, start + width)
        parts.append(jax.tree.map(np.asarray, many(np.asarray(seed), numbers)))
    return jax.tree.map(lambda *x: np.concatenate(x)[:seeds], *parts)


@lru_cache(maxsize=64)
def compiled_rollout(
    agent: Agent, world: World, steps: int, settle: int, probed: bool, kept: tuple[int, ...]
) -> Callable[[Any, Any], tuple[Any, Trace]]:
    """Compile the rollout of a batch of runs, once per set of arguments.

    agent: the agent.
    world: the world.
    steps: T.
    settle: refine steps after the last event.
    probed: whether expected gains are computed.
    kept: as in `build_rollout`.

    Returns: `call(seed, numbers of the runs) -> (posterior states, Trace)`.
    """
    name = None
    if agent.name and world.name:
        name = f"rollout {agent.name} in {world.name} {steps} {settle} {probed} {kept}"

    # Built outside any trace: it is cached with the arrays that it holds.
    once = build_rollout(agent, world, steps, settle, probed, kept)

    def many(seed: Array, runs: Array) -> tuple[Any, Trace]:
        return jax.vmap(lambda run: once(seed_key(seed, run)))(runs)

    return jax.jit(cached_program(many, name))
