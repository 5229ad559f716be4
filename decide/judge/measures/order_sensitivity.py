"""How much a belief depends on the order in which the same events were learnt.

The log's first events are learnt in random orders, under the same key, and each belief predicts the
same logged events; the result is how far their log probabilities lie apart. Exact Bayes comes to
one belief in any order, so anything above rounding is due to the method. Part of that is chance: a
backend that draws random numbers uses them on other events in each order. Hence runs under other
keys in the log's own order are compared as well. Models whose events are ordered are left out.
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

from ....posteriors.base import Arms, Array, Event, Model
from ....streams.formats.encoding import Encoder
from ....streams.formats.record import Record
from ...loop.core.chunks import Chunker
from ...loop.core.predictive import predictive_score
from ...loop.core.step import JUDGE, Agent, build_step, step_key

MOST = 10_000
"""Events of a log that are learnt in other orders."""
PROBES = 64
"""Of these events, evenly spaced, those that are predicted."""
ORDER, KEY = range(2)
"""Purposes folded into the seed's key."""


@dataclass(frozen=True)
class Disagreement:
    """How far beliefs that learnt the same events lie apart."""

    orders: int
    """Random orders, beside the log's own."""
    events: int
    """Events learnt in each order."""
    spread: float
    """Standard deviation over orders of the log probability of an event, root mean square over
    events, nats."""
    chance: float
    """The same over as many keys in the log's own order."""
    late: float | None
    """Root mean square difference between the log's own order, that of arrival, and the order of
    the events' times; None if they are the same."""


def _exchangeable(model: Model) -> bool:
    """Whether a model's events say the same in any order."""
    return not model.latent and not jax.tree.leaves(model.init_stats())


def order_disagreement(
    agent: Agent, encoder: Encoder, records: Iterable[Record], key: Array, orders: int
) -> Disagreement | None:
    """Compare random orders of a log's first events.

    agent: that learns.
    encoder: of the records.
    records: of the log, in its order.
    key: random key.
    orders: number of random orders.
    Returns: how far predictions lie apart; None if the model's events are ordered or fewer than
        two.
    """
    if not _exchangeable(agent.model):
        return None
    events = _gathered(agent, encoder, records)
    count = len(events.weight)
    if count < 2:
        return None
    predict = _predicting(agent)
    places = np.linspace(0, count - 1, min(PROBES, count)).round().astype(int)
    probes = _at(events, places)

    def predicted(key: Array, order: Any) -> np.ndarray:
        return np.asarray(predict(key, _at(events, order), probes), float)

    straight = np.arange(count)
    rng = np.random.default_rng(np.asarray(jax.random.key_data(jax.random.fold_in(key, ORDER))))
    keys = [jax.random.fold_in(jax.random.fold_in(key, KEY), i) for i in range(orders)]
    own = predicted(key, straight)
    shuffled = [own, *(predicted(key, rng.permutation(count)) for _ in range(orders))]
    reseeded = [own, *(predicted(other, straight) for other in keys)]
    by_time, late = np.argsort(events.time, kind="stable"), None
    if not np.array_equal(by_time, straight):
        late = float(np.sqrt(np.mean(np.square(predicted(key, by_time) - own))))
    return Disagreement(orders, count, _apart(shuffled), _apart(reseeded), late)


def _apart(runs: list[np.ndarray]) -> float:
    """Standard deviation over runs of `[M]` numbers each, root mean square over the numbers."""
    return float(np.sqrt(np.mean(np.var(np.stack(runs), axis=0, ddof=1))))


def _gathered(agent: Agent, encoder: Encoder, records: Iterable[Record]) -> Any:
    """The first events of a log, `Event [N, ...]` of host arrays."""
    chunker, remaining = Chunker(agent, encoder, False), iter(islice(records, MOST))
    parts = []
    while batch := list(islice(remaining, chunker.events)):
        parts.append(_at(chunker.fill(batch).events, slice(len(batch))))
    parts = parts or [_at(chunker.fill([]).events, slice(0))]
    return jax.tree.map(lambda *x: np.concatenate(x), *parts)


def _at(events: Any, places: Any) -> Any:
    """Events at positions."""
    return jax.tree.map(lambda x: x[places], events)


@lru_cache(maxsize=32)
def _predicting(agent: Agent) -> Any:
    """`predict(key, events [N], probes [M]) -> [M]`: log probabilities after learning, compiled."""
    model = agent.model
    step = build_step(agent, 0 if isinstance(model.actions, Arms) else 1)

    def predict(key: Array, events: Event, probes: Event) -> Array:
        state, _ = jax.lax.scan(lambda s, e: (step.learn(s, e)[0], None), step.init(key), events)
        belief_key, score_key = jax.random.split(step_key(state, JUDGE))
        belief = agent.posterior.belief(belief_key, state.posterior, jnp.max(events.time))
        keys = jax.random.split(score_key, probes.weight.shape[0])

        def one(item: tuple[Array, Event]) -> Array:
            return predictive_score(item[0], model, belief, state.stats, item[1]).log_prob

        return jax.lax.map(one, (keys, probes))

    return jax.jit(predict)
