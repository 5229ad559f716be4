"""What a replay's scores add up to: log losses, accuracy, gain, alarm, off-policy value.

Running sums over chunks. Not here: making the scores (decide/loop/replay.py).
Source: Dawid (1984).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from ..loop.alarm import ALPHA, BETS, Alarm, first_at, follow, quiet_alarm, verdict
from ..loop.replay import Scored
from .offpolicy import Evaluation, OffPolicy


class Measure(NamedTuple):
    """A mean over n terms and its standard error; NaN where there are none."""

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
        """Take in terms `[n]`, each counting `weights [n]` times; weight 0 is no term."""
        v, w = np.asarray(values, float), np.asarray(weights, float)
        v, w = v[w > 0], w[w > 0]
        self.n += v.size
        self.weight += float(w.sum())
        self.first += float(w @ v)
        self.second += float(w @ (v * v))

    def measure(self) -> Measure:
        """The mean so far."""
        if not self.n:
            return Measure(float("nan"), float("nan"), 0)
        mean = self.first / self.weight
        variance = max(self.second / self.weight - mean**2, 0.0)
        return Measure(mean, float(np.sqrt(variance / max(self.n - 1, 1))), self.n)


class Doubt(NamedTuple):
    """Of the model, after a stream: see decide/loop/alarm.py. log_e, highest, change: nats. at: the
    event, from 1, at which `highest` reached 1/alpha, None if never. within: shares of observations
    in the central 50 and 90 % intervals. n: observations. leading: the bet that has won most, None
    where all have lost."""

    log_e: float
    highest: float
    change: float
    at: int | None
    within: tuple[float, float]
    n: int
    leading: str | None


class Report(NamedTuple):
    """events: learnt. nll: marginal log loss of an event, nats. accuracy: share of events whose
    most probable outcome occurred (None where outcomes are not finite). joint, dyadic: log loss of
    a block of tau events together, nats a block. gain: nats learnt an event; total_gain: their
    sum. reward: mean. work: evaluations an event. failures: events whose update was unhealthy.
    value: the rule's, None where no rule was judged. doubt: of the model, None where nothing was
    predicted.
    """

    events: int
    nll: Measure
    accuracy: Measure | None
    joint: Measure
    dyadic: Measure
    gain: Measure
    total_gain: float
    reward: Measure
    work: float
    failures: int
    value: Evaluation | None
    doubt: Doubt | None


@dataclass
class Prequential:
    """Accumulates `Scored` chunks. finite: whether the model's outcomes are finite."""

    finite: bool
    evaluate: bool = False
    rewarded: bool = True
    nll: Running = field(default_factory=Running)
    correct: Running = field(default_factory=Running)
    joint: Running = field(default_factory=Running)
    dyadic: Running = field(default_factory=Running)
    gain: Running = field(default_factory=Running)
    reward: Running = field(default_factory=Running)
    work: Running = field(default_factory=Running)
    failures: int = 0
    value: OffPolicy = field(default_factory=OffPolicy)
    alarm: Alarm = field(default_factory=quiet_alarm)
    raised: int | None = None
    seen: int = 0

    def add(self, scored: Scored) -> None:
        """Take in one chunk."""
        weight = scored.weight
        self.nll.add(-scored.foresight.log_prob, weight)
        self.correct.add(scored.foresight.correct, weight)
        self.gain.add(scored.foresight.gain, weight)
        self.work.add(scored.work, (weight > 0).astype(float))
        known = ~np.isnan(scored.reward)
        self.reward.add(np.where(known, scored.reward, 0.0), np.where(known, weight, 0.0))
        self.joint.add(-scored.coming, scored.whole)
        self.dyadic.add(-scored.dyadic, scored.whole)
        self.failures += int(np.sum((weight > 0) & ~scored.healthy))
        self._bet(scored.foresight.place, weight)
        if self.evaluate:
            real = (weight > 0) & known
            self.value.add(
                scored.reward[real],
                scored.propensity[real],
                scored.evaluated[real],
                scored.prediction[real] if self.rewarded else None,
                scored.expected[real] if self.rewarded else None,
            )

    def _bet(self, places: Any, weight: Any) -> None:
        self.alarm, verdicts = follow(self.alarm, jnp.asarray(places), jnp.asarray(weight))
        at = int(first_at(verdicts.highest, ALPHA))
        if at and self.raised is None:
            self.raised = self.seen + at
        self.seen += len(weight)

    def doubt(self) -> Doubt | None:
        """What the alarm says so far."""
        found = verdict(self.alarm)
        if not int(found.n):
            return None
        log_e = float(found.log_e)
        half, most = (float(x) for x in found.within)
        return Doubt(
            log_e, float(found.highest), float(found.change), self.raised, (half, most),
            int(found.n), BETS[int(found.leading)] if log_e > 0 else None,
        )  # fmt: skip

    def report(self) -> Report:
        """The sums so far."""
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
