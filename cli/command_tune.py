"""`tune` on the command line: its options and help.

Not here: its body (tune.py).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from . import options as o
from .app import Job, app, bound, examples


class SearchName(StrEnum):
    """How to search."""

    RANDOM = "random"
    HALVING = "halving"


class GoalName(StrEnum):
    """What to tune for."""

    GAIN = "gain"
    REGRET = "regret"
    JOINT = "joint"


@app.command(
    short_help="Tune each posterior's own options, all for as long.",
    epilog=examples(
        "uncertain tune location --posterior point,laplace,smc:particles=32 -o tuned.toml",
        "uncertain tune linear --posterior point,smc --rule thompson --for regret --budget 120s",
        "uncertain tune location --posterior smc --max-p99 500us --search halving --seeds 32",
    ),
)
def tune(
    context: typer.Context,
    world: Annotated[str, typer.Argument(metavar="WORLD", help="A world or model, or file.py:it.")],
    posterior: Annotated[
        list[str] | None,
        typer.Option(
            "--posterior",
            metavar="A,B",
            help="Posteriors, all that can unless given; options in a spec, smc:ess=0.5, stay.",
        ),
    ] = None,
    budget: Annotated[
        str,
        typer.Option(
            "--budget", metavar="60s", help="Wall-clock time for each posterior, with compiling."
        ),
    ] = "60s",
    search: Annotated[
        SearchName,
        typer.Option(
            "--search",
            help="Random options; halving gives up early on those that others beat on as many "
            "runs.",
        ),
    ] = SearchName.RANDOM,
    goal: Annotated[
        GoalName | None,
        typer.Option(
            "--for", help="What to improve; gain where it can be judged, else regret, unless given."
        ),
    ] = None,
    max_p99: Annotated[
        str | None,
        typer.Option(
            "--max-p99", metavar="2ms", help="Options whose live decide + learn p99 is longer lose."
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="The best options as an experiment for bench --config; - is standard output, "
            "instead of the rows.",
        ),
    ] = None,
    model: o.Model = None,
    particles: o.Particles = None,
    refine: Annotated[
        int | None,
        typer.Option(
            "--refine", min=0, metavar="K", help="Refine steps after each event; tuned if not said."
        ),
    ] = None,
    rule: o.Rule = None,
    proposer: o.Proposer = None,
    candidates: o.Candidates = None,
    explore: o.Explore = None,
    steps: Annotated[
        int | None, typer.Option("--steps", min=1, metavar="N", help="Events a run.")
    ] = None,
    seeds: Annotated[
        int,
        typer.Option(
            "--seeds", min=1, metavar="N", help="Tuning runs a trial, none of which a bench scores."
        ),
    ] = 16,
    seed: o.Seed = 0,
    samples: Annotated[
        int | None,
        typer.Option("--samples", min=0, metavar="L", help="Draws behind the ACE bound of gain."),
    ] = None,
    spce: Annotated[
        int | None,
        typer.Option(
            "--spce", min=1, metavar="L", help="With --samples 0: sPCE instead, with L prior draws."
        ),
    ] = None,
    joint: Annotated[
        int | None,
        typer.Option(
            "--joint", min=1, metavar="TAU", help="With --for joint: observations predicted; 10."
        ),
    ] = None,
    no_cache: o.NoCache = False,
    debug: o.Debug = False,
) -> Job:
    """Tune each posterior's own options, every posterior for the same wall-clock time.

    The defaults are the first trial and random options follow, all on the same runs of the seed,
    which are none of those that bench scores. The budget includes compiling each trial, not the
    judge; a trial unfinished at its end does not count. Ctrl-C keeps what was found.
    """
    given = {
        "world": world,
        "posterior": o.names(posterior),
        "budget": o.seconds("--budget", budget),
        "search": str(search),
        "goal": str(goal) if goal else None,
        "model": model,
        "particles": particles,
        "refine": refine,
        "rule": rule,
        "proposer": proposer,
        "candidates": candidates,
        "explore": explore,
        "steps": steps,
        "seeds": seeds,
        "seed": seed,
        "samples": samples,
        "spce": spce,
        "joint": joint,
        "max_p99": o.seconds("--max-p99", max_p99),
        "output": output,
    }

    def body() -> int:
        from .tune import TuneOptions, tune

        return tune(TuneOptions(**given), context.obj)

    return bound(context, debug, no_cache, body)
