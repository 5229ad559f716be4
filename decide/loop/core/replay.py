"""Learn along a logged stream without acting, in compiled chunks of fixed size.

Every event is scored under the belief held before it and then learnt by the live loop's own step.
The next chunk is decoded while the current one is computed. Latency is not measured in the scan:
`learn_latency` runs the live calls.

See also: decide/judge/measures/prequential.py for sums of the scores.
Source: Dawid (1984), prequential analysis.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ....posteriors.base import Arms, Array, Event, provides
from ....posteriors.errors import UsageError
from ....posteriors.units import NANOSECOND
from ....streams.formats.encoding import Encoder
from ....streams.formats.record import Record
from .chunks import TAU, Chunk, Chunker
from .compiled import build_learn, pause_gc, timed_learn
from .predictive import PredictiveScore, joint_predictive_score, predicted_rewards, predictive_score
from .step import JUDGE, Agent, State, Step, build_step, step_key


class Scored(NamedTuple):
    """Scores of N events, `[N]` unless given otherwise, as host arrays.

    predictive: scores of each observation.
    reward: logged, or computed by the model.
    evaluated: the rule's probability of the logged action.
    prediction: predicted reward of the logged action.
    expected: predicted reward averaged over the rule's choice.
    work, healthy, learnt: of learning.
    weight: 0 for padding.
    propensity: logged.
    coming, dyadic: `[N / tau]` joint log probabilities, nats.
    whole: `[N / tau]` whether the block was full.
    """

    predictive: PredictiveScore
    reward: Any
    evaluated: Any
    prediction: Any
    expected: Any
    work: Any
    healthy: Any
    learnt: Any
    weight: Any
    propensity: Any
    coming: Any
    dyadic: Any
    whole: Any


Program = tuple[Callable[[Array], State], Callable[[State, Chunk], tuple[State, Scored]]]


@dataclass(frozen=True, eq=False)
class _Replay:
    """The program of a chunk; the fields are the arguments of `build_replay`."""

    agent: Agent
    step: Step
    evaluate: bool
    tau: int

    def run(self, state: State, chunk: Chunk) -> tuple[State, Scored]:
        """Score and learn a chunk, block by block."""
        tau = self.tau
        split = jax.tree.map(lambda x: x.reshape(x.shape[0] // tau, tau, *x.shape[1:]), chunk)
        state, (scores, coming, dyadic, whole) = jax.lax.scan(self._block, state, split)
        flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), scores)
        rest = chunk.events.weight, chunk.propensity, coming, dyadic, whole
        return state, Scored._make((*flat, *rest))

    def _block(self, state: State, items: Chunk) -> tuple[State, tuple]:
        """Score `tau` events jointly, then one by one."""
        events, model = items.events, self.agent.model
        whole = jnp.all(events.weight > 0) & (not model.latent)
        joint_key, belief_key = jax.random.split(jax.random.fold_in(step_key(state, JUDGE), JUDGE))

        def jointly(_: None) -> tuple[Array, Array]:
            belief = self.agent.posterior.belief(belief_key, state.posterior, events.time[0])
            joint = joint_predictive_score(joint_key, model, belief, state.stats, events)
            return joint.coming, joint.dyadic

        zero = jnp.zeros_like(events.weight[0])
        joint = jax.lax.cond(whole, jointly, lambda _: (zero, zero), None)
        state, scores = jax.lax.scan(self._event_or_padding, state, items)
        return state, (scores, *joint, whole)

    def _event_or_padding(self, state: State, item: Chunk) -> tuple[State, tuple]:
        # Padding costs nothing and moves nothing: refining would.
        return jax.lax.cond(item.events.weight > 0, self._event, self._skip, state, item)

    def _skip(self, state: State, item: Chunk) -> tuple[State, tuple]:
        _, shapes = jax.eval_shape(self._event, state, item)
        return state, jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)

    def _event(self, state: State, item: Chunk) -> tuple[State, tuple]:
        """Score one event, then learn it."""
        model, event = self.agent.model, item.events
        belief_key, score_key, reward_key = jax.random.split(step_key(state, JUDGE), 3)
        belief = self.agent.posterior.belief(belief_key, state.posterior, event.time)
        predictive = predictive_score(score_key, model, belief, state.stats, event)
        reward, rewarded = item.reward, provides(model, "reward")
        if rewarded:
            own = model.reward(event.action, event.observation)
            reward = jnp.where(jnp.isnan(reward), own, reward)
        evaluated = prediction = expected = jnp.zeros_like(event.weight)
        if self.evaluate:
            decision = self.step.decide(state, item.request)
            evaluated = decision.propensity[item.chosen]
            if rewarded:
                pay = predicted_rewards(reward_key, model, belief, state.stats, decision.features)
                prediction = pay[item.chosen]
                expected = jnp.sum(jnp.where(item.request.valid, pay * decision.propensity, 0.0))
        state, learned = self.step.learn(state, event)
        scores = (
            predictive, reward, evaluated, prediction, expected, learned.work, learned.healthy,
            learned.learnt,
        )  # fmt: skip
        return state, scores


@lru_cache(maxsize=64)
def build_replay(agent: Agent, evaluate: bool, given: int = 0, tau: int = TAU) -> Program:
    """Compile the replay of a chunk; the state is donated.

    agent: the agent.
    evaluate: whether the agent's rule is evaluated on the logged actions.
    given: capacity of candidate sets in the log; 0 for arms.
    tau: events in a joint prediction.

    Returns: `(init(key) -> state, run(state, chunk) -> (state, Scored))`.
    """
    step = build_step(agent, given if not isinstance(agent.model.actions, Arms) else 0)
    return jax.jit(step.init), jax.jit(_Replay(agent, step, evaluate, tau).run, donate_argnums=0)


def replay_records(
    agent: Agent,
    encoder: Encoder,
    records: Iterable[Record],
    key: Array,
    evaluate: bool = False,
    tau: int = TAU,
) -> Iterator[Scored]:
    """Learn along the records.

    agent: the agent.
    encoder: encodes records for the agent's model.
    records: the logged events.
    key: random key of the run.
    evaluate: whether the agent's rule is evaluated on the logged actions.
    tau: events in a joint prediction.

    Returns: iterator of the scores of each chunk, as host arrays.
    Raises: UsageError if a record does not fit the model, or evaluation lacks candidates.
    """
    if evaluate and not isinstance(agent.model.actions, Arms) and not encoder.capacity:
        raise UsageError("judging a rule needs the candidates of every event: log its actions")
    chunker = Chunker(agent, encoder, evaluate, tau)
    given = chunker.given or (0 if chunker.arms else 1)
    init, run = build_replay(agent, evaluate, given, tau)
    remaining = iter(records)

    def take() -> Chunk | None:
        batch = list(islice(remaining, chunker.events))
        return chunker.fill(batch) if batch else None

    state = init(key)
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(take)
        while (chunk := coming.result()) is not None:
            coming = pool.submit(take)
            state, scored = run(state, chunk)
            # The log's own propensities: single precision would round them, tiny ones to 0.
            yield jax.tree.map(np.asarray, scored)._replace(propensity=chunk.propensity)


def compile_replay(
    agent: Agent, encoder: Encoder, key: Array, evaluate: bool = False, tau: int = TAU
) -> float:
    """Compile the program of `replay_records` by running it on an empty chunk.

    agent: the agent.
    encoder: encodes records for the agent's model.
    key: random key of the run.
    evaluate: whether the agent's rule is evaluated on the logged actions.
    tau: events in a joint prediction.

    Returns: seconds taken.
    """
    begin = time.perf_counter()
    chunker = Chunker(agent, encoder, evaluate, tau)
    init, run = build_replay(agent, evaluate, chunker.given or (0 if chunker.arms else 1), tau)
    jax.block_until_ready(run(init(key), chunker.fill([])))
    return time.perf_counter() - begin


def learn_latency(
    agent: Agent, encoder: Encoder, records: Iterable[Record], key: Array
) -> tuple[np.ndarray, float]:
    """Time the live learning call on each record.

    agent: the agent.
    encoder: encodes records for the agent's model.
    records: the logged events.
    key: random key of the run.

    Returns: seconds `[n]` of each call; seconds of compilation.
    """
    chunker = Chunker(agent, encoder, False)
    live = build_learn(agent)
    packed, remaining = live.init(key), iter(records)
    taken: list[int] = []
    while batch := list(islice(remaining, chunker.events)):
        events = chunker.fill(batch).events
        flat = [live.write_event(Event(*(x[i] for x in events))) for i in range(len(batch))]
        with pause_gc():
            for one in flat:
                packed, _, nanoseconds = timed_learn(live, packed, one)
                taken.append(nanoseconds)
    return np.asarray(taken) * NANOSECOND, live.compile
