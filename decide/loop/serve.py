"""Serve decisions one line at a time: each record in is answered by one reply.

A request is answered with an action; its observation finds it again by id, however late, and is
learnt. Not here: bytes (streams/ndjson.py), or what a person is told (cli/run.py).
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import numpy as np

from ...posteriors.base import Event
from ...streams.encode import Encoder
from ...streams.record import DECISION, EVENT, REQUEST, Record
from .asking import Asking, too_large
from .live import build_live, timed_decide, timed_learn
from .scoring import belief_shape, build_foresight
from .step import Agent

KEPT = 100_000
"""Latencies remembered for the summary: a stream may have no end, memory has."""
SECOND = 1e9
"""In nanoseconds; dividing by it keeps short decimals short."""


class Pending(NamedTuple):
    """A decision waiting for its observation: action `[size]` as the model sees it, its time."""

    action: Any
    time: float


@dataclass
class Tally:
    """What was done: counts, and the last latencies in nanoseconds."""

    decided: int = 0
    learnt: int = 0
    unmatched: int = 0
    dropped: int = 0
    unhealthy: int = 0
    decide: deque[int] = field(default_factory=lambda: deque(maxlen=KEPT))
    learn: deque[int] = field(default_factory=lambda: deque(maxlen=KEPT))


class Server:
    """An agent and its decisions under way. Compiles when made; `compile` is the seconds taken.

    Requests to a model with continuous actions may list up to `encoder.capacity` candidates.
    posterior, seed: said in every reply. informs: whether the rule's scores are expected gains in
    nats, a unit of cost if `per_cost`. horizon: decisions that may wait; beyond it the oldest go.
    """

    def __init__(
        self,
        agent: Agent,
        encoder: Encoder,
        seed: int,
        posterior: str = "",
        informs: bool = False,
        per_cost: bool = False,
        horizon: int = 10_000,
    ) -> None:
        begin = time.perf_counter()
        self.encoder, self.posterior, self.seed = encoder, posterior, seed
        self.informs, self.per_cost, self.horizon = informs, per_cost, horizon
        self.tally = Tally()
        self._asking = Asking(agent, encoder)
        # Arms are always the same; candidates in a continuous space are made here or brought.
        self._brought = build_live(agent, self._asking.given)
        self._made = build_live(agent) if agent.proposer else self._brought
        self._score = build_foresight(agent)
        self._packed = self._brought.init(jax.random.key(seed))
        shape = belief_shape(agent)
        self.draws = len(shape.log_weights) if hasattr(shape, "log_weights") else agent.particles
        self._waiting: dict[str | int, Pending] = {}
        self._ahead = 0
        self._latest = 0.0
        self.compile = time.perf_counter() - begin

    @property
    def waiting(self) -> int:
        """Decisions without an observation so far."""
        return len(self._waiting)

    def traces(self) -> int:
        """How often anything was traced; constant once made, however many lines follow."""
        scored = self._score._cache_size() if self._score is not None else 0
        return scored + sum(live.traces() for live in {self._made, self._brought})

    def answer(self, record: Record) -> dict[str, Any]:
        """The reply to a record. Raises UsageError, the state unchanged, where it does not fit."""
        with np.errstate(over="ignore"):
            kind = record.kind
            if kind == REQUEST:
                return self._decide(record)
            if kind == EVENT:
                action, now = np.asarray(self.encoder.action(record)), self.encoder.time(record)
                self._waiting.pop(record.id, None)
                return self._learn(record, action, now)
            if kind == DECISION:
                action, now = np.asarray(self.encoder.action(record)), self.encoder.time(record)
                self._new(record)
                self._wait(record, Pending(action, now))
                return {"id": record.id, "action": record.action, "propensity": record.propensity}
            pending = self._waiting.get(record.id)
            if pending is None:
                self.tally.unmatched += 1
                return reply_learnt(record, None, None, None)
            now = pending.time if record.t is None else self.encoder.time(record)
            reply = self._learn(record, pending.action, now)
            del self._waiting[record.id]
            return reply

    def _new(self, record: Record) -> None:
        if record.id in self._waiting:
            raise record.where.error(
                "id", f"{record.id!r} is already waiting for its observation", "use a new id"
            )

    def _wait(self, record: Record, pending: Pending) -> None:
        if len(self._waiting) >= self.horizon:
            del self._waiting[next(iter(self._waiting))]
            self.tally.dropped += 1
        self._waiting[record.id] = pending

    def _decide(self, record: Record) -> dict[str, Any]:
        self._new(record)
        # A request may be late too; beliefs are not carried backwards.
        now = max(self.encoder.time(record), self._latest)
        request = self._asking.request(record, now, self._ahead)
        live = self._made if record.actions is None else self._brought
        flat = live.write_request(request)
        if not np.isfinite(flat).all():
            raise too_large(record)
        out, taken = timed_decide(live, self._packed, flat)
        decision = live.read_decision(out)
        index, scores, action = int(decision.index), np.asarray(decision.scores), decision.action
        gain = None
        if self.informs:
            gain = float(scores[index]) * (float(request.cost[index]) if self.per_cost else 1.0)
        # A copy: the action would otherwise keep the whole result alive while it waits.
        self._wait(record, Pending(action.copy(), now))
        self.tally.decided += 1
        self.tally.decide.append(taken)
        seconds = taken / SECOND
        reply = {
            "id": record.id,
            "action": self._asking.named(record, index, np.asarray(action)),
            "propensity": float(decision.propensity[index]),
            "scores": self._asking.ordered(record, scores),
            "gain": gain,
            "posterior": self.posterior,
            "draws": self.draws,
            "latency": {"decide": seconds},
            "seed": self.seed,
            "step": self.tally.learnt,
            "ahead": self._ahead,
        }
        if record.deadline is not None:
            reply["deadline_met"] = seconds <= record.deadline
        self._ahead += 1
        return reply

    def _learn(self, record: Record, action: np.ndarray, now: float) -> dict[str, Any]:
        observation = np.asarray(self.encoder.observation(record))
        now = max(now, self._latest)
        # Host numbers in an event's place: they become one packed array before JAX sees them.
        event = Event(action, observation, now, self.tally.learnt, record.weight)  # type: ignore[arg-type]
        flat = self._brought.write_event(event)
        if not np.isfinite(flat).all():
            raise too_large(record)
        nll = gain = None
        if self._score is not None:
            log_prob, gain = np.asarray(self._score(self._packed, flat)).tolist()
            nll = -log_prob
        self._packed, report, taken = timed_learn(self._brought, self._packed, flat)
        if not self._brought.read_learned(report).healthy:
            self.tally.unhealthy += 1
        self.tally.learnt += 1
        self.tally.learn.append(taken)
        self._latest, self._ahead = now, 0
        return reply_learnt(record, gain, nll, taken / SECOND)


def reply_learnt(
    record: Record, gain: float | None, nll: float | None, seconds: float | None
) -> dict[str, Any]:
    """The answer to an observation; nulls where its id was not waiting and nothing was learnt."""
    return {"id": record.id, "realised_gain": gain, "nll": nll, "latency": {"learn": seconds}}


__all__ = ["Server", "Tally"]
