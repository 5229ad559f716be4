"""Which records are on the frontier, and which have no place there whatever they gain.

See also: record.py for the fields.
"""

from __future__ import annotations

import math

from .record import NaN, Record, is_baseline

UNMOVED = 0.25
"""Share of events that a belief may leave out, at most, on the frontier."""


def why_struck(row: Record) -> str | None:
    """Say why a record has no place on the frontier; None if it has one like any other.

    row: the record.
    """
    if row.apart is not None and row.apart.step is not None:
        return (
            f"live runs part from the judged ones after {row.apart.step} events, in "
            f"{100 * row.apart.share:.0f} % of {row.apart.compared} steps, by more than rounding: "
            "its gain is not that of the calls that were timed"
        )
    if row.unmoved is not None and row.unmoved >= UNMOVED and not is_baseline(row):
        return f"{100 * row.unmoved:.0f} % of the events leave its belief as it was: not learnt"
    return None


def mark_frontier(records: list[Record]) -> None:
    """Set `frontier` of the records that no other record of the same world and length dominates.

    The time compared is decide + learn at p99; the value is that of `worth`. A record that
    `why_struck` finds is not on the frontier and dominates no other.

    records: changed in place.
    """
    points = []
    for index, row in enumerate(records):
        row.frontier, value = False, worth(row)
        if value is not None and row.total and why_struck(row) is None:
            kind = row.world, row.steps, bool(row.gain)
            points.append((index, kind, row.total.p99, value))
    for index, kind, time, value in points:
        records[index].frontier = not any(
            k == kind and t <= time and v >= value and (t < time or v > value)
            for _, k, t, v in points
        )


def worth(row: Record) -> float | None:
    """Return the value by which records are compared, where more is better.

    row: a record.
    Returns: gain above random in nats, or minus the regret if no gain was measured; None if
        neither was, or it is not a number.
    """
    if row.gain:
        above = row.gain.above_random
        value = above.mean if above else NaN
    else:
        value = -row.regret.mean if row.regret else NaN
    return None if math.isnan(value) else value
