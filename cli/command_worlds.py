"""`simulate` and `list` on the command line: their options and help.

Not here: their bodies (simulate.py, list.py).
"""

from __future__ import annotations

from typing import Annotated

import typer

from . import options as o
from .app import Job, app, bound, examples


@app.command(
    short_help="Write a world as a log.",
    epilog=examples(
        "uncertain simulate linear --steps 10000 -o log.ndjson.gz",
        "uncertain simulate location --rule eig --posterior smc --steps 30",
        "uncertain simulate examples/dose.py:Dose --seeds 3 -o dose-{run}.ndjson",
    ),
)
def simulate(
    context: typer.Context,
    world: Annotated[str, typer.Argument(metavar="WORLD", help="A world or model, or file.py:it.")],
    steps: Annotated[
        int, typer.Option("--steps", min=1, metavar="N", help="Events to write.")
    ] = 1000,
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Where to; - is standard output, .gz compresses, {run} numbers several.",
        ),
    ] = "-",
    model: o.Model = None,
    posterior: o.Posterior = None,
    rule: o.Rule = "random",
    particles: o.Particles = None,
    refine: o.Refine = None,
    proposer: o.Proposer = None,
    candidates: o.Candidates = 32,
    explore: o.Explore = 0.0,
    seeds: Annotated[
        int, typer.Option("--seeds", min=1, metavar="N", help="Runs, each with its own truth.")
    ] = 1,
    seed: o.Seed = 0,
    no_cache: o.NoCache = False,
    debug: o.Debug = False,
) -> Job:
    """Write a world as a log of complete events, with propensities.

    The agent believes the world's own model and acts at random unless told otherwise.
    """

    def body() -> int:
        from .simulate import Simulate, simulate

        chosen = Simulate(
            world, steps, output, model, posterior, str(rule), particles, refine, proposer,
            candidates or 1, explore or 0.0, seeds, seed,
        )  # fmt: skip
        return simulate(chosen, context.obj)

    return bound(context, debug, no_cache, body)


@app.command(
    "list",
    short_help="Show what there is.",
    epilog=examples("uncertain list", "uncertain list rules", "uncertain list models | jq"),
)
def list_(
    context: typer.Context,
    kinds: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KINDS",
            help="posteriors, models, worlds, rules, proposers, formats or configs; all if none.",
        ),
    ] = None,
    debug: o.Debug = False,
) -> Job:
    """Show what there is, with options and their defaults: a table, or NDJSON when piped.

    Installed packages add theirs by entry points; your own file.py:object needs no listing.
    """

    def body() -> int:
        from .list import list_

        return list_(tuple(kinds or ()), context.obj)

    return bound(context, debug, True, body)
