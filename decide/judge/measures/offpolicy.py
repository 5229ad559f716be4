"""Value of a rule that did not act, from a log of one that did: IPS, SNIPS and DR.

Running sums, so a log of any length takes constant memory. A rule that learns along the log is
evaluated as it learns: each event's weight depends on the past alone, so the errors are those of a
martingale and the intervals hold. An event of weight c counts as c equal events everywhere: in
estimates, errors and sample sizes.
Sources: Horvitz and Thompson (1952); Swaminathan and Joachims (2015) for the self-normalised
form; Dudik, Langford and Li (2011) for the doubly robust one; Kong (1992) for the sample size.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

Z95 = 1.959964
"""Standard errors on either side of a 95 % interval."""
Z_ALARM = 4.417
"""Standard errors that chance exceeds once in 100 000 (two-sided)."""
LEAST_SAMPLES = 100.0
"""Below this effective sample size a normal interval means nothing."""
LEAST_FOR_INTERVAL = 50.0
"""Below this effective sample size no interval is given."""
ROUNDING = 1e-3
"""Weights this close to 1 on average are 1: single precision and rounded logs."""
LEAST_SHARE = 0.01
"""Below this share of the log, a few weights carry the estimate."""


class ValueEstimate(NamedTuple):
    """A value with its standard error and 95 % interval, in units of reward an event."""

    value: float
    se: float
    low: float | None
    """None, as `high`, if too few events or no spread at all would make the interval a guess."""
    high: float | None


class OffPolicyVerdict(NamedTuple):
    """Whether the estimates can be believed."""

    believe: bool
    why: str
    """Reason in one sentence."""


class Evaluation(NamedTuple):
    """Estimates of the value of a rule."""

    ips: ValueEstimate
    snips: ValueEstimate
    dr: ValueEstimate | None
    """None without reward predictions."""
    logged: ValueEstimate
    """The log's own mean reward."""
    events: int
    """n."""
    ess: float
    """Effective sample size of the importance weights, (sum w)^2 / sum w^2."""
    weight: ValueEstimate
    """Mean importance weight; 1 in expectation if the log is right."""
    heaviest: float
    """Largest weight."""
    verdict: OffPolicyVerdict


@dataclass
class OffPolicy:
    """Accumulates events; `evaluate()` may be called at any time."""

    events: int = 0
    count: float = 0.0
    heaviest: float = 0.0
    predicted: bool = True
    sums: dict[str, float] = field(default_factory=dict)

    def add(
        self,
        reward: Any,
        logged: Any,
        evaluated: Any,
        prediction: Any = None,
        expected: Any = None,
        weight: Any = None,
    ) -> None:
        """Add a block of n events.

        reward: `[n]`.
        logged: `[n]` probability (> 0) with which the log chose its action.
        evaluated: `[n]` the rule's probability of the same action.
        prediction: `[n]` predicted reward of the logged action, for DR; must not depend on the
            reward.
        expected: `[n]` predicted reward averaged over the rule's choice, for DR.
        weight: `[n]` times that each event counts; None for once.

        Raises: ValueError if a propensity is not above 0.
        """
        r, mu, pi = (np.asarray(v, float) for v in (reward, logged, evaluated))
        if not np.all(mu > 0):
            raise ValueError("logged propensities must be above 0")
        if r.size == 0:
            return
        w = pi / mu
        c = np.ones(r.size) if weight is None else np.asarray(weight, float)
        self.events += r.size
        self.count += float(c.sum())
        self.heaviest = max(self.heaviest, float(w.max()))
        terms = {
            "w": w, "ww": w * w, "r": r, "rr": r * r,
            "wr": w * r, "wwr": w * w * r, "wwrr": (w * r) ** 2,
        }  # fmt: skip
        if prediction is None or expected is None:
            self.predicted = False
        else:
            d = np.asarray(expected, float) + w * (r - np.asarray(prediction, float))
            terms |= {"d": d, "dd": d * d}
        for name, values in terms.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(c @ values)

    def evaluate(self) -> Evaluation:
        """Return the estimates, their errors, and whether to believe them."""
        n, s = self.count, self.sums
        if self.events == 0:
            raise ValueError("no events to evaluate on")
        total = s["w"]
        snips = s["wr"] / total if total > 0 else float("nan")
        # The delta method's error of a ratio of sums.
        spread = s["wwrr"] - 2 * snips * s["wwr"] + snips**2 * s["ww"]
        snips_se = float(np.sqrt(max(spread, 0.0))) / total if total > 0 else float("nan")
        ess = total**2 / s["ww"] if s["ww"] > 0 else 0.0
        weight = _mean(n, total, s["ww"], ess)
        dr = _mean(n, s["d"], s["dd"], ess) if self.predicted else None
        return Evaluation(
            _mean(n, s["wr"], s["wwrr"], ess),
            _interval(snips, snips_se, ess),
            dr,
            _mean(n, s["r"], s["rr"], n),
            self.events,
            ess,
            weight,
            self.heaviest,
            _verdict(n, ess, weight),
        )


def _verdict(events: float, ess: float, weight: ValueEstimate) -> OffPolicyVerdict:
    """Whether the weights can carry an estimate at all."""
    least = max(LEAST_SAMPLES, LEAST_SHARE * events)
    if ess < least:
        return OffPolicyVerdict(
            False,
            f"the weights leave an effective sample of {ess:.0f} of {events:.0f} events, below "
            f"{least:.0f}: the log hardly ever did what the rule would do",
        )
    if abs(weight.value - 1) > max(Z_ALARM * weight.se, ROUNDING):
        return OffPolicyVerdict(
            False,
            f"the weights average {weight.value:.3f} +- {weight.se:.3f}, which is not 1: the "
            "logged propensities are wrong, or the log never tries some of what the rule would do",
        )
    return OffPolicyVerdict(
        True, f"the weights leave an effective sample of {ess:.0f} of {events:.0f} events"
    )


def _mean(n: float, total: float, squares: float, effective: float) -> ValueEstimate:
    """The mean of n terms from their sum and sum of squares."""
    value = total / n
    variance = max(squares / n - value**2, 0.0) * n / max(n - 1, 1)
    return _interval(value, float(np.sqrt(variance / n)), effective)


def _interval(value: float, se: float, effective: float) -> ValueEstimate:
    """A value with a normal 95 % interval, if there are enough events of some spread."""
    if effective < LEAST_FOR_INTERVAL or not se > 0:
        return ValueEstimate(value, se, None, None)
    return ValueEstimate(value, se, value - Z95 * se, value + Z95 * se)
