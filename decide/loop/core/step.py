"""One step of the loop as pure functions: decide, and learn.

Live, rolled-out and replayed runs all call these functions, so their arithmetic is the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ....posteriors.base import Arms, Array, Draws, Event, Gaussian, Model, Posterior, Summary
from ....posteriors.errors import UsageError
from ....posteriors.parts.finite import choose, keeps_whole
from ...rules.base import Candidates, Rule, arm_features, as_draws, thin_draws
from ...rules.proposers import Proposer
from .sharding import shard_particles
from .threefry import QUICK

DECIDE, LEARN, JUDGE, THINK = PURPOSES = range(4)
"""Purposes folded into a step's key, never reused; JUDGE is for scoring events."""


class Agent(NamedTuple):
    """A posterior and a rule over a model; every part is static.

    model: the model.
    posterior: the inference method.
    rule: the acquisition rule.
    proposer: proposes candidates; None where the model has arms.
    candidates: A.
    refine: refine steps per event.
    particles: draws that a proposer sees of a Gaussian belief.
    name: all that determines the agent; None where a part is a user's own (program_cache.py).
    think: refine steps in one slice of background refining.
    thin: draws of a belief that a decision looks at; 0 for all of them.
    rows: beliefs in one batched state (batched_state.py); 0 for a single belief.
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
    """State of an agent.

    posterior: state of the posterior.
    stats: running statistics of the model.
    key: `[2]` uint32, root of the random keys.
    step: `[]` int32 events learnt.
    """

    posterior: Any
    stats: Any
    key: Array
    step: Array


class Request(NamedTuple):
    """Inputs of one decision.

    now: `[]` seconds.
    context: `[C]`.
    valid: `[A]` bool, candidates that may be chosen.
    cost: `[A]`.
    features: `[A, size]` where the client lists the candidates, else of size 0.
    ahead: `[]` int32 decisions since the last learnt event; gives each its own noise.
    """

    now: Array
    context: Array
    valid: Array
    cost: Array
    features: Array
    ahead: Array


class Decision(NamedTuple):
    """One decision.

    index: `[]` int32 chosen candidate.
    action: `[size]` its features.
    scores: `[A]`.
    propensity: `[A]`.
    features: `[A, size]` all candidates.
    """

    # As in Choice.
    index: Array  # pyright: ignore[reportIncompatibleMethodOverride]
    action: Array
    scores: Array
    propensity: Array
    features: Array


class Learned(NamedTuple):
    """Report of a learning step.

    work: `[]` evaluations.
    healthy: `[]` bool, whether the event was learnt and its refine steps were accepted.
    learnt: `[]` bool; False where the event would have spoilt the belief, which is then as before.
    diagnostics: of the last refine step.
    """

    work: Array
    healthy: Array
    learnt: Array
    diagnostics: dict[str, Array]


def candidate_count(agent: Agent) -> int:
    """Count the candidates that each decision scores.

    agent: the agent.

    Returns: A.
    """
    return agent.model.actions.count if isinstance(agent.model.actions, Arms) else agent.candidates


def blank_request(agent: Agent, given: int = 0) -> Request:
    """Build a request for all candidates at cost 1, time 0, of host arrays.

    agent: the agent.
    given: capacity of candidate sets listed by the client; 0 where the agent makes its own.

    Returns: the request.
    """
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
    return Request(*fields)  # NumPy: each JAX array would cost a compiled program


def step_key(state: State, purpose: int | Array) -> Array:
    """Derive the random key of one purpose at one step.

    state: state of the agent.
    purpose: one of `PURPOSES`, or a number that no other purpose maps to.

    Returns: a key.
    """
    root = jax.random.wrap_key_data(state.key, impl=QUICK)
    return jax.random.fold_in(jax.random.fold_in(root, state.step), purpose)


@dataclass(frozen=True, eq=False)
class Step:
    """The pure functions of an agent.

    agent: the agent.
    given: capacity of candidate sets listed by the client; 0 where the agent makes its own.
    """

    agent: Agent
    given: int = 0

    def init(self, key: Array) -> State:
        """Build the state before any event.

        key: random key of the run.

        Returns: the state.
        """
        prior_key, loop_key = jax.random.split(key)
        return State(
            self._sharded(self.agent.posterior.init(prior_key)),
            self.agent.model.init_stats(),
            jax.random.key_data(loop_key),
            jnp.zeros((), jnp.int32),
        )

    def decide(self, state: State, request: Request) -> Decision:
        """Choose an action.

        state: the state; not changed.
        request: inputs of the decision.

        Returns: the decision.
        """
        agent, space = self.agent, self.agent.model.actions
        # Multiples of len(PURPOSES) apart, so that no two purposes share a key.
        key = step_key(state, DECIDE + len(PURPOSES) * request.ahead)
        keys = jax.random.split(key, 5 if agent.thin else 4)
        belief_key, draw_key, propose_key, rule_key = keys[:4]
        belief = agent.posterior.belief(belief_key, state.posterior, request.now)
        if agent.thin and isinstance(belief, Draws):
            belief = thin_draws(keys[4], belief, agent.thin)
        if self.given:
            features = request.features
        elif isinstance(space, Arms):
            features = arm_features(space.count, request.context)
        else:
            assert agent.proposer is not None
            draws = self._proposer_draws(draw_key, belief)
            features = agent.proposer(
                propose_key, draws, agent.model, state.stats, agent.candidates
            )
        offered = Candidates(features, request.valid, request.cost)
        choice = agent.rule(rule_key, belief, agent.model, state.stats, offered)
        action = features[choice.index]
        return Decision(choice.index, action, choice.scores, choice.propensity, features)

    def learn(self, state: State, event: Event) -> tuple[State, Learned]:
        """Learn one event, unless the belief would not be finite after it.

        state: the state before it.
        event: the event.

        Returns: the state after it, or before it where it is not learnt; the report.
        """
        absorb_key, refine_key = jax.random.split(step_key(state, LEARN))
        block = jax.tree.map(lambda x: x[None], event)
        inner = self.agent.posterior.absorb(absorb_key, state.posterior, block)
        inner, learned = self._refine(refine_key, inner, self.agent.refine)
        stats = self.agent.model.update_stats(state.stats, event)
        after = State(inner, stats, state.key, state.step + 1)
        return self._unless_spoilt(state, after, learned, event.time)

    def think(self, state: State, number: Array) -> tuple[State, Learned]:
        """Run one slice of background refining.

        state: the state.
        number: `[]` int32 slices since the last event, so that each has its own noise.

        Returns: the new state; the report.
        """
        key = jax.random.fold_in(step_key(state, THINK), number)
        inner, learned = self._refine(key, state.posterior, self.agent.think)
        return self._unless_spoilt(state, state._replace(posterior=inner), learned, jnp.zeros(()))

    def _unless_spoilt(
        self, before: State, after: State, learned: Learned, now: Array
    ) -> tuple[State, Learned]:
        """The state after a step, or the one before where its belief would not be finite."""
        # The belief that the next event is scored under, by its key.
        key = jax.random.split(step_key(after, JUDGE), 3)[0]
        whole = keeps_whole(before, after, self.agent.posterior.belief(key, after.posterior, now))
        report = learned._replace(healthy=learned.healthy & whole, learnt=whole)
        return choose(whole, after, before), report

    def _sharded(self, inner: Any) -> Any:
        # One row of a batched state is small: only single beliefs are sharded.
        return shard_particles(inner, 0 if self.agent.rows else self.agent.particles)

    def _proposer_draws(self, key: Array, belief: Any) -> Any:
        if isinstance(belief, Summary):
            # For a proposer that can read it; agent.py refuses the other built-in ones.
            return belief
        return as_draws(key, belief, self.agent.particles if isinstance(belief, Gaussian) else 1)

    def _refine(self, key: Array, inner: Any, steps: int) -> tuple[Any, Learned]:
        yes = jnp.ones((), bool)
        if not steps:
            return self._sharded(inner), Learned(jnp.zeros(()), yes, yes, {})

        def once(inner: Any, key: Array) -> tuple[Any, Any]:
            inner, info = self.agent.posterior.refine(key, inner)
            return inner, info

        inner, infos = jax.lax.scan(once, inner, jax.random.split(key, steps))
        diagnostics = {name: values[-1] for name, values in infos.diagnostics.items()}
        learned = Learned(jnp.sum(infos.work), jnp.all(infos.healthy), yes, diagnostics)
        return self._sharded(inner), learned


def build_step(agent: Agent, given: int = 0) -> Step:
    """Build the pure functions of an agent.

    agent: the agent.
    given: capacity of candidate sets listed by the client; 0 where the agent makes its own.

    Returns: the functions.
    Raises: UsageError if the action space is continuous without proposer or listed candidates.
    """
    if not isinstance(agent.model.actions, Arms) and agent.proposer is None and not given:
        name = type(agent.model).__name__
        raise UsageError(f"model {name} has a continuous action: name a proposer")
    return Step(agent, given)
