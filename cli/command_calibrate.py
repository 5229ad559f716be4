"""`calibrate` on the command line: its options and help.

Not here: its body (calibrate.py).
"""

from __future__ import annotations

from typing import Annotated

import typer

from . import options as o
from .app import Job, app, bound, examples


@app.command(
    short_help="Is the truth one more draw from each belief?",
    epilog=examples(
        "uncertain calibrate linear --posterior point,laplace,hmc",
        "uncertain calibrate location --posterior smc --particles 512 --settle 20 --runs 2048",
        "uncertain calibrate logistic --posterior mine.py:build --gate -o ranks.svg",
    ),
)
def calibrate(
    context: typer.Context,
    world: Annotated[str, typer.Argument(metavar="WORLD", help="A world or model, or file.py:it.")],
    posterior: Annotated[
        list[str] | None,
        typer.Option(
            "--posterior", metavar="A,B", help="Posteriors, all that can unless given; commas list."
        ),
    ] = None,
    runs: Annotated[
        int,
        typer.Option("--runs", min=1, metavar="N", help="Truths drawn and ranked for each."),
    ] = 1024,
    draws: Annotated[
        int,
        typer.Option(
            "--draws", min=1, metavar="L", help="Draws of a belief that a truth is ranked among."
        ),
    ] = 15,
    bins: Annotated[
        int,
        typer.Option("--bins", min=2, metavar="B", help="Bins of ranks; they must divide L + 1."),
    ] = 16,
    thin: Annotated[
        int,
        typer.Option(
            "--thin",
            min=0,
            metavar="N",
            help="Refine steps between looks at a belief that has fewer than L draws.",
        ),
    ] = 10,
    settle: Annotated[
        int,
        typer.Option(
            "--settle",
            min=0,
            metavar="N",
            help="Refine steps after the last event.",
        ),
    ] = 0,
    level: Annotated[
        float,
        typer.Option(
            "--level",
            min=0.0,
            max=1.0,
            metavar="P",
            help="Chance that a right belief is called wrong, over all its unknowns.",
        ),
    ] = 1e-4,
    steps: Annotated[
        int, typer.Option("--steps", min=1, metavar="N", help="Events seen before ranking.")
    ] = 10,
    model: o.Model = None,
    particles: o.Particles = None,
    refine: o.Refine = None,
    rule: o.Rule = "random",
    proposer: o.Proposer = None,
    candidates: o.Candidates = None,
    seed: o.Seed = 0,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Also draw the ranks, .svg or .png.",
        ),
    ] = None,
    gate: Annotated[
        bool, typer.Option("--gate", help="Exit 1 if any belief is not calibrated.")
    ] = False,
    no_cache: o.NoCache = False,
    debug: o.Debug = False,
) -> Job:
    """Simulation-based calibration: rank drawn truths among draws of the belief about them.

    If a belief is right, the truth is one more draw from it: all ranks are alike, of every unknown
    and of the log likelihood of what was seen. Uneven ranks are tested by chi-square. Actions are
    random unless a rule is named.
    """
    given = {
        "world": world,
        "posterior": o.names(posterior),
        "runs": runs,
        "draws": draws,
        "bins": bins,
        "thin": thin,
        "settle": settle,
        "level": level,
        "steps": steps,
        "model": model,
        "particles": particles,
        "refine": refine,
        "rule": str(rule),
        "proposer": proposer,
        "candidates": candidates,
        "seed": seed,
        "output": output,
        "gate": gate,
    }

    def body() -> int:
        from .calibrate import CalibrateOptions, calibrate

        return calibrate(CalibrateOptions(**given), context.obj)

    return bound(context, debug, no_cache, body)
