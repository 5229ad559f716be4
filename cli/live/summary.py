"""Counts and latencies that `uncertain run` prints at its end.

See also: decide/loop/server/counters.py for the counting, status.py for lines meanwhile.
"""

from __future__ import annotations

from ...decide.loop.server.counters import Counters
from ...decide.loop.server.keyed_streams import PendingTotals
from ...decide.loop.server.pending import PendingDecisions
from ...posteriors.units import US_PER_NS


def format_counters(tally: Counters, waiting: PendingDecisions | PendingTotals) -> list[str]:
    """Format the counters of a run, one line each; counts of 0 are left out.

    tally: counters of the server.
    waiting: decisions that wait for an observation.
    """
    lines = [f"{tally.decided} decisions, {tally.learnt} events learnt"]
    for name, taken in (("decide", tally.decide), ("learn", tally.learn)):
        if taken:
            ordered = sorted(taken)
            middle, high = (ordered[int(q * (len(ordered) - 1))] for q in (0.5, 0.99))
            lines[0] += f"; {name} p50 {middle * US_PER_NS:,.0f} µs, p99 {high * US_PER_NS:,.0f} µs"
    for count, text in (
        (tally.unmatched, "observations of an id that was not waiting: not learnt"),
        (tally.withdrawn, "decisions withdrawn: nothing learnt from them"),
        (waiting.dropped, "decisions dropped unanswered: beyond --horizon"),
        (len(waiting), "decisions still without an observation"),
        (tally.late, "answers after their deadline"),
        (tally.cheaper, "decisions with fewer draws or candidates, to be in time"),
        (tally.unhealthy, "updates not healthy (rejected, or the belief would not be finite)"),
    ):
        if count:
            lines.append(f"{count} {text}")
    return lines
