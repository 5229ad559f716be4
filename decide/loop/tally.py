"""How much a server has answered and how long that took.

Not here: saying so (cli/tallied.py, cli/watching.py).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

KEPT = 100_000
"""Latencies remembered for the summary: a stream may have no end, memory has."""


@dataclass
class Tally:
    """What was done: counts, and the last latencies in nanoseconds.

    late: answers after their deadline. cheaper: decisions that looked at less than they could.
    """

    decided: int = 0
    learnt: int = 0
    unmatched: int = 0
    unhealthy: int = 0
    late: int = 0
    cheaper: int = 0
    decide: deque[int] = field(default_factory=lambda: deque(maxlen=KEPT))
    learn: deque[int] = field(default_factory=lambda: deque(maxlen=KEPT))
