"""Rows of a replay as records for files and as a table for terminals.

See also: ../jobs/replay.py for the replay.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import numpy as np
from rich.table import Table as Grid

from ...decide.judge.measures.prequential import Report
from ...decide.loop.core.chunks import TAU
from ...posteriors.units import MICROSECOND


def report_fields(report: Report) -> dict[str, Any]:
    """Return the scores of a replay as plain fields, in nats and units of reward.

    report: scores of one log.
    """

    def plain(measure: Any) -> dict[str, Any] | None:
        return {"mean": measure.mean, "se": measure.se} if measure and measure.n else None

    value = report.value
    judged = None
    if value is not None:
        judged = {
            name: None if estimate is None else estimate._asdict()
            for name, estimate in (
                ("ips", value.ips), ("snips", value.snips), ("dr", value.dr),
                ("logged", value.logged), ("weight", value.weight),
            )
        }  # fmt: skip
        judged |= {"ess": value.ess, "heaviest": value.heaviest, **value.verdict._asdict()}
    return {
        "events": report.events,
        "nll": plain(report.nll),
        "accuracy": plain(report.accuracy),
        "joint": {"tau": TAU, "nll": plain(report.joint), "dyadic": plain(report.dyadic)},
        "gain": {"total": report.total_gain, **(plain(report.gain) or {})},
        "reward": plain(report.reward),
        "work": report.work,
        "failures": report.failures,
        "alarm": report.doubt._asdict() if report.doubt else None,
        "value": judged,
    }


def latency_percentiles(times: Any) -> dict[str, float]:
    """Return p50, p95, p99, maximum and number of latencies.

    times: seconds of each call.
    """
    middle, high, higher = np.percentile(times, [50, 95, 99])
    return {
        "p50": float(middle), "p95": float(high), "p99": float(higher),
        "max": float(np.max(times)), "n": len(times),
    }  # fmt: skip


def replay_versions() -> dict[str, str]:
    """Return the versions of Python and the packages that compute the scores."""
    names = ("uncertain", "jax", "numpy", "numpyro")
    return {"python": sys.version.split()[0], **{name: version(name) for name in names}}


def replay_table(rows: list[dict[str, Any]]) -> Grid:
    """Return a table for a terminal: log losses in nats, latency in microseconds.

    rows: records of `uncertain replay`.
    """
    grid = Grid(box=None, pad_edge=False)
    for name in ("log", "model", "posterior", "k", "events"):
        grid.add_column(name, overflow="fold")
    ordered = any(row["order"] for row in rows)
    for name in (
        "log loss", "accuracy", f"joint ({rows[0]['joint']['tau']})", "dyadic", "gain nats",
        "alarm", "learn p50", "p99", "events/s", *(["order"] if ordered else []),
    ):  # fmt: skip
        grid.add_column(name, justify="right")
    for row in rows:
        joint, learn = row["joint"], row["learn"]
        grid.add_row(
            row["log"], row["model"].partition(":")[0], row["posterior"], str(row["refine"]),
            str(row["events"]), _number(row["nll"], 4), _number(row["accuracy"], 4),
            _number(joint["nll"], 3), _number(joint["dyadic"], 3), f"{row['gain']['total']:.1f}",
            _alarmed(row["alarm"]),
            _micro(learn, "p50"), _micro(learn, "p99"), f"{row['events'] / row['seconds']:,.0f}",
            *([_apart(row["order"])] if ordered else []),
        )  # fmt: skip
    return grid


def _number(measure: dict[str, Any] | None, digits: int) -> str:
    """Return a mean, or a dash for a missing one."""
    return "-" if measure is None else f"{measure['mean']:.{digits}f}"


def _apart(order: dict[str, Any] | None) -> str:
    """Return the distance between beliefs learnt in other orders, in nats, or a dash."""
    return "-" if order is None else f"{order['spread']:.1g}"


def _alarmed(found: dict[str, Any] | None) -> str:
    """Return the event of the alarm, or `no` without an alarm."""
    if found is None:
        return "-"
    return "no" if found["at"] is None else f"at {found['at']:,}"


def _micro(learn: dict[str, float] | None, name: str) -> str:
    """Return a latency in microseconds."""
    return "-" if learn is None else f"{learn[name] / MICROSECOND:,.0f} µs"


def list_replay_remarks(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Yield alarms, values of the judged rule, effects of order, left-out lines and failures.

    rows: records of `uncertain replay`.
    """
    for row in rows:
        name = f"{row['log']} {row['posterior']}"
        if (found := row["alarm"]) and found["at"] is not None:
            half, most = found["within"]
            yield (
                f"{name}: model or posterior wrong from event {found['at']} on, evidence "
                f"e^{found['highest']:.1f}"
                + (f" ({found['leading']})" if found["leading"] else "")
                + f"; 50 % intervals held {half:.0%}, 90 % intervals {most:.0%}"
            )
        if value := row["value"]:
            logged = value["logged"]["value"]
            yield f"{name}: a decision of rule {row['rule']} is worth (95 %; logged {logged:.5f})"
            for estimate in ("ips", "snips", "dr"):
                if found := value[estimate]:
                    inside = (
                        "no interval: too few events, or all alike"
                        if found["low"] is None
                        else f"[{found['low']:.5f}, {found['high']:.5f}]"
                    )
                    yield f"  {estimate:5} {found['value']:.5f}  {inside}"
            yield f"  {'believe it' if value['believe'] else 'do not believe it'}: {value['why']}"
        if order := row["order"]:
            late = order["late"]
            yield (
                f"{name}: {order['orders']} other orders of {order['events']} events give "
                f"predictions that lie {order['spread']:.2g} nats apart, other seeds "
                f"{order['chance']:.2g}"
                + ("" if late is None else f"; the order of their times {late:.2g}")
            )
        for reason, count in row["left_out"].items():
            yield f"{name}: left out {count} {reason}"
        if row["failures"]:
            yield (
                f"{name}: {row['failures']} updates were not healthy (rejected, or not learnt "
                "because the belief would not be finite)"
            )
