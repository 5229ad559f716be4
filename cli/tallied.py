"""What `uncertain run` did, in a few lines for a person.

Not here: counting (decide/loop/tally.py), or how it goes meanwhile (watching.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..decide.loop.many import Waits
    from ..decide.loop.tally import Tally
    from ..decide.loop.waiting import Waiting

MICROSECONDS = 1e-3
"""In one nanosecond."""


def summary(tally: Tally, waiting: Waiting | Waits) -> list[str]:
    """What was done, for a person: counts, and latency in microseconds."""
    lines = [f"{tally.decided} decisions, {tally.learnt} events learnt"]
    for name, taken in (("decide", tally.decide), ("learn", tally.learn)):
        if taken:
            ordered = sorted(taken)
            middle, high = (ordered[int(q * (len(ordered) - 1))] for q in (0.5, 0.99))
            lines[0] += (
                f"; {name} p50 {middle * MICROSECONDS:,.0f} µs, p99 {high * MICROSECONDS:,.0f} µs"
            )
    for count, what in (
        (tally.unmatched, "observations of an id that was not waiting: not learnt"),
        (waiting.dropped, "decisions dropped unanswered: beyond --horizon"),
        (len(waiting), "decisions still without an observation"),
        (tally.late, "answers after their deadline"),
        (tally.cheaper, "decisions with fewer draws or candidates, to be in time"),
        (tally.unhealthy, "updates not healthy (not finite or rejected)"),
    ):
        if count:
            lines.append(f"{count} {what}")
    return lines
