"""Sums of a replay's scores: log losses, accuracy, gain, alarm, off-policy value; their record.

Running sums over chunks.
Source: Dawid (1984).

See also: ../../loop/core/replay.py for the scores, ../records/replay_record.py for the fields.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from ...loop.core.chunks import TAU
from ...loop.core.e_process import (
    ALPHA,
    EProcess,
    first_crossing,
    initial_e_process,
    leading_fault,
    read_evidence,
    scan_pits,
)
from ...loop.core.replay import Scored
from ..records.record import Mean
from ..records.replay_record import (
    JointLoss,
    LogAlarm,
    OffPolicyValue,
    OrderSpread,
    ReplayRecord,
    TotalGain,
    Value,
)
from .offpolicy import Evaluation, OffPolicy, ValueEstimate
from .order_sensitivity import Disagreement


class Measure(NamedTuple):
    """A mean over n terms and its standard error; NaN without terms."""

    mean: float
    se: float
    n: int


@dataclass
class Running:
    """Weighted mean and error of a stream of terms."""

    n: int = 0
    weight: float = 0.0
    first: float = 0.0
    second: float = 0.0

    def add(self, values: Any, weights: Any) -> None:
        """Add terms.

        values: `[n]`.
        weights: `[n]`; a term of weight 0 does not count.
        """
        v, w = np.asarray(values, float), np.asarray(weights, float)
        v, w = v[w > 0], w[w > 0]
        self.n += v.size
        self.weight += float(w.sum())
        self.first += float(w @ v)
        self.second += float(w @ (v * v))

    def measure(self) -> Measure:
        """Return the mean so far."""
        if not self.n:
            return Measure(float("nan"), float("nan"), 0)
        mean = self.first / self.weight
        variance = max(self.second / self.weight - mean**2, 0.0)
        return Measure(mean, float(np.sqrt(variance / max(self.n - 1, 1))), self.n)


class Doubt(NamedTuple):
    """Bets against the model after a stream."""

    log_e: float
    """Evidence against the model at the end, nats."""
    highest: float
    """Highest evidence so far, nats."""
    change: float
    """Evidence for a change, nats."""
    at: int | None
    """Event, from 1, at which `highest` reached 1/alpha; None if never."""
    within: tuple[float, float]
    """Shares of observations in the central 50 and 90 % intervals."""
    n: int
    """Observations."""
    leading: str | None
    """Bet that has won most; None if all have lost."""


class Report(NamedTuple):
    """Scores of a replay."""

    events: int
    """Events learnt."""
    nll: Measure
    """Marginal log loss of an event, nats."""
    accuracy: Measure | None
    """Share of events whose most probable outcome occurred; None if outcomes are not finite."""
    joint: Measure
    """Log loss of a block of tau events together, nats a block."""
    dyadic: Measure
    """The same of dyadic blocks."""
    gain: Measure
    """Nats learnt an event."""
    total_gain: float
    """Sum of the gain, nats."""
    reward: Measure
    work: float
    """Evaluations an event."""
    failures: int
    """Events whose update was unhealthy, or that were not learnt."""
    value: Evaluation | None
    """Of the judged rule; None without one."""
    doubt: Doubt | None
    """None if nothing was predicted."""


@dataclass
class Prequential:
    """Accumulates `Scored` chunks."""

    finite: bool
    """Whether the model's outcomes are finite."""
    evaluate: bool = False
    """Whether a rule is judged off policy."""
    rewarded: bool = True
    """Whether the model predicts rewards."""
    nll: Running = field(default_factory=Running)
    correct: Running = field(default_factory=Running)
    joint: Running = field(default_factory=Running)
    dyadic: Running = field(default_factory=Running)
    gain: Running = field(default_factory=Running)
    reward: Running = field(default_factory=Running)
    work: Running = field(default_factory=Running)
    failures: int = 0
    value: OffPolicy = field(default_factory=OffPolicy)
    alarm: EProcess = field(default_factory=initial_e_process)
    raised: int | None = None
    seen: int = 0

    def add(self, scored: Scored) -> None:
        """Add one chunk.

        scored: scores of its events.
        """
        # What was not learnt would spoil sums as it would have spoilt the belief.
        weight = np.where(scored.learnt, scored.weight, 0.0)
        self.nll.add(-scored.predictive.log_prob, weight)
        self.correct.add(scored.predictive.correct, weight)
        self.gain.add(scored.predictive.gain, weight)
        self.work.add(scored.work, (weight > 0).astype(float))
        known = ~np.isnan(scored.reward)
        self.reward.add(np.where(known, scored.reward, 0.0), np.where(known, weight, 0.0))
        self.joint.add(-scored.coming, scored.whole)
        self.dyadic.add(-scored.dyadic, scored.whole)
        self.failures += int(np.sum((scored.weight > 0) & ~scored.healthy))
        self._bet(scored.predictive.pit, weight)
        if self.evaluate:
            real = (weight > 0) & known
            self.value.add(
                scored.reward[real],
                scored.propensity[real],
                scored.evaluated[real],
                scored.prediction[real] if self.rewarded else None,
                scored.expected[real] if self.rewarded else None,
                weight[real],
            )

    def _bet(self, places: Any, weight: Any) -> None:
        self.alarm, verdicts = scan_pits(self.alarm, jnp.asarray(places), jnp.asarray(weight))
        at = int(first_crossing(verdicts.highest, ALPHA))
        if at and self.raised is None:
            self.raised = self.seen + at
        self.seen += len(weight)

    def doubt(self) -> Doubt | None:
        """Return the evidence against the model so far; None without observations."""
        found = read_evidence(self.alarm)
        if not int(found.n):
            return None
        log_e = float(found.log_e)
        half, most = (float(x) for x in found.within)
        return Doubt(
            log_e, float(found.highest), float(found.change), self.raised, (half, most),
            int(found.n), leading_fault(log_e, found.leading),
        )  # fmt: skip

    def report(self) -> Report:
        """Return the sums so far."""
        gain = self.gain.measure()
        return Report(
            self.nll.n,
            self.nll.measure(),
            self.correct.measure() if self.finite else None,
            self.joint.measure(),
            self.dyadic.measure(),
            gain,
            self.gain.first,
            self.reward.measure(),
            self.work.measure().mean,
            self.failures,
            self.value.evaluate() if self.evaluate and self.value.events else None,
            self.doubt(),
        )


