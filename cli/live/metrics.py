"""`--metrics`: a Prometheus endpoint for a live run, by prometheus-client.

The run only counts; a scrape reads the counts. See also: status.py for the counting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from ...posteriors.errors import UsageError
from ...streams.inputs.addresses import parse_address, resolve_address
from .status import BOUNDS, Watch, behind_of, clients_of, keyed_streams_of, lag_of

if TYPE_CHECKING:
    from prometheus_client.core import CollectorRegistry


@contextmanager
def serve_metrics(
    address: str | None, remote: bool, tell: Callable[[str], None]
) -> Iterator[Callable[[Watch], None]]:
    """Serve metrics over HTTP while the block runs.

    address: `tcp:HOST:PORT`, None to serve nothing.
    remote: whether an address that other machines can reach is allowed.
    tell: prints a line.
    Returns: a context manager that gives `expose(watch)`.
    Raises: UsageError if the address cannot be used or prometheus-client is missing.
    """
    if address is None:
        yield lambda watch: None
        return
    server, thread, registry = _started(address, remote)
    tell(f"metrics at http://{server.server_name}:{server.server_port}/metrics")
    try:
        # It has the methods of a collector; inheriting from one would need the extra.
        yield lambda watch: registry.register(Figures(watch))  # type: ignore[arg-type]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _started(address: str, remote: bool) -> tuple[Any, Any, CollectorRegistry]:
    """Start the server; return it with its thread and its registry of metrics."""
    try:
        from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
    except ImportError as error:
        raise UsageError(
            "--metrics needs prometheus-client: pip install 'uncertain[metrics]'"
        ) from error
    wanted = parse_address(address)
    if wanted.path:
        raise UsageError(f"{address}: --metrics is asked for over HTTP; write tcp:127.0.0.1:9090")
    try:
        host = resolve_address(address, wanted, remote)[1][0]
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        server, thread = start_http_server(wanted.port, host, registry)
    except OSError as error:
        why = error.strerror or str(error)
        raise UsageError(f"{address}: cannot listen there ({why}); choose another port") from error
    return server, thread, registry


class Figures:
    """A Prometheus collector over the counts of a run."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch

    def collect(self) -> Iterator[Any]:
        """Yield every metric with its present value."""
        from prometheus_client.core import (
            CounterMetricFamily,
            GaugeMetricFamily,
            HistogramMetricFamily,
        )

        watch, tally, waiting = self.watch, self.watch.server.counters, self.watch.server.pending
        for name, text, count in (
            ("answered", "Lines answered, refused ones included", watch.lines),
            ("decisions", "Requests decided", tally.decided),
            ("learnt", "Events learnt", tally.learnt),
            ("unmatched", "Observations of an id that was not waiting", tally.unmatched),
            ("withdrawn", "Decisions withdrawn, nothing learnt from them", tally.withdrawn),
            ("dropped", "Decisions dropped unanswered, beyond --horizon", waiting.dropped),
            ("unhealthy", "Updates rejected, or refused as not finite", tally.unhealthy),
            ("late", "Answers after their deadline", tally.late),
        ):
            yield CounterMetricFamily(f"uncertain_{name}", text, count)
        # Copied in one go: the run goes on counting meanwhile.
        reasons = dict(watch.refusals.reasons)
        family = CounterMetricFamily("uncertain_refused", "Lines refused", labels=["reason"])
        for reason, count in sorted(reasons.items()):
            family.add_metric([reason], count)
        yield family
        for name, timing in watch.stages.items():
            counts = accumulate(list(timing.bins))
            ends = [*(f"{bound:.6g}" for bound in BOUNDS), "+Inf"]
            yield HistogramMetricFamily(
                f"uncertain_{name}_seconds", f"Latency of {name}, the compiled call alone",
                list(zip(ends, counts, strict=True)), timing.total,
            )  # fmt: skip
        alarm = watch.alarm or {}
        yield GaugeMetricFamily("uncertain_waiting", "Decisions without observation", len(waiting))
        for name, text, value in (
            ("gain_nats", "Information gained so far", watch.gain if watch.informed else None),
            ("evidence_nats", "Evidence against the model, log e-value", alarm.get("log_e")),
            ("evidence_highest_nats", "The most it has been", alarm.get("highest")),
            ("change_nats", "Evidence of a change of late, log sum", alarm.get("change")),
            ("within_50", "Share of observations in 50 % intervals", alarm.get("within_50")),
            ("within_90", "Share of observations in 90 % intervals", alarm.get("within_90")),
            ("clients", "Clients connected", clients_of(watch.source)),
            ("unread_bytes", "Bytes of the input not yet read", behind_of(watch.source)),
            ("unread_entries", "Entries of the stream not yet read", lag_of(watch.source)),
        ):
            if value is not None:
                yield GaugeMetricFamily(f"uncertain_{name}", text, value)
        if (many := keyed_streams_of(watch.server)) is not None:
            counts = many.counts
            for name, text, value in (
                ("streams", "Streams that there are", counts.known),
                ("streams_in_memory", "Streams in memory", len(many.memory)),
            ):
                yield GaugeMetricFamily(f"uncertain_{name}", text, value)
            for name, text, value in (
                ("streams_spilled", "Times that a stream left memory", counts.spilled),
                ("streams_loaded", "Times that a stream came back", counts.loaded),
            ):
                yield CounterMetricFamily(f"uncertain_{name}", text, value)


__all__ = ["serve_metrics"]
