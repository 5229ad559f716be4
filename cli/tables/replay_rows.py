"""Rows of a replay as a table for terminals, and in words.

See also: ../jobs/replay.py for the replay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from rich.table import Table as Grid

from ...decide.judge.records.record import Mean
from ...decide.judge.records.replay_record import ReplayRecord
from ...posteriors.units import MICROSECOND


def _number(measure: Mean | None, digits: int) -> str:
    """Return a mean, or a dash for a missing one."""
    return "-" if measure is None else f"{measure.mean:.{digits}f}"


def _micro(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds / MICROSECOND:,.0f} µs"


def _alarmed(row: ReplayRecord) -> str:
    """Return the event of the alarm, or `no` without an alarm."""
    if row.alarm is None:
        return "-"
    return "no" if row.alarm.at is None else f"at {row.alarm.at:,}"


NAMES = "log", "model", "posterior", "k", "events"
"""Headings of columns that are flush left."""
COLUMNS: list[tuple[str, Callable[[ReplayRecord], str]]] = [
    ("log", lambda row: row.log),
    ("model", lambda row: row.model.partition(":")[0]),
    ("posterior", lambda row: row.posterior),
    ("k", lambda row: str(row.refine)),
    ("events", lambda row: str(row.events)),
    ("log loss", lambda row: _number(row.nll, 4)),
    ("accuracy", lambda row: _number(row.accuracy, 4)),
    ("joint ({tau})", lambda row: _number(row.joint.nll, 3)),
    ("dyadic", lambda row: _number(row.joint.dyadic, 3)),
    ("gain nats", lambda row: f"{row.gain.total:.1f}"),
    ("alarm", _alarmed),
    ("learn p50", lambda row: _micro(row.learn and row.learn.p50)),
    ("p99", lambda row: _micro(row.learn and row.learn.p99)),
    ("events/s", lambda row: f"{row.events / row.seconds:,.0f}"),
]
"""Heading of each column, and text of a row under it."""
ORDER = ("order", lambda row: "-" if row.order is None else f"{row.order.spread:.1g}")
"""Only where the effect of the order was measured."""


def replay_table(rows: Sequence[ReplayRecord]) -> Grid:
    """Return a table for a terminal: log losses in nats, latency in microseconds.

    rows: records of `uncertain replay`.
    """
    grid = Grid(box=None, pad_edge=False)
    columns = [*COLUMNS, ORDER] if any(row.order for row in rows) else COLUMNS
    for heading, _ in columns:
        if heading in NAMES:
            grid.add_column(heading, overflow="fold")
        else:
            grid.add_column(heading.format(tau=rows[0].joint.tau), justify="right")
    for row in rows:
        grid.add_row(*(text(row) for _, text in columns))
    return grid


def list_replay_remarks(rows: Sequence[ReplayRecord]) -> Iterator[str]:
    """Yield alarms, values of the judged rule, effects of order, left-out lines and failures.

    rows: records of `uncertain replay`.
    """
    for row in rows:
        name = f"{row.log} {row.posterior}"
        if (found := row.alarm) and found.at is not None:
            half, most = found.within
            yield (
                f"{name}: model or posterior wrong from event {found.at} on, evidence "
                f"e^{found.highest:.1f}"
                + (f" ({found.leading})" if found.leading else "")
                + f"; 50 % intervals held {half:.0%}, 90 % intervals {most:.0%}"
            )
        if value := row.value:
            logged = value.logged.value
            yield f"{name}: a decision of rule {row.rule} is worth (95 %; logged {logged:.5f})"
            for kind, found in (("ips", value.ips), ("snips", value.snips), ("dr", value.dr)):
                if found is not None:
                    inside = (
                        "no interval: too few events, or all alike"
                        if found.low is None
                        else f"[{found.low:.5f}, {found.high:.5f}]"
                    )
                    yield f"  {kind:5} {found.value:.5f}  {inside}"
            yield f"  {'believe it' if value.believe else 'do not believe it'}: {value.why}"
        if order := row.order:
            yield (
                f"{name}: {order.orders} other orders of {order.events} events give "
                f"predictions that lie {order.spread:.2g} nats apart, other seeds "
                f"{order.chance:.2g}"
                + ("" if order.late is None else f"; the order of their times {order.late:.2g}")
            )
        for reason, count in row.left_out.items():
            yield f"{name}: left out {count} {reason}"
        if row.failures:
            yield (
                f"{name}: {row.failures} updates were not healthy (rejected, or not learnt "
                "because the belief would not be finite)"
            )
