"""Serve decisions one line at a time: each record is answered by one reply.

A request is answered with an action. Its observation is matched by id, however late, and learnt.

See also: streams/formats/ndjson.py for bytes, cli/live/run.py for the command.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from ....posteriors.units import NS_PER_S
from ....streams.formats.encoding import Encoder
from ....streams.formats.record import DECISION, EVENT, REQUEST, WITHDRAWAL, LineError, Record
from ...rules.base import Rule
from ..core.compiled import build_live
from ..core.host_arrays import host_event, is_usable
from ..core.scoring import build_score, count_draws, evidence_fields, initial_packed_e_process
from ..core.step import Agent
from .background_refine import BackgroundRefine
from .counters import Counters
from .deadline import DeadlineControl
from .keyed_streams import KeyedStreams, PendingTotals
from .pending import PendingDecision, PendingDecisions
from .replies import observation_reply, stop_fields
from .requests import Requests, chosen_actions, overflow_error, spoilt_error
from .stopping import Stopping
from .stream_state import StreamState


class Server:
    """An agent with its pending decisions. Compiles when made.

    agent: the agent.
    encoder: encodes records; requests may list up to `encoder.capacity` candidates.
    seed: seed of the run, repeated in every reply.
    posterior: spec of the posterior, repeated in every reply.
    informs: whether the rule's scores are expected gains, nats (per unit cost if `per_cost`).
    horizon: pending decisions per stream; beyond it the oldest is dropped.
    batch: actions that the agent's rule chooses at once.
    stopping: when to stop; once `stopped` holds a reason, no further record should be answered.
    deadline, rule_of: as in `DeadlineControl`.
    think: slices of background refining between two events, at most.
    watched: whether the e-process is followed; `alarm` then holds its latest evidence.
    keyed: streams by key, whose agent this is; None for a single stream. Budget, counters and
        e-process are shared by all streams.
    compile: seconds of compilation.
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
        keyed: KeyedStreams | None = None,
    ) -> None:
        begin = time.perf_counter()
        self.encoder, self.posterior, self.seed = encoder, posterior, seed
        self.informs, self.per_cost = informs, per_cost
        self._moves = bool(agent.model.latent)
        self.batch, self.stopping = batch, stopping or Stopping()
        self.stopped: str | None = None
        self.counters = Counters()
        self._requests = Requests(agent, encoder)
        # Arms are fixed; continuous candidates come from the proposer or from the client.
        self._brought = build_live(agent, self._requests.given)
        self._made = build_live(agent) if agent.proposer else self._brought
        calls = {self._brought: self._requests.given, self._made: 0}
        self._deadline = DeadlineControl(agent, self._brought, calls, deadline, rule_of)
        self.background = BackgroundRefine(agent, think, deadline) if think else None
        self._score = build_score(agent, watched)
        self._packed = self._brought.init(jax.random.key(seed))
        self._e_process = initial_packed_e_process(watched)
        self.alarm: dict[str, Any] | None = None
        self.draws = count_draws(agent)
        self.stream, self.keyed = StreamState(PendingDecisions(horizon)), keyed
        self.compile = time.perf_counter() - begin + (keyed.compile if keyed else 0.0)

    @property
    def pending(self) -> PendingDecisions | PendingTotals:
        """Pending decisions of all streams: their number, and how many were dropped."""
        return self.stream.pending if self.keyed is None else self.keyed.pending

    def traces(self) -> int:
        """Count the traces of all calls; constant once made, however many lines follow."""
        scored = self._score._cache_size() if self._score is not None else 0
        return scored + self._deadline.traces() + (self.keyed.calls.traces() if self.keyed else 0)

    def answer(
        self,
        record: Record,
        arrived: int | None = None,
        earlier: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Answer a record.

        record: the record.
        arrived: time of its arrival by `time.perf_counter_ns`, where its deadline starts; None for
            now.
        earlier: the reply to the same record before a restart; choices that depended on the clock
            are repeated.

        Returns: the reply.
        Raises: LineError if the record does not fit; the state is then unchanged.
        """
        self._deadline.begin(record.deadline, arrived, earlier)
        if self.background is not None and earlier is not None:
            self._packed = self.background.repeat_slices(self._packed, earlier.get("thought", 0))
        if self.keyed is not None:
            assert record.key is not None
            self._packed, self.stream = self.keyed.enter(self._packed, record.key)
        self.encoder._origin = self.stream.origin
        try:
            reply = self.with_key(record, self._answered(record))
        except LineError:
            self.encoder.arm_slots.rollback()
            raise
        self.encoder.arm_slots.commit()
        # A refused line does not set the origin of time.
        self.stream.origin = self.encoder._origin
        if self.keyed is not None:
            self.keyed.commit()
        if self.background is not None:
            reply["thought"] = self.background.take_unreported()
        return reply

    def with_key(self, record: Record, reply: dict[str, Any]) -> dict[str, Any]:
        """Add the key of the stream to a reply, where streams are keyed.

        record: the record.
        reply: its reply.

        Returns: the reply.
        """
        return reply if self.keyed is None else {self.keyed.field: record.key, **reply}

    def retain_checkpoints(self, checkpoints: list[int]) -> None:
        """Keep the versions of spilled streams that these checkpoints need.

        checkpoints: line numbers of the checkpoints.
        """
        if self.keyed is not None:
            self.keyed.checkpoints = checkpoints

    @property
    def can_refine(self) -> bool:
        """Whether a slice of background refining may run now."""
        return self.background is not None and self.counters.learnt > 0 and self.background.has_work

    def refine_once(self) -> None:
        """Run one slice of background refining."""
        assert self.background is not None
        self._packed = self.background.refine_slice(self._packed)

    def _answered(self, record: Record) -> dict[str, Any]:
        with np.errstate(over="ignore"):
            kind = record.kind
            if kind == REQUEST:
                return self._decide(record)
            if kind in (EVENT, DECISION):
                action, now = np.asarray(self.encoder.action(record)), self.encoder.time(record)
                if kind == EVENT:
                    observed = [self.encoder.observation(record)]
                    reply = self._learn(record, action[None], observed, now)
                    self.stream.pending.discard(record.id)
                    return reply
                self.stream.pending.refuse_repeated(record)
                self.stream.pending.add(record.id, PendingDecision(action[None], now, batch=False))
                return {"id": record.id, "action": record.action, "propensity": record.propensity}
            pending = self.stream.pending.get(record.id)
            self.counters.unmatched += pending is None
            if kind == WITHDRAWAL:
                self.stream.pending.discard(record.id)
                self.counters.withdrawn += pending is not None
                return {"id": record.id, "withdrawn": pending is not None}
            if pending is None:
                return observation_reply(record, None, None, None)
            now = pending.time if record.t is None else self.encoder.time(record)
            observed = self._requests.read_observations(record, len(pending.actions), pending.batch)
            reply = self._learn(record, pending.actions, observed, now)
            self.stream.pending.discard(record.id)
            return reply

    def _decide(self, record: Record) -> dict[str, Any]:
        self.stream.pending.refuse_repeated(record)
        # A request may be late too; beliefs are not run backwards.
        now = max(self.encoder.time(record), self.stream.latest)
        request = self._requests.build_request(record, now, self.stream.ahead, self.batch)
        cost = np.asarray(request.cost)
        valid = np.asarray(request.valid) & self.stopping.affordable(cost)
        if not valid.any():
            self.stopped = self.stopping.exhausted_reason()
            none: dict[str, Any] = {"action": None, "propensity": None}
            if self.batch > 1:
                none = {"actions": [], "propensities": []}
            return {"id": record.id, **none, **stop_fields(self.stopped)}
        live = self._made if record.actions is None else self._brought
        request = request._replace(valid=valid)
        flat = live.write_request(request)
        if not is_usable(flat):
            raise overflow_error(record)
        decision, taken, how = self._deadline.decide(live, self._packed, request, flat)
        # A cheaper decision scored only the first candidates.
        valid, cost = (x[: decision.scores.shape[-1]] for x in (valid, cost))
        if np.isnan(decision.scores[..., valid]).any():
            raise spoilt_error(record, "scores that are no numbers")
        rows = chosen_actions(decision, int(valid.sum()))
        gains = rows.scores * cost[None, :] if self.per_cost else rows.scores
        if self.informs:
            self.stopped = self.stopping.low_gain_reason(gains[0][valid])
        if self.stopped is None:
            rows = rows.first(self.stopping.pay(cost[rows.index]))
            self.stream.pending.add(record.id, PendingDecision(rows.action, now, self.batch > 1))
            self.counters.decided += 1
        expected = gains[np.arange(len(rows.index)), rows.index].sum()
        self.counters.decide.append(taken)
        reply = {
            "id": record.id,
            **self._requests.reply_fields(record, rows, self.batch > 1),
            "gain": float(expected) if self.informs else None,
            "posterior": self.posterior,
            "draws": self.draws,
            "latency": {"decide": taken / NS_PER_S},
            "seed": self.seed,
            "step": self.stream.step,
            "ahead": self.stream.ahead,
            "alarm": self.alarm,
        }
        reply |= how | self._lateness()
        self.counters.cheaper += bool(how) and how["rung"]["number"] > 0
        self.stream.ahead += 1
        return reply if self.stopped is None else reply | stop_fields(self.stopped)

    def _learn(
        self, record: Record, actions: np.ndarray, observed: list[Any], now: float
    ) -> dict[str, Any]:
        """Learn one event, or the events of a batch in order; the reply has the sums."""
        # Dynamics are not run backwards; without dynamics an event keeps its own time.
        when = max(now, self.stream.latest) if self._moves else now
        numbers = range(self.stream.step, self.stream.step + len(actions))
        flats = [
            self._brought.write_event(host_event(action, np.asarray(y), when, id, record.weight))
            for action, y, id in zip(actions, observed, numbers, strict=True)
        ]
        if not is_usable(flats):
            raise overflow_error(record)
        log_prob, gain, how = 0.0, 0.0, {}
        process, alarm, unhealthy, times = self._e_process, self.alarm, 0, []
        # Learning consumes the state, and a batch is learnt whole or not at all.
        kept = jax.tree.map(np.array, self._packed) if len(flats) > 1 else None
        for flat in flats:
            if self._score is not None:
                found, process = self._score(self._packed, flat, process)
                scores = np.asarray(found).tolist()
                log_prob, gain = log_prob + scores[0], gain + scores[1]
                alarm = evidence_fields(scores[2:]) if process else None
            self._packed, learned, taken, how = self._deadline.learn(self._packed, flat)
            if self.keyed is not None:
                self._packed = self.keyed.select_current(self._packed)
            if not learned.learnt:
                self._packed = kept or self._packed
                self.counters.unhealthy += 1
                raise spoilt_error(record)
            unhealthy += not learned.healthy
            times.append(taken)
        self._e_process, self.alarm = process, alarm
        self.counters.add_learnt(times, unhealthy)
        self.stream.step += len(flats)
        self.stream.latest, self.stream.ahead = max(now, self.stream.latest), 0
        if self.background is not None:
            self.background.restart()
        scored = (None, None) if self._score is None else (gain, -log_prob)
        reply = observation_reply(record, *scored, sum(times) / NS_PER_S, self.alarm)
        return reply | how | self._lateness()

    def _lateness(self) -> dict[str, bool]:
        """Field of the reply: whether it is in time, where there is a deadline."""
        met = self._deadline.answered_in_time()
        if met is None:
            return {}
        self.counters.late += not met
        return {"deadline_met": met}
