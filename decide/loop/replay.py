"""Learn along a logged stream without acting, in compiled chunks of fixed size.

Every event is scored under the belief held before it and then learnt by the live loop's own
step. The next chunk is decoded while this one is computed. Not here: what the scores add up to
(decide/judge/prequential.py), or latency out of the scan: `learn_latency` runs the live calls.
Source: Dawid (1984), prequential analysis.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ...posteriors.base import Arms, Array, Event, UsageError, example_event, provides
from ...streams.encode import Encoder
from ...streams.record import Record
from .foresight import Foresight, foresee, foresee_jointly, predicted_rewards
from .live import build_learn, quiet, timed_learn
from .step import JUDGE, Agent, Request, State, build_step, step_key

BLOCKS = 100
"""Joint predictions a chunk; a chunk is this many times tau events."""
TAU = 10
"""Events predicted jointly."""


class Chunk(NamedTuple):
    """N events, the last ones of weight 0 where the log ends.

    events: `Event [N, ...]`. reward `[N]`, NaN where the log has none. propensity `[N]` as
    logged. chosen `[N]` int32, the logged action among the candidates. request: what a decision
    would have been given, `[N, ...]`.
    """

    events: Event
    reward: Any
    propensity: Any
    chosen: Any
    request: Request


class Scored(NamedTuple):
    """Scores of N events, `[N]` each save joint (`[N / tau]` each), as host arrays.

    foresight: see there. reward: logged or the model's own. evaluated: the rule's probability of
    the logged action; prediction, expected: predicted reward of the logged action and averaged
    over the rule's choice. work, healthy: of learning. weight: 0 for padding. propensity: logged.
    coming, dyadic: joint log probabilities; whole: which of them saw a full block.
    """

    foresight: Foresight
    reward: Any
    evaluated: Any
    prediction: Any
    expected: Any
    work: Any
    healthy: Any
    weight: Any
    propensity: Any
    coming: Any
    dyadic: Any
    whole: Any


Program = tuple[Callable[[Array], State], Callable[[State, Chunk], tuple[State, Scored]]]


@lru_cache(maxsize=64)
def build_replay(agent: Agent, evaluate: bool, given: int = 0, tau: int = TAU) -> Program:
    """`(init(key) -> state, run(state, chunk) -> (state, Scored))`, compiled, state donated.

    evaluate: whether the agent's rule is asked what it would have done. given: capacity of
    candidate sets listed in the log, 0 over arms.
    """
    model, posterior = agent.model, agent.posterior
    step = build_step(agent, given if not isinstance(model.actions, Arms) else 0)
    rewarded = provides(model, "reward")
    still = not model.latent

    def turn(state: State, item: Chunk) -> tuple[State, tuple]:
        event = item.events
        belief_key, score_key, reward_key = jax.random.split(step_key(state, JUDGE), 3)
        belief = posterior.belief(belief_key, state.posterior, event.time)
        foresight = foresee(score_key, model, belief, state.stats, event)
        reward = item.reward
        if rewarded:
            own = model.reward(event.action, event.observation)
            reward = jnp.where(jnp.isnan(reward), own, reward)
        evaluated = prediction = expected = jnp.zeros_like(event.weight)
        if evaluate:
            decision = step.decide(state, item.request)
            evaluated = decision.propensity[item.chosen]
            if rewarded:
                pay = predicted_rewards(reward_key, model, belief, state.stats, decision.features)
                prediction = pay[item.chosen]
                expected = jnp.sum(jnp.where(item.request.valid, pay * decision.propensity, 0.0))
        state, learned = step.learn(state, event)
        scores = (
            foresight, reward, evaluated, prediction, expected, learned.work, learned.healthy,
        )  # fmt: skip
        return state, scores

    def skip(state: State, item: Chunk) -> tuple[State, tuple]:
        _, shapes = jax.eval_shape(turn, state, item)
        return state, jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)

    def each(state: State, item: Chunk) -> tuple[State, tuple]:
        # Padding costs nothing and moves nothing: refining would.
        return jax.lax.cond(item.events.weight > 0, turn, skip, state, item)

    def block(state: State, items: Chunk) -> tuple[State, tuple]:
        events = items.events
        whole = jnp.all(events.weight > 0) & still
        joint_key, belief_key = jax.random.split(jax.random.fold_in(step_key(state, JUDGE), JUDGE))

        def jointly(_: None) -> tuple[Array, Array]:
            belief = posterior.belief(belief_key, state.posterior, events.time[0])
            joint = foresee_jointly(joint_key, model, belief, state.stats, events)
            return joint.coming, joint.dyadic

        zero = jnp.zeros_like(events.weight[0])
        joint = jax.lax.cond(whole, jointly, lambda _: (zero, zero), None)
        state, scores = jax.lax.scan(each, state, items)
        return state, (scores, *joint, whole)

    def run(state: State, chunk: Chunk) -> tuple[State, Scored]:
        split = jax.tree.map(lambda x: x.reshape(x.shape[0] // tau, tau, *x.shape[1:]), chunk)
        state, (scores, coming, dyadic, whole) = jax.lax.scan(block, state, split)
        flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), scores)
        rest = chunk.events.weight, chunk.propensity, coming, dyadic, whole
        return state, Scored._make((*flat, *rest))

    return jax.jit(step.init), jax.jit(run, donate_argnums=0)


class Chunker:
    """Fills chunks from records; refuses what does not fit, naming file, line and field."""

    def __init__(self, agent: Agent, encoder: Encoder, evaluate: bool, tau: int = TAU) -> None:
        self.encoder, self.evaluate = encoder, evaluate
        self.arms = isinstance(agent.model.actions, Arms)
        self.size = agent.model.actions.size
        self.events = tau * BLOCKS
        self.shape = np.shape(example_event(agent.model).observation)
        self.given = 0 if self.arms or not evaluate else encoder.capacity
        self._seen = 0

    def fill(self, records: list[Record]) -> Chunk:
        """Up to `events` records as one padded chunk."""
        encoder, n, capacity = self.encoder, self.events, max(self.encoder.capacity, 1)
        real = np.dtype(jnp.result_type(float))
        # Host arrays that stand where the compiled program will see device ones.
        action: Any = np.zeros((n, self.size), real)
        observation: Any = np.zeros((n, *self.shape), real)
        now: Any = np.zeros(n, real)
        weight: Any = np.zeros(n, real)
        propensity, reward = np.ones(n, real), np.full(n, np.nan, real)
        chosen = np.zeros(n, np.int32)
        valid: Any = np.ones((n, capacity), bool)
        cost: Any = np.ones((n, capacity), real)
        features: Any = np.zeros((n, self.given, self.size), real)
        with np.errstate(over="ignore"):
            for i, record in enumerate(records):
                action[i] = encoder.action(record)
                observation[i] = encoder.observation(record)
                now[i], weight[i] = encoder.time(record), record.weight
                if record.r is not None:
                    reward[i] = record.r
                if not self.evaluate:
                    continue
                if record.propensity is None:
                    raise record.where.error(
                        "propensity", "missing", "judging a rule needs it; leave --rule out"
                    )
                propensity[i] = record.propensity
                chosen[i] = encoder.chosen(record)
                if record.actions is not None:
                    offered = encoder.candidates(record)
                    valid[i], cost[i] = offered.valid, offered.cost
                    if self.given:
                        features[i] = offered.features
        self._check(records, action, observation)
        ids: Any = self._seen + np.arange(n, dtype=np.int32)
        self._seen += len(records)
        events = Event(action, observation, now, ids, weight)
        context: Any = action[:, 1:] if self.arms else np.zeros((n, 0), real)
        ahead: Any = np.zeros(n, np.int32)
        request = Request(now, context, valid, cost, features, ahead)
        return Chunk(events, reward, propensity, chosen, request)

    def _check(self, records: list[Record], action: np.ndarray, observation: np.ndarray) -> None:
        for field, values in (("x" if self.arms else "action", action), ("y", observation)):
            bad = ~np.isfinite(values.reshape(len(values), -1)).all(1)
            if bad.any():
                record = records[int(np.argmax(bad))]
                raise record.where.error(field, f"too large for {values.dtype}", "rescale it")


def replay(
    agent: Agent,
    encoder: Encoder,
    records: Iterable[Record],
    key: Array,
    evaluate: bool = False,
    tau: int = TAU,
) -> Iterator[Scored]:
    """Learn along the records, yielding the scores of each chunk as host arrays."""
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
            yield jax.tree.map(np.asarray, scored)


def compile_replay(
    agent: Agent, encoder: Encoder, key: Array, evaluate: bool = False, tau: int = TAU
) -> float:
    """Compile what `replay` with the same arguments runs, by a chunk of nothing; seconds taken."""
    begin = time.perf_counter()
    chunker = Chunker(agent, encoder, evaluate, tau)
    init, run = build_replay(agent, evaluate, chunker.given or (0 if chunker.arms else 1), tau)
    jax.block_until_ready(run(init(key), chunker.fill([])))
    return time.perf_counter() - begin


def learn_latency(
    agent: Agent, encoder: Encoder, records: Iterable[Record], key: Array
) -> tuple[np.ndarray, float]:
    """Seconds of each live learning call over the records `[n]`, and seconds of compilation."""
    chunker = Chunker(agent, encoder, False)
    live = build_learn(agent)
    packed, remaining = live.init(key), iter(records)
    taken: list[int] = []
    while batch := list(islice(remaining, chunker.events)):
        events = chunker.fill(batch).events
        flat = [live.write_event(Event(*(x[i] for x in events))) for i in range(len(batch))]
        with quiet():
            for one in flat:
                packed, _, nanoseconds = timed_learn(live, packed, one)
                taken.append(nanoseconds)
    return np.asarray(taken) * 1e-9, live.compile
