"""`--status`: counts and latencies of a live run, printed at intervals.

See also: metrics.py for the Prometheus endpoint, summary.py for the counts at the end.
"""

from __future__ import annotations

import math
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from typing import Any

from ...decide.loop.server.keyed_streams import KeyedStreams
from ...decide.loop.server.server import Server
from ...posteriors.units import US_PER_S
from ...streams.inputs.base import Input
from ...streams.inputs.rejected import RejectedLines, format_reasons
from .keyed import format_streams

RECENT = 4096
"""Latencies behind the percentiles of a line; sorting more would delay the next decision."""
BOUNDS = (*(m * 10.0**e for e in range(-5, 0) for m in (1, 2, 5)), 1.0)
"""Upper ends of the histogram's bins, seconds."""
STAGES = ("decide", "learn")


class Timing:
    """Latencies of one kind of call: a histogram, and the recent ones since `restart`."""

    def __init__(self) -> None:
        self.bins = [0] * (len(BOUNDS) + 1)
        self.total = 0.0
        self.recent: deque[float] = deque(maxlen=RECENT)

    def add(self, seconds: float) -> None:
        """Count one latency.

        seconds: host time of the call.
        """
        self.bins[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds
        self.recent.append(seconds)

    def restart(self) -> str:
        """Format recent latencies as `p50 3 µs p99 5 µs` and forget them; "" if there are none."""
        if not self.recent:
            return ""
        ordered = sorted(self.recent)
        self.recent.clear()
        middle, high = (ordered[int(q * (len(ordered) - 1))] for q in (0.5, 0.99))
        return f"p50 {middle * US_PER_S:,.0f} µs p99 {high * US_PER_S:,.0f} µs"


class Watch:
    """Counts the replies of a run and prints a status line at intervals.

    server: the server whose counters are shown.
    source: the input, for clients and backlog.
    refusals: counts of refused lines.
    every: seconds between status lines, None for no lines.
    tell: prints a line.
    clock: seconds.
    """

    def __init__(
        self,
        server: Server,
        source: Input,
        refusals: RejectedLines,
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

    def count_reply(self, reply: dict[str, Any]) -> None:
        """Count a reply, also that to a refused line.

        reply: fields as sent to the client.
        """
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
        """Print a status line if one is due; return the seconds until the next one."""
        if self.every is None:
            return None
        now = self._clock()
        if now >= self._due:
            self._tell(self.line(now))
            # After a stall the next line is a whole interval away, not a heap of late ones.
            self._due += self.every * (1 + (now - self._due) // self.every)
        return max(self._due - now, 0.0)

    def line(self, now: float) -> str:
        """Format counts since the last status line.

        now: seconds by `clock`.
        """
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
            parts.append(_format_evidence(self.alarm))
        parts.append(f"{len(self.server.pending)} waiting")
        parts.append(_format_refused(self.refusals))
        tally = self.server.counters
        for count, text in (
            (tally.late, "late"),
            (tally.unmatched, "unmatched"),
            (tally.withdrawn, "withdrawn"),
            (self.server.pending.dropped, "dropped"),
            (tally.unhealthy, "not healthy"),
        ):
            if count:
                parts.append(f"{count:,} {text}")
        if (many := keyed_streams_of(self.server)) is not None:
            parts.append(format_streams(many))
        if (clients := clients_of(self.source)) is not None:
            parts.append(f"{clients} clients")
        if behind := behind_of(self.source):
            parts.append(f"{behind:,} bytes behind")
        if lag := lag_of(self.source):
            parts.append(f"{lag:,} entries not yet read")
        return ", ".join(parts)


def _format_evidence(alarm: dict[str, Any]) -> str:
    """Format the evidence against the model and the coverage of its intervals."""
    return (
        f"evidence against the model e^{alarm['log_e']:.1f} (highest e^{alarm['highest']:.1f}), "
        f"90 % intervals held {alarm['within_90']:.0%}"
    )


def _format_refused(refusals: RejectedLines) -> str:
    """Format counts as `3 refused (2 not JSON, 1 too long)`."""
    total = refusals.reasons.total()
    return f"{total:,} refused" + (f" ({format_reasons(refusals.reasons)})" if total else "")


def keyed_streams_of(server: Any) -> KeyedStreams | None:
    """Return the keyed streams of a server, None without `--key-by`.

    server: the live server.
    """
    return getattr(server, "keyed", None)


def clients_of(source: Input) -> int | None:
    """Return the number of connected clients, None for an input without clients.

    source: the input.
    """
    return getattr(source, "clients", None)


def behind_of(source: Input) -> int | None:
    """Return the bytes that wait to be read, None if unknown.

    source: the input.
    """
    behind = getattr(source, "behind", None)
    return None if behind is None else behind()


def lag_of(source: Input) -> int | None:
    """Return the stream entries that wait to be delivered, None if unknown.

    source: the input.
    """
    lag = getattr(source, "lag", None)
    return None if lag is None else lag()


__all__ = ["BOUNDS", "Timing", "Watch", "behind_of", "clients_of", "keyed_streams_of", "lag_of"]
