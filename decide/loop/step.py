"""One turn of the loop as two pure functions: decide, and learn.

Live, rolled-out and replayed runs all call these, so they do the same arithmetic. Not here:
clocks, streams, or the host.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ...posteriors.base import (
    Arms,
    Array,
    Draws,
    Event,
    Gaussian,
    Model,
    Posterior,
    Summary,
    UsageError,
)
from ..rules.base import Candidates, Rule, as_draws, thinned
from ..rules.proposing import Proposer
from .noise import QUICK
from .spreading import spread

DECIDE, LEARN, JUDGE, THINK = PURPOSES = range(4)
"""Purposes folded into a step's key; nothing else may reuse them. JUDGE is for scoring events."""


class Agent(NamedTuple):
    """Who decides: a posterior and a rule over a model. All parts are static.

    proposer: None where the model has arms. candidates: A. refine: k steps an event. particles:
    draws a proposer sees of a Gaussian belief. name: all that it is made of, None where something
    is the user's own (kept.py). think: refine steps between events, when nobody waits. thin: draws
    of a belief that a decision looks at, 0 for all of them. rows: beliefs of a live run in one
    batched state (rows.py), 0 for one belief alone.
    """

    model: Model
    posterior: Posterior
    rule: Rule
    proposer: Proposer | None
    candidates: int
    refine: int
    particles: int
    name: str | None = None
    think: int = 0
    thin: int = 0
    rows: int = 0


class State(NamedTuple):
    """posterior: the backend's. stats: the model's. key `[2]` uint32. step: `[]` int32 events."""

    posterior: Any
    stats: Any
    key: Array
    step: Array


class Request(NamedTuple):
    """What one decision is given. now `[]` seconds; context `[C]`; valid, cost `[A]`.

    features `[A, size]` only where candidates come from outside, else of size 0. ahead: `[]` int32
    decisions already taken since an event was last learnt, so that none repeats another's noise.
    """

    now: Array
    context: Array
    valid: Array
    cost: Array
    features: Array
    ahead: Array


class Decision(NamedTuple):
    """index `[]` int32; action `[size]`; scores and propensity `[A]`; features `[A, size]`."""

    # As in Choice.
    index: Array  # pyright: ignore[reportIncompatibleMethodOverride]
    action: Array
    scores: Array
    propensity: Array
    features: Array


class Learned(NamedTuple):
    """work `[]` evaluations, healthy `[]` bool, diagnostics of the last refine."""

    work: Array
    healthy: Array
    diagnostics: dict[str, Array]


class Step(NamedTuple):
    """init(key) -> State; decide(state, request) -> Decision; learn(state, event) -> (State,
    Learned); think(state, number) -> (State, Learned), `number` telling times between the same two
    events apart; `given`: the number of outside candidates, 0 where they are made inside."""

    init: Callable[[Array], State]
    decide: Callable[[State, Request], Decision]
    learn: Callable[[State, Event], tuple[State, Learned]]
    think: Callable[[State, Array], tuple[State, Learned]]
    given: int


def candidate_count(agent: Agent) -> int:
    """A, the number of candidates each decision scores."""
    return agent.model.actions.count if isinstance(agent.model.actions, Arms) else agent.candidates


def blank_request(agent: Agent, given: int = 0) -> Request:
    """A request for all candidates at cost 1, time 0."""
    space = agent.model.actions
    count = given or candidate_count(agent)
    context = space.context if isinstance(space, Arms) else 0
    real = jnp.result_type(float)
    fields: Any = (
        np.zeros((), real),
        np.zeros(context, real),
        np.ones(count, bool),
        np.ones(count, real),
        np.zeros((given, space.size), real),
        np.zeros((), np.int32),
    )
    return Request(*fields)  # on the host: each made by JAX would be a program to fetch


