"""How much a belief depends on the order in which the same events were learnt.

The log's first events are learnt in random orders, under the same key, and each belief predicts the
same logged events; what is told is how far their log probabilities lie apart. Exact Bayes comes to
one belief whatever the order, so anything above rounding is the method's. Part of that is chance: a
backend that draws numbers meets other events with each. Hence the same is told of runs under
other keys in the log's own order. Not here: models whose events have an order of their own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ...posteriors.base import Arms, Array, Event, Model
from ...streams.encode import Encoder
from ...streams.record import Record
from ..loop.foresight import foresee
from ..loop.replay import Chunker
from ..loop.step import JUDGE, Agent, build_step, step_key

MOST = 10_000
"""Events of a log that are learnt in other orders."""
PROBES = 64
"""Of these events, evenly spaced, those that are predicted."""
ORDER, KEY = range(2)
"""Purposes folded into the seed's key."""


@dataclass(frozen=True)
class Disagreement:
    """orders: random ones, beside the log's own. events: learnt in each.

    spread: standard deviation over orders of the log probability of an event, root mean square
    over events, nats. chance: the same over as many keys in the log's own order. late: root mean
    square difference between the log's own order, that of arrival, and the order of the events'
    times; None where they are the same.
    """

    orders: int
    events: int
    spread: float
    chance: float
    late: float | None


def exchangeable(model: Model) -> bool:
    """Whether a model's events say the same in any order."""
    return not model.latent and not jax.tree.leaves(model.init_stats())


def disagreement(
    agent: Agent, encoder: Encoder, records: Iterable[Record], key: Array, orders: int
) -> Disagreement | None:
    """Compare `orders` random orders of a log's first events; None where there is nothing to
    compare."""
    if not exchangeable(agent.model):
        return None
    events = gathered(agent, encoder, records)
    count = len(events.weight)
    if count < 2:
        return None
    predict = predicting(agent)
    places = np.linspace(0, count - 1, min(PROBES, count)).round().astype(int)
    probes = at(events, places)

    def predicted(key: Array, order: Any) -> np.ndarray:
        return np.asarray(predict(key, at(events, order), probes), float)

    straight = np.arange(count)
    rng = np.random.default_rng(np.asarray(jax.random.key_data(jax.random.fold_in(key, ORDER))))
    keys = [jax.random.fold_in(jax.random.fold_in(key, KEY), i) for i in range(orders)]
    own = predicted(key, straight)
    shuffled = [own, *(predicted(key, rng.permutation(count)) for _ in range(orders))]
    reseeded = [own, *(predicted(other, straight) for other in keys)]
    by_time, late = np.argsort(events.time, kind="stable"), None
    if not np.array_equal(by_time, straight):
        late = float(np.sqrt(np.mean(np.square(predicted(key, by_time) - own))))
    return Disagreement(orders, count, apart(shuffled), apart(reseeded), late)


def apart(runs: list[np.ndarray]) -> float:
    """Standard deviation over runs of `[M]` numbers each, root mean square over the numbers."""
    return float(np.sqrt(np.mean(np.var(np.stack(runs), axis=0, ddof=1))))


def gathered(agent: Agent, encoder: Encoder, records: Iterable[Record]) -> Any:
    """The first events of a log, `Event [N, ...]` of host arrays."""
    chunker, remaining = Chunker(agent, encoder, False), iter(islice(records, MOST))
    parts = []
    while batch := list(islice(remaining, chunker.events)):
        parts.append(at(chunker.fill(batch).events, slice(len(batch))))
    parts = parts or [at(chunker.fill([]).events, slice(0))]
    return jax.tree.map(lambda *x: np.concatenate(x), *parts)


def at(events: Any, places: Any) -> Any:
    return jax.tree.map(lambda x: x[places], events)


@lru_cache(maxsize=32)
def predicting(agent: Agent) -> Any:
    """`predict(key, events [N], probes [M]) -> [M]`: log probabilities after learning, compiled."""
    model = agent.model
    step = build_step(agent, 0 if isinstance(model.actions, Arms) else 1)

    def predict(key: Array, events: Event, probes: Event) -> Array:
        state, _ = jax.lax.scan(lambda s, e: (step.learn(s, e)[0], None), step.init(key), events)
        belief_key, score_key = jax.random.split(step_key(state, JUDGE))
        belief = agent.posterior.belief(belief_key, state.posterior, jnp.max(events.time))
        keys = jax.random.split(score_key, probes.weight.shape[0])

        def one(item: tuple[Array, Event]) -> Array:
            return foresee(item[0], model, belief, state.stats, item[1]).log_prob

        return jax.lax.map(one, (keys, probes))

    return jax.jit(predict)
