"""`replay` on the command line: its options and help.

Not here: its body (replay.py).
"""

from __future__ import annotations

from typing import Annotated

import typer

from . import options as o
from .app import Job, app, bound, examples


@app.command(
    short_help="Learn along logs without acting.",
    epilog=examples(
        "uncertain replay log.ndjson --posterior point,laplace",
        "uncertain replay all.csv.gz --model logistic --rule thompson --export-json rows.ndjson",
        "uncertain replay table.csv --label y --model logistic",
        "uncertain replay log.ndjson --posterior laplace,point --half-life inf,600s",
        "uncertain replay log.ndjson --posterior laplace,smc,point --orders 8",
    ),
)
def replay(
    context: typer.Context,
    files: Annotated[list[str], typer.Argument(metavar="FILES", help="Logs; - is stdin.")],
    model: o.Model = "linear",
    posterior: o.Posteriors = None,
    rule: o.Rule = None,
    explore: o.Explore = 0.0,
    refine: o.Refine = None,
    particles: o.Particles = None,
    format: o.Format = None,
    label: o.Label = None,
    candidates: Annotated[
        int,
        typer.Option("--candidates", min=0, metavar="N", help="Most candidates of one event."),
    ] = 0,
    latency: Annotated[
        int, typer.Option("--latency", min=0, metavar="N", help="Events learnt live, to time it.")
    ] = 200,
    half_life: o.HalfLifeGrid = None,
    orders: Annotated[
        int,
        typer.Option(
            "--orders",
            min=0,
            metavar="K",
            help="Also learn the first 10 000 events in K random orders: do beliefs differ?",
        ),
    ] = 0,
    export_json: Annotated[
        str | None,
        typer.Option("--export-json", metavar="FILE", help="One NDJSON row a log and posterior."),
    ] = None,
    seed: o.Seed = 0,
    no_cache: o.NoCache = False,
    debug: o.Debug = False,
) -> Job:
    """Learn along logs without acting: log loss, information, the value of a rule, latency.

    One row a log and posterior. --rule is judged off policy: what would its decisions have been
    worth, and is the log able to tell?
    """

    def body() -> int:
        from .replay import Replay, replay

        chosen = Replay(
            tuple(files), str(model), ",".join(posterior or ["laplace"]), rule, explore or 0.0,
            refine, particles, format, label, candidates, latency, seed, export_json,
            o.half_lives(half_life), orders,
        )  # fmt: skip
        return replay(chosen, context.obj)

    return bound(context, debug, no_cache, body)
