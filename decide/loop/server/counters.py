"""Counters and recent latencies of a server.

See also: cli/live/summary.py and cli/live/status.py for their reports.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

RECENT_LATENCIES = 100_000
"""Latencies kept for the summary; bounded, because a stream may be endless."""


@dataclass
class Counters:
    """Counts, and the most recent latencies.

    decided: requests decided.
    learnt: events learnt.
    unmatched: observations whose id was not pending.
    withdrawn: decisions taken back before any observation.
    unhealthy: events not learnt because the belief would not be finite, and rejected updates.
    late: replies after their deadline.
    cheaper: decisions on a cheaper rung than the first.
    decide, learn: latencies, nanoseconds.
    """

    decided: int = 0
    learnt: int = 0
    unmatched: int = 0
    withdrawn: int = 0
    unhealthy: int = 0
    late: int = 0
    cheaper: int = 0
    decide: deque[int] = field(default_factory=lambda: deque(maxlen=RECENT_LATENCIES))
    learn: deque[int] = field(default_factory=lambda: deque(maxlen=RECENT_LATENCIES))

    def add_learnt(self, times: list[int], unhealthy: int) -> None:
        """Count events that were learnt.

        times: nanoseconds that each took.
        unhealthy: how many of the updates were not healthy.
        """
        self.learnt += len(times)
        self.unhealthy += unhealthy
        self.learn.extend(times)
