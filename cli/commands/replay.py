"""Options and help of `uncertain replay`.

See also: ../jobs/replay.py for its job.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..app import command
from ..options import HalfLife, argument, option
from . import shared

MEASURE = "Measurement"


@command(
    "jobs.replay:replay",
    short="Learn from logs without acting.",
    examples=(
        "uncertain replay log.ndjson --posterior point,laplace",
        "uncertain replay all.csv.gz --model logistic --rule thompson",
        "uncertain replay table.csv --label y --export-json rows.ndjson",
        "uncertain replay log.ndjson --posterior laplace,point --half-life inf,10m",
        "uncertain replay log.ndjson --posterior laplace,smc,point --orders 8",
        "uncertain replay log.ndjson --rule thompson --export-scores scores.ndjson",
    ),
)
@dataclass(frozen=True, kw_only=True)
class ReplayOptions:
    """Learn from logs without acting: log loss, information, the value of a rule, latency.

    One row for each log and posterior. --rule is evaluated off policy: the value of its decisions,
    and whether the log can tell.
    """

    files: tuple[str, ...] = argument(metavar="FILES...", help="Logs; - is standard input.")
    model: str = shared.model("linear")
    posterior: str = shared.posteriors("laplace", read=str, repeat=True)
    rule: str | None = shared.rule(help=f"Decision rule to evaluate off policy: {shared.SPEC}.")
    explore: float = shared.explore(0.0)
    refine: int | None = shared.refine()
    particles: int | None = shared.particles()
    format: str | None = shared.log_format()
    label: str | None = shared.label()
    candidates: int = shared.candidates(
        0, "Largest number of candidates of an event; 0 reads it off the log.", 0
    )
    latency: int = option(
        200, help="Events learnt live, to measure latency.", least=0, metavar="N", group=MEASURE
    )
    seed: int = shared.seed()
    export_json: str | None = shared.export_json("Write the rows as NDJSON.")
    export_scores: str | None = option(
        None, help="Write the scores of each event as NDJSON.", metavar="FILE", group=shared.OUTPUT
    )
    half_life: tuple[HalfLife, ...] = shared.half_lives()
    orders: int = option(
        0, help="Also learn the first 10 000 events in K random orders and compare the beliefs.",
        least=0, metavar="K", group=MEASURE,
    )  # fmt: skip
