"""Serve decisions one line at a time: each record in is answered by one reply.

A request is answered with an action; its observation finds it again by id, however late, and is
learnt. Not here: bytes (streams/ndjson.py), or what a person is told (cli/run.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from ...posteriors.base import Draws, Summary
from ...streams.encode import Encoder
from ...streams.record import DECISION, EVENT, REQUEST, LineError, Record
from ..rules.base import Rule
from .asking import Asking, rows_of, too_large
from .live import build_live, host_event
from .many import Many, Waits
from .pacing import Pace
from .scoring import belief_shape, build_foresight, told, unalarmed
from .step import Agent
from .stopping import Stopping
from .stream import Stream
from .tally import Tally
from .thinking import Thoughts
from .waiting import Pending, Waiting

SECOND = 1e9
"""In nanoseconds; dividing by it keeps short decimals short."""


class Server:
    """An agent and its decisions under way. Compiles when made; `compile` is the seconds taken.

    Requests to a model with continuous actions may list up to `encoder.capacity` candidates.
    posterior, seed: said in every reply. informs: whether the rule's scores are expected gains in
    nats, a unit of cost if `per_cost`. horizon: decisions that may wait; beyond it the oldest go.
    batch: actions that the agent's rule chooses at once, 1 for a rule of single ones. stopping:
    when to ask no more; once `stopped` says why, nothing else should be answered. deadline and
    rule_of: as in `Pace`. think: slices of thinking between two events, at most. many: the streams
    that lines are of, whose agent this is; else there is one. budget, counts and alarm are of all
    of them. `alarm`: what the last event learnt made of the model (scoring.told), None before the
    first or unless `watched`.
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
        batch: int = 1,
        stopping: Stopping | None = None,
        deadline: float | None = None,
        rule_of: Callable[[int], Rule] | None = None,
        think: int = 0,
        watched: bool = True,
        many: Many | None = None,
    ) -> None:
        begin = time.perf_counter()
        self.encoder, self.posterior, self.seed = encoder, posterior, seed
        self.informs, self.per_cost = informs, per_cost
        self._moves = bool(agent.model.latent)
        self.batch, self.stopping = batch, stopping or Stopping()
        self.stopped: str | None = None
        self.tally = Tally()
        self._asking = Asking(agent, encoder)
        # Arms are always the same; candidates in a continuous space are made here or brought.
        self._brought = build_live(agent, self._asking.given)
        self._made = build_live(agent) if agent.proposer else self._brought
        calls = {self._brought: self._asking.given, self._made: 0}
        self._pace = Pace(agent, self._brought, calls, deadline, rule_of)
        self.thoughts = Thoughts(agent, think, deadline) if think else None
        self._score = build_foresight(agent, watched)
        self._packed = self._brought.init(jax.random.key(seed))
        self._bets = unalarmed(watched)
        self.alarm: dict[str, Any] | None = None
        shape = belief_shape(agent)
        self.draws: int | None = agent.particles
        if isinstance(shape, Draws):
            self.draws = len(shape.log_weights)
        elif isinstance(shape, Summary):
            self.draws = None
        self.stream, self.many = Stream(Waiting(horizon)), many
        self.compile = time.perf_counter() - begin + (many.compile if many else 0.0)

    @property
    def waiting(self) -> Waiting | Waits:
        """Decisions that wait, of all streams: how many, and how many were dropped."""
        return self.stream.waiting if self.many is None else self.many.waiting

    def traces(self) -> int:
        """How often anything was traced; constant once made, however many lines follow."""
        scored = self._score._cache_size() if self._score is not None else 0
        return scored + self._pace.traces() + (self.many.calls.traces() if self.many else 0)

    def answer(
        self,
        record: Record,
        arrived: int | None = None,
        followed: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The reply to a record. Raises LineError, the state unchanged, where it does not fit.

        arrived: when it did, by `time.perf_counter_ns`, from which its deadline counts; now unless
        given. followed: the reply to the same record before the process ended; what depended on
        the clock then is done again.
        """
        self._pace.begin(record.deadline, arrived, followed)
        if self.thoughts is not None and followed is not None:
            self._packed = self.thoughts.again(self._packed, followed.get("thought", 0))
        if self.many is not None:
            assert record.key is not None
            self._packed, self.stream = self.many.enter(self._packed, record.key)
        self.encoder._origin = self.stream.origin
        try:
            reply = self.named(record, self._answered(record))
        except LineError:
            self.encoder.slots.discard()
            raise
        self.encoder.slots.settle()
        # A line that was refused does not say when the stream began.
        self.stream.origin = self.encoder._origin
        if self.many is not None:
            self.many.changed()
        return reply if self.thoughts is None else reply | {"thought": self.thoughts.told()}

    def named(self, record: Record, reply: dict[str, Any]) -> dict[str, Any]:
        """A reply that says whose it is, where there are many streams."""
        return reply if self.many is None else {self.many.field: record.key, **reply}

    def retain(self, checkpoints: list[int]) -> None:
        """Have spilled streams stay as they were after those numbers of lines."""
        if self.many is not None:
            self.many.kept = checkpoints

    @property
    def thoughtful(self) -> bool:
        """Whether something is left to think about while nobody waits."""
        return self.thoughts is not None and self.tally.learnt > 0 and self.thoughts.left

    def think(self) -> None:
        """One slice."""
        assert self.thoughts is not None
        self._packed = self.thoughts.slice(self._packed)

    def _answered(self, record: Record) -> dict[str, Any]:
        with np.errstate(over="ignore"):
            kind = record.kind
            if kind == REQUEST:
                return self._decide(record)
            if kind == EVENT:
                action, now = np.asarray(self.encoder.action(record)), self.encoder.time(record)
                observed = [self.encoder.observation(record)]
                reply = self._learn(record, action[None], observed, now)
                self.stream.waiting.done(record.id)
                return reply
            if kind == DECISION:
                action, now = np.asarray(self.encoder.action(record)), self.encoder.time(record)
                self.stream.waiting.refuse_known(record)
                self.stream.waiting.add(record.id, Pending(action[None], now, batch=False))
                return {"id": record.id, "action": record.action, "propensity": record.propensity}
            pending = self.stream.waiting.get(record.id)
            if pending is None:
                self.tally.unmatched += 1
                return reply_learnt(record, None, None, None)
            now = pending.time if record.t is None else self.encoder.time(record)
            observed = self._asking.observed(record, len(pending.actions), pending.batch)
            reply = self._learn(record, pending.actions, observed, now)
            self.stream.waiting.done(record.id)
            return reply

    def _decide(self, record: Record) -> dict[str, Any]:
        self.stream.waiting.refuse_known(record)
        # A request may be late too; beliefs are not carried backwards.
        now = max(self.encoder.time(record), self.stream.latest)
        request = self._asking.request(record, now, self.stream.ahead, self.batch)
        cost = np.asarray(request.cost)
        valid = np.asarray(request.valid) & self.stopping.affordable(cost)
        if not valid.any():
            self.stopped = self.stopping.exhausted()
            none: dict[str, Any] = {"action": None, "propensity": None}
            if self.batch > 1:
                none = {"actions": [], "propensities": []}
            return {"id": record.id, **none, **reply_stopped(self.stopped)}
        live = self._made if record.actions is None else self._brought
        request = request._replace(valid=valid)
        flat = live.write_request(request)
        if not np.isfinite(flat).all():
            raise too_large(record)
        decision, taken, how = self._pace.decide(live, self._packed, request, flat)
        # A cheaper decision looked at the first few candidates only.
        valid, cost = (x[: decision.scores.shape[-1]] for x in (valid, cost))
        rows = rows_of(decision, int(valid.sum()))
        gains = rows.scores * cost[None, :] if self.per_cost else rows.scores
        if self.informs:
            self.stopped = self.stopping.too_little(gains[0][valid])
        if self.stopped is None:
            rows = rows.first(self.stopping.pay(cost[rows.index]))
            self.stream.waiting.add(record.id, Pending(rows.action, now, self.batch > 1))
            self.tally.decided += 1
        expected = gains[np.arange(len(rows.index)), rows.index].sum()
        self.tally.decide.append(taken)
        seconds = taken / SECOND
        reply = {
            "id": record.id,
            **self._asking.said(record, rows, self.batch > 1),
            "gain": float(expected) if self.informs else None,
            "posterior": self.posterior,
            "draws": self.draws,
            "latency": {"decide": seconds},
            "seed": self.seed,
            "step": self.stream.step,
            "ahead": self.stream.ahead,
            "alarm": self.alarm,
        }
        reply |= how | self._punctual()
        if how:
            self.tally.cheaper += how["rung"]["number"] > 0
        self.stream.ahead += 1
        return reply if self.stopped is None else reply | reply_stopped(self.stopped)

    def _learn(
        self, record: Record, actions: np.ndarray, observed: list[Any], now: float
    ) -> dict[str, Any]:
        """Learn from one event, or the events of a batch in their order: sums in the reply."""
        # Motion is not carried backwards; where nothing moves, an event is as old as it is.
        when = max(now, self.stream.latest) if self._moves else now
        flats = []
        for number, (action, y) in enumerate(zip(actions, observed, strict=True)):
            id = self.stream.step + number
            event = host_event(action, np.asarray(y), when, id, record.weight)
            flats.append(self._brought.write_event(event))
            if not np.isfinite(flats[-1]).all():
                raise too_large(record)
        log_prob, gain, total = 0.0, 0.0, 0
        how: dict[str, Any] = {}
        for flat in flats:
            if self._score is not None:
                found, self._bets = self._score(self._packed, flat, self._bets)
                scores = np.asarray(found).tolist()
                log_prob, gain = log_prob + scores[0], gain + scores[1]
                self.alarm = told(scores[2:]) if self._bets else None
            self._packed, learned, taken, how = self._pace.learn(self._packed, flat)
            if self.many is not None:
                self._packed = self.many.here(self._packed)
            if not learned.healthy:
                self.tally.unhealthy += 1
            self.tally.learnt += 1
            self.stream.step += 1
            self.tally.learn.append(taken)
            total += taken
        self.stream.latest, self.stream.ahead = max(now, self.stream.latest), 0
        if self.thoughts is not None:
            self.thoughts.learnt()
        if self._score is None:
            gain, log_prob = None, None
        nll = None if log_prob is None else -log_prob
        reply = reply_learnt(record, gain, nll, total / SECOND, self.alarm)
        return reply | how | self._punctual()

    def _punctual(self) -> dict[str, bool]:
        """Whether the answer is in time, where that was asked for."""
        met = self._pace.punctual()
        if met is None:
            return {}
        self.tally.late += not met
        return {"deadline_met": met}


def reply_learnt(
    record: Record,
    gain: float | None,
    nll: float | None,
    seconds: float | None,
    alarm: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The answer to an observation; nulls where its id was not waiting and nothing was learnt."""
    learnt = {"realised_gain": gain, "nll": nll, "alarm": alarm}
    return {"id": record.id, **learnt, "latency": {"learn": seconds}}


def reply_stopped(reason: str) -> dict[str, Any]:
    """What is added to the last answer of all: its action is not to be done."""
    return {"stop": True, "reason": reason}


__all__ = ["Server"]