def step_key(state: State, purpose: int | Array) -> Array:
    """The key of one purpose at one step."""
    root = jax.random.wrap_key_data(state.key, impl=QUICK)
    return jax.random.fold_in(jax.random.fold_in(root, state.step), purpose)


def arm_features(count: int, context: Array) -> Array:
    """Every arm beside the context, `[count, 1 + C]`."""
    index = jnp.arange(count, dtype=context.dtype)[:, None]
    return jnp.concatenate([index, jnp.broadcast_to(context, (count, context.size))], axis=1)


def build_step(agent: Agent, given: int = 0) -> Step:
    """The two functions of an agent; `given` > 0 takes candidates from the request instead."""
    model, posterior = agent.model, agent.posterior
    space = model.actions
    # A row of many is small beside what it lies in: only beliefs alone are divided over devices.
    divided = 0 if agent.rows else agent.particles
    if not isinstance(space, Arms) and agent.proposer is None and not given:
        raise UsageError(f"model {type(model).__name__} has a continuous action: name a proposer")

    def init(key: Array) -> State:
        prior_key, loop_key = jax.random.split(key)
        return State(
            spread(posterior.init(prior_key), divided),
            model.init_stats(),
            jax.random.key_data(loop_key),
            jnp.zeros((), jnp.int32),
        )

    def decide(state: State, request: Request) -> Decision:
        # Multiples of len(PURPOSES) apart, so that no purpose's key is ever another's.
        here = step_key(state, DECIDE + len(PURPOSES) * request.ahead)
        keys = jax.random.split(here, 5 if agent.thin else 4)
        belief_key, draw_key, propose_key, rule_key = keys[:4]
        belief = posterior.belief(belief_key, state.posterior, request.now)
        if agent.thin and isinstance(belief, Draws):
            belief = thinned(keys[4], belief, agent.thin)
        if given:
            features = request.features
        elif isinstance(space, Arms):
            features = arm_features(space.count, request.context)
        else:
            assert agent.proposer is not None
            draws: Any = proposer_draws(draw_key, belief)
            features = agent.proposer(propose_key, draws, model, state.stats, agent.candidates)
        offered = Candidates(features, request.valid, request.cost)
        choice = agent.rule(rule_key, belief, model, state.stats, offered)
        action = features[choice.index]
        return Decision(choice.index, action, choice.scores, choice.propensity, features)

    def proposer_draws(key: Array, belief: Any) -> Any:
        if isinstance(belief, Summary):
            # For a proposer that can read it; loop/building.py has refused all others of ours.
            return belief
        return as_draws(key, belief, agent.particles if isinstance(belief, Gaussian) else 1)

    def learn(state: State, event: Event) -> tuple[State, Learned]:
        absorb_key, refine_key = jax.random.split(step_key(state, LEARN))
        block = jax.tree.map(lambda x: x[None], event)
        inner = posterior.absorb(absorb_key, state.posterior, block)
        inner, learned = refined(refine_key, inner, agent.refine)
        stats = model.update_stats(state.stats, event)
        return State(inner, stats, state.key, state.step + 1), learned

    def think(state: State, number: Array) -> tuple[State, Learned]:
        key = jax.random.fold_in(step_key(state, THINK), number)
        inner, learned = refined(key, state.posterior, agent.think)
        return state._replace(posterior=inner), learned

    def refined(key: Array, inner: Any, steps: int) -> tuple[Any, Learned]:
        if not steps:
            return spread(inner, divided), Learned(jnp.zeros(()), jnp.ones((), bool), {})

        def once(inner: Any, key: Array):
            inner, info = posterior.refine(key, inner)
            return inner, info

        inner, infos = jax.lax.scan(once, inner, jax.random.split(key, steps))
        diagnostics = {name: values[-1] for name, values in infos.diagnostics.items()}
        learned = Learned(jnp.sum(infos.work), jnp.all(infos.healthy), diagnostics)
        return spread(inner, divided), learned

    return Step(init, decide, learn, think, given)
