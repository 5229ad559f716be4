"""`train` on the command line: its options and help.

Not here: its body (train.py).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from . import options as o
from .app import Job, app, bound, examples


class PolicyName(StrEnum):
    """What to train."""

    DAD = "dad"


@app.command(
    short_help="Train a policy that decides without inference.",
    epilog=examples(
        "uncertain train location --steps 50000 --time 2h --out location.npz",
        "uncertain train discounting --batch 128 --contrastive 500 --time 15min --out dad.npz",
        "uncertain train location --steps 80000 --time 2h --resume --out location.npz",
    ),
)
def train(
    context: typer.Context,
    world: Annotated[str, typer.Argument(metavar="WORLD", help="A model, or file.py:it.")],
    output: Annotated[
        str,
        typer.Option("--out", "-o", metavar="FILE.npz", help="The policy; rewritten as it learns."),
    ],
    policy: Annotated[
        PolicyName, typer.Option("--policy", help="Deep adaptive design.")
    ] = PolicyName.DAD,
    steps: Annotated[
        int | None,
        typer.Option("--steps", min=1, metavar="N", help="Adam steps; as published unless said."),
    ] = None,
    batch: Annotated[
        int | None, typer.Option("--batch", min=1, metavar="N", help="Rollouts a step.")
    ] = None,
    contrastive: Annotated[
        int | None,
        typer.Option(
            "--contrastive", min=1, metavar="L", help="Prior draws each rollout is told from."
        ),
    ] = None,
    horizon: Annotated[
        int | None, typer.Option("--horizon", min=1, metavar="T", help="Events a run.")
    ] = None,
    rate: Annotated[float | None, typer.Option("--rate", metavar="R", help="Adam's rate.")] = None,
    decay: Annotated[
        float | None,
        typer.Option("--decay", metavar="G", help="Falls so every 1000 steps."),
    ] = None,
    width: Annotated[
        int | None, typer.Option("--width", min=1, metavar="N", help="Units of a hidden layer.")
    ] = None,
    time: Annotated[
        str | None,
        typer.Option("--time", metavar="2h", help="Stop after so long, compiling included."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from FILE.npz, where it was stopped early.")
    ] = False,
    rollouts: Annotated[
        int, typer.Option("--rollouts", min=2, metavar="N", help="Rollouts scored at the end.")
    ] = 2048,
    spce: Annotated[
        int, typer.Option("--spce", min=1, metavar="L", help="Prior draws behind that score.")
    ] = 10_000,
    seed: o.Seed = 0,
    no_cache: o.NoCache = False,
    debug: o.Debug = False,
) -> Job:
    """Train a policy once, to decide from then on without inference.

    A network reads what was done and seen and says what to do next; training raises a bound on the
    information that whole runs bring (sPCE). Network, batch, rate and steps are those of the
    published code for the kind of outcome unless said otherwise. The file is kept up to date, so
    Ctrl-C loses at most twenty seconds; --resume goes on. Posterior amortised:file=FILE.npz decides
    by it.
    """
    given = {
        "world": world,
        "output": output,
        "steps": steps,
        "batch": batch,
        "contrasts": contrastive,
        "horizon": horizon,
        "rate": rate,
        "decay": decay,
        "seed": seed,
        "width": width,
        "budget": o.seconds("--time", time),
        "resume": resume,
        "rollouts": rollouts,
        "spce": spce,
    }

    def body() -> int:
        from .train import TrainOptions, train

        return train(TrainOptions(**given), context.obj)

    return bound(context, debug, no_cache, body)
