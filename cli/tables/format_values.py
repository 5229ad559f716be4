"""Values of result records as short texts, for tables and charts.

Seconds and nats come in; here they become readable. "–" stands for a value that was not measured.

See also: columns.py for the columns of tables.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...decide.judge.measures.experiment import Cell
from ...decide.judge.records.record import (
    JointPrediction,
    Mean,
    Quantiles,
    Record,
    Regret,
)
from ...posteriors.units import MICROSECOND, MILLISECOND

Records = list[Record]
"""Result records of cells."""
RANDOM = "(random)"
"""Name of random actions, in tables and charts."""


def field_of(row: Any, name: str) -> Any:
    """Return a part of a record, None where it or what it is part of is None.

    row: record of a cell, or a part of one.
    name: dotted field, such as `gain.lower.mean`.
    """
    for part in name.split("."):
        row = None if row is None else getattr(row, part)
    return row


def text_or_dash(write: Callable[[], str]) -> str:
    """Return a text, or a dash if a number in it is missing or NaN.

    write: makes the text; it raises TypeError if a number is missing.
    """
    try:
        text = write()
    except TypeError:
        return "–"
    return "–" if "nan" in text else text


def format_duration(seconds: float | None) -> str:
    """Return a duration as `12 µs`, `1.3 ms` or `2.1 s`.

    seconds: duration; None for none.
    """
    if seconds is None:
        return "–"
    for unit, scale in (("s", 1.0), ("ms", MILLISECOND)):
        if seconds >= scale:
            value = seconds / scale
            return f"{value:.3g} {unit}" if value < 1000 else f"{value:.0f} {unit}"
    return f"{seconds / MICROSECOND:.0f} µs"


def format_latencies(found: Quantiles | None) -> str:
    """Return p50, p95 and p99 of one latency, in milliseconds.

    found: the latency in seconds; None for none.
    """
    if found is None:
        return "–"
    return " ".join(
        f"{seconds / MILLISECOND:.{_precision(seconds)}f}"
        for seconds in (found.p50, found.p95, found.p99)
    )


def _precision(seconds: float) -> int:
    """Return how many digits of the milliseconds follow the point."""
    return 2 if seconds < 1e-2 else 1


def format_mean(found: Mean | None, digits: int = 2) -> str:
    """Return a mean with its standard error.

    found: the mean; None for none.
    digits: digits after the point.
    """
    if found is None:
        return "–"
    return f"{found.mean:.{digits}f} ±{found.se:.{digits}f}"


def format_refine(row: Record | Cell) -> str:
    """Return k, the refine steps an event, and after a plus those between events.

    row: a cell, or its record.
    """
    return str(row.refine) + (f"+{row.think}" if row.think else "")


def format_in_full(row: Record) -> str:
    """Return the percentage of decisions that used all draws and candidates.

    row: record of a cell.
    """
    if not row.rungs:
        return "–"
    return f"{100 * sum(rung.share for rung in row.rungs if rung.number == 0):.3g}"


def format_gain(row: Record, digits: int) -> str:
    """Return the exact gain in nats, or its lower and upper bound.

    row: record of a cell.
    digits: digits after the point.
    """
    gain = row.gain
    if gain is None:
        return "–"
    if gain.exact:
        return format_mean(gain.exact, digits)
    low, high = gain.lower, gain.upper
    bracket = f"{low.mean:.{digits}f}–{high.mean:.{digits}f}"
    return f"{bracket} ±{low.se:.{digits}f}"


def format_spce(row: Record) -> str:
    """Return sPCE, a lower bound of the gain, and the largest value it can have.

    row: record of a cell.
    """
    gain = row.gain
    if not gain or not gain.spce:
        return "–"
    return f"{format_mean(gain.spce)} ≤ {gain.cap:.2f}"


def format_total(found: Mean | Regret | None) -> str:
    """Return a total of rewards with as many digits as its standard error allows.

    found: the total in units of reward; None for none.
    """
    if found is None:
        return "–"
    digits = 0 if found.se >= 1 or abs(found.mean) >= 1e4 else 1
    return f"{found.mean:,.{digits}f} ±{found.se:,.{digits}f}"


def format_regret(row: Record, digits: int) -> str:
    """Return the regret in percent of that of uniform choice.

    row: record of a cell.
    digits: digits after the point.
    """
    found = row.regret
    if found is None:
        return "–"
    share, se = f"{found.percent_of_uniform:.{digits}f}", found.percent_se
    return share if se is None else f"{share} ±{se:.{digits}f}"


def joint_predictions(row: Record) -> list[JointPrediction]:
    """Return the scores of joint predictions, one for each number tau of observations.

    row: record of a cell.
    """
    found = row.joint
    return found if isinstance(found, list) else [found] if found else []


def format_joint_kl(row: Record, tau: int) -> str:
    """Return the divergence KL, in nats, of a joint prediction.

    row: record of a cell.
    tau: number of observations predicted jointly.
    """
    score = next((score for score in joint_predictions(row) if score.tau == tau), None)
    return "–" if score is None else f"{score.kl:.2f} ±{score.se:.2f}"


def format_optimism(row: Record) -> str:
    """Return the gain promised by the belief less the gain realised, in nats a decision.

    row: record of a cell.
    """
    found = row.calibration
    return "–" if found is None else f"{-found.bias:+.2f} ±{found.se:.2f}"


def format_alarm(row: Record) -> str:
    """Return the percentage of runs with an alarm, and the median event of the alarm.

    row: record of a cell.
    """
    found = row.alarm
    if found is None:
        return "–"
    delay = f" {found.delay:.0f}" if found.share else ""
    return f"{100 * found.share:.3g}{delay}"