def build_replay_record(report: Report, order: Disagreement | None, **given: Any) -> ReplayRecord:
    """Build the record of one log under one posterior.

    report: scores of the log.
    order: effect of the order of events, if it was measured.
    given: the other fields.
    Returns: the record.
    """
    return ReplayRecord(
        events=report.events,
        nll=_mean(report.nll),
        accuracy=_mean(report.accuracy),
        joint=JointLoss(tau=TAU, nll=_mean(report.joint), dyadic=_mean(report.dyadic)),
        gain=TotalGain(total=report.total_gain, mean=report.gain.mean, se=report.gain.se),
        reward=_mean(report.reward),
        work=report.work,
        failures=report.failures,
        alarm=LogAlarm(**report.doubt._asdict()) if report.doubt else None,
        value=None if report.value is None else _judged(report.value),
        order=None if order is None else OrderSpread(**asdict(order)),
        **given,
    )


def _mean(measure: Measure | None) -> Mean | None:
    return Mean(measure.mean, measure.se) if measure and measure.n else None


def _judged(found: Evaluation) -> OffPolicyValue:
    def value(estimate: ValueEstimate) -> Value:
        return Value(**estimate._asdict())

    return OffPolicyValue(
        ips=value(found.ips),
        snips=value(found.snips),
        dr=None if found.dr is None else value(found.dr),
        logged=value(found.logged),
        weight=value(found.weight),
        ess=found.ess,
        heaviest=found.heaviest,
        **found.verdict._asdict(),
    )
