"""How a live run is doing: a line on standard error every so often, and the figures behind it.

Not here: the Prometheus endpoint (metrics.py), or the counts at the end (run.py).
"""

from __future__ import annotations

import math
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .many import said

if TYPE_CHECKING:
    from ..decide.loop.many import Many
    from ..decide.loop.serve import Server
    from ..streams.arriving import Input
    from ..streams.refused import Refusals

RECENT = 4096
"""Latencies behind the percentiles of a line: sorting more would hold up the next decision."""
BOUNDS = (*(m * 10.0**e for e in range(-5, 0) for m in (1, 2, 5)), 1.0)
"""Seconds, upper ends of the bins that latencies are counted in."""
STAGES = ("decide", "learn")
MICROSECONDS = 1e6
"""In one second."""


class Timing:
    """Latencies of one kind of call: counted for good, and the last ones since `restart`."""

    def __init__(self) -> None:
        self.bins = [0] * (len(BOUNDS) + 1)
        self.total = 0.0
        self.recent: deque[float] = deque(maxlen=RECENT)

    def add(self, seconds: float) -> None:
        """Count one."""
        self.bins[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds
        self.recent.append(seconds)

    def restart(self) -> str:
        """`p50 3 µs p99 5 µs` since the last time, empty where there was none."""
        if not self.recent:
            return ""
        ordered = sorted(self.recent)
        self.recent.clear()
        middle, high = (ordered[int(q * (len(ordered) - 1))] for q in (0.5, 0.99))
        return f"p50 {middle * MICROSECONDS:,.0f} µs p99 {high * MICROSECONDS:,.0f} µs"


class Watch:
    """Sees every reply of a run, and says how it goes `every` so many seconds (None: never).

    tell: says a line to the person. clock: seconds.
    """

    def __init__(
        self,
        server: Server,
        source: Input,
        refusals: Refusals,
        every: float | None,
        tell: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.server, self.source, self.refusals = server, source, refusals
        self.every, self._tell, self._clock = every, tell, clock
        self.lines, self.gain, self.informed = 0, 0.0, False
        self.alarm: dict[str, Any] | None = None
        self.stages = {name: Timing() for name in STAGES}
        self._begun = self._last = clock()
        self._due = math.inf if every is None else self._last + every
        self._before = (0, 0.0)

    def saw(self, reply: dict[str, Any]) -> None:
        """Take note of a reply, refusals included."""
        self.lines += 1
        latency = reply.get("latency")
        if latency is None:
            return
        for name, seconds in latency.items():
            if seconds is not None and name in self.stages:
                self.stages[name].add(seconds)
        self.alarm = reply.get("alarm") or self.alarm
        gain = reply.get("realised_gain")
        if gain is not None and math.isfinite(gain):
            self.gain += gain
            self.informed = True

    def pause(self) -> float | None:
        """Say how it goes if that is due; seconds until it is again."""
        if self.every is None:
            return None
        now = self._clock()
        if now >= self._due:
            self._tell(self.line(now))
            # After a stall the next line is a whole interval away, not a heap of late ones.
            self._due += self.every * (1 + (now - self._due) // self.every)
        return max(self._due - now, 0.0)

    def line(self, now: float) -> str:
        """How it went since the last line."""
        since = max(now - self._last, 1e-9)
        lines, gain = self.lines - self._before[0], self.gain - self._before[1]
        self._last, self._before = now, (self.lines, self.gain)
        parts = [f"{now - self._begun:,.0f} s: {lines / since:,.1f} lines/s"]
        for name, timing in self.stages.items():
            if shown := timing.restart():
                parts.append(f"{name} {shown}")
        if self.informed:
            parts.append(f"gain {gain / since:,.3g} nats/s")
        if self.alarm is not None:
            parts.append(doubted(self.alarm))
        parts.append(f"{len(self.server.waiting)} waiting")
        parts.append(refused(self.refusals))
        tally = self.server.tally
        for count, what in (
            (tally.late, "late"),
            (tally.unmatched, "unmatched"),
            (self.server.waiting.dropped, "dropped"),
            (tally.unhealthy, "not healthy"),
        ):
            if count:
                parts.append(f"{count:,} {what}")
        if (many := many_of(self.server)) is not None:
            parts.append(said(many))
        if (clients := clients_of(self.source)) is not None:
            parts.append(f"{clients} clients")
        if behind := behind_of(self.source):
            parts.append(f"{behind:,} bytes behind")
        if lag := lag_of(self.source):
            parts.append(f"{lag:,} entries not yet read")
        return ", ".join(parts)


def doubted(alarm: dict[str, Any]) -> str:
    """`evidence against the model e^-2.1 (highest e^0.3), 90 % intervals held 89 %`."""
    return (
        f"evidence against the model e^{alarm['log_e']:.1f} (highest e^{alarm['highest']:.1f}), "
        f"90 % intervals held {alarm['within_90']:.0%}"
    )


def refused(refusals: Refusals) -> str:
    """`3 refused (2 not JSON, 1 too long)`."""
    from ..streams.refused import by_reason

    total = refusals.reasons.total()
    return f"{total:,} refused" + (f" ({by_reason(refusals.reasons)})" if total else "")


def many_of(server: Any) -> Many | None:
    """Streams of a server that has many."""
    return getattr(server, "many", None)


def clients_of(source: Input) -> int | None:
    """Clients of an input that has them."""
    return getattr(source, "clients", None)


def behind_of(source: Input) -> int | None:
    """Bytes of an input that are there and not yet read, where that can be known."""
    behind = getattr(source, "behind", None)
    return None if behind is None else behind()


def lag_of(source: Input) -> int | None:
    """Entries of a stream that nobody was given, where that can be known."""
    lag = getattr(source, "lag", None)
    return None if lag is None else lag()


__all__ = ["BOUNDS", "Timing", "Watch", "behind_of", "clients_of", "lag_of", "many_of"]
