"""`sweep` on the command line: its options and help.

Not here: its body (sweep.py).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from . import options as o
from .app import Job, app, bound, examples


class EngineName(StrEnum):
    """Where cells are computed."""

    LOCAL = "local"
    RAY = "ray"


@app.command(
    short_help="Run a grid into a store; resumable, in any number of processes.",
    epilog=examples(
        "uncertain sweep location --posterior smc --particles 8,32,128 --refine 1,4 --out results",
        "uncertain sweep experiment.toml --out results --dry-run",
        "for i in 1 2 3 4; do uncertain sweep experiment.toml --out results --shard $i/4 & done",
    ),
)
def sweep(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            metavar="CONFIG|WORLD",
            help="An experiment as TOML (a file, or a built-in one by name), or a world.",
        ),
    ],
    out: Annotated[
        str,
        typer.Option("--out", metavar="STORE", help="A folder, or a URL that TensorStore opens."),
    ],
    shard: Annotated[
        str | None,
        typer.Option(
            "--shard", metavar="I/N", help="Only the I-th of N parts of the grid, I from 1."
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Show the grid, what is finished and the time it may take, and stop."
        ),
    ] = False,
    engine: Annotated[
        EngineName,
        typer.Option("--engine", help="Processes on this machine, or workers of Ray."),
    ] = EngineName.LOCAL,
    address: Annotated[
        str | None,
        typer.Option(
            "--address",
            metavar="HOST:PORT",
            help="A Ray cluster's; without it Ray is started here with --workers workers.",
        ),
    ] = None,
    gpus_per_cell: Annotated[
        float | None,
        typer.Option(
            "--gpus-per-cell",
            min=0.0,
            metavar="FRACTION",
            help="Of a GPU that Ray gives each cell; 0 unless given.",
        ),
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
    joint: o.Joint = None,
    settle: o.Settle = None,
    no_cache: o.NoCache = False,
    debug: o.Debug = False,
) -> Job:
    """Run every cell of a grid and keep each, as soon as it is finished, in a store.

    Run it again and it goes on where it was: finished cells are skipped, damaged or half-written
    ones computed again. Any number of processes may share a store. A cell is finished for as long
    as nothing that determines its result changes: its configuration, how it is judged, package
    versions, your own files that it names, the kind of device. A cell that fails is named and
    stops no other; the exit code is then 1, and the next sweep tries it again.
    """
    given = {
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
        "workers": workers,
        "fidelity": fidelity,
        "deadline": o.seconds("--deadline", deadline),
        "rate": rate,
        "joint": o.counts("--joint", joint, 1),
        "settle": settle,
    }
    part = o.share("--shard", shard)

    def body() -> int:
        from .chosen import BenchOptions
        from .sweep import SweepOptions, sweep

        grid = BenchOptions(**given)
        options = SweepOptions(
            source, out, part, dry_run, grid, engine.value, address, gpus_per_cell
        )
        return sweep(options, context.obj)

    return bound(context, debug, no_cache, body)
