"""`bench` on the command line: its options and help.

Not here: its body (bench.py).
"""

from __future__ import annotations

from typing import Annotated

import typer

from . import options as o
from .app import Job, app, bound, examples


@app.command(
    short_help="Information gained against latency.",
    epilog=examples(
        "uncertain bench",
        "uncertain bench location --posterior point,smc --particles 8,128 --refine 1,4 --seeds 16",
        "uncertain bench number-game --posterior exact --rule random,eig --export-json -",
        "uncertain bench drifting --model linear:arms=3:features=1 --half-life inf,20s",
        "uncertain bench --max-p99 5ms --min-gain 12",
        "uncertain bench location --posterior auto --deadline 2ms",
        "uncertain bench posteriordb --data posteriordb --posterior hmc,smc --refine 400",
    ),
)
def bench(
    context: typer.Context,
    world: Annotated[
        str | None,
        typer.Argument(metavar="WORLD", help="What is true; a configuration's own unless given."),
    ] = None,
    config: Annotated[
        str | None,
        typer.Option("--config", metavar="FILE|NAME", help="An experiment as TOML; else default."),
    ] = None,
    model: o.Model = None,
    posterior: o.Posteriors = None,
    particles: o.ParticlesGrid = None,
    refine: o.RefineGrid = None,
    think: o.ThinkGrid = None,
    half_life: o.HalfLifeGrid = None,
    rule: o.Rules = None,
    proposer: o.Proposer = None,
    candidates: o.Candidates = None,
    steps: o.Steps = None,
    seeds: o.Seeds = None,
    seed: o.OwnSeed = None,
    explore: o.Explore = None,
    live: o.Live = None,
    spce: o.Spce = None,
    samples: o.Samples = None,
    workers: o.Workers = None,
    fidelity: o.Fidelity = False,
    deadline: o.Deadline = None,
    rate: o.Rate = None,
    frontier: o.Frontier = None,
    joint: o.Joint = None,
    settle: o.Settle = None,
    export_json: Annotated[
        str | None, typer.Option("--export-json", metavar="FILE", help="One NDJSON row a cell.")
    ] = None,
    export_csv: Annotated[
        str | None, typer.Option("--export-csv", metavar="FILE", help="The same as CSV.")
    ] = None,
    export_markdown: Annotated[
        str | None, typer.Option("--export-markdown", metavar="FILE", help="The table, for a page.")
    ] = None,
    max_p99: Annotated[
        str | None,
        typer.Option(
            "--max-p99", metavar="5ms", help="Exit 1 if decide + learn p99 is longer in any cell."
        ),
    ] = None,
    min_gain: Annotated[
        float | None,
        typer.Option("--min-gain", metavar="NATS", help="Exit 1 if a cell gains less."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="FOLDER",
            help="Of a collection of posteriors (WORLD posteriordb or inference_gym).",
        ),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option("--target", metavar="A,B", help="Its posteriors, all unless given."),
    ] = None,
    models: Annotated[
        str | None,
        typer.Option("--models", metavar="FOLDER", help="Of your model files, NAME.py each."),
    ] = None,
    reference: Annotated[
        bool,
        typer.Option("--reference", help="Make reference draws where the collection has none."),
    ] = False,
    max_off: Annotated[
        float | None,
        typer.Option(
            "--max-off", metavar="SD", help="Exit 1 if a mean is further off than this many sd."
        ),
    ] = None,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Show what would run, as TOML, and stop.")
    ] = False,
    no_plot: Annotated[bool, typer.Option("--no-plot", help="No plot of the frontier.")] = False,
    no_cache: o.NoCache = False,
    debug: o.Debug = False,
) -> Job:
    """Measure information gained against latency, one row for each way of tracking uncertainty.

    Without arguments it runs configs/default.toml: location finding. Options replace what a
    configuration says; lists make a grid.

    In the place of a world, posteriordb or inference_gym compares moments of each posterior with
    reference draws or moments, target by target: --seeds runs, --refine steps after the data.
    """
    given = {
        "world": world,
        "config": config,
        "model": model,
        "posterior": o.names(posterior),
        "particles": o.counts("--particles", particles, 1),
        "refine": o.counts("--refine", refine, 0),
        "think": o.counts("--think", think, 0),
        "half_life": o.half_lives(half_life),
        "rule": o.names(rule),
        "proposer": proposer,
        "candidates": candidates,
        "steps": steps,
        "seeds": seeds,
        "seed": seed,
        "explore": explore,
        "live": live,
        "spce": spce,
        "samples": samples,
        "fidelity": fidelity,
        "deadline": o.seconds("--deadline", deadline),
        "rate": rate,
        "frontier": frontier,
        "joint": o.counts("--joint", joint, 1),
        "settle": settle,
        "workers": workers,
        "export_json": export_json,
        "export_csv": export_csv,
        "export_markdown": export_markdown,
        "max_p99": o.seconds("--max-p99", max_p99),
        "min_gain": min_gain,
        "print_config": print_config,
        "plot": not no_plot,
    }

    collected = {
        "data": data,
        "targets": o.names(target),
        "model": model,
        "models": models,
        "reference": reference,
        "max_off": max_off,
    }

    def body() -> int:
        from .bench import bench
        from .chosen import BenchOptions
        from .parity import COLLECTIONS, ParityOptions, only_of_collections, parity

        if world in COLLECTIONS:
            return parity(BenchOptions(**given), ParityOptions(**collected), context.obj)
        only_of_collections(ParityOptions(**collected))
        return bench(BenchOptions(**given), context.obj)

    return bound(context, debug, no_cache, body)
