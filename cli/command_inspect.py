"""`inspect` on the command line: its options and help.

Not here: its body (inspect.py).
"""

from __future__ import annotations

from typing import Annotated

import typer

from . import options as o
from .app import Job, app, bound, examples


@app.command(
    short_help="Show what a folder of run --checkpoint holds.",
    epilog=examples("uncertain inspect kept", "uncertain inspect kept | jq .step"),
)
def inspect(
    context: typer.Context,
    folder: Annotated[str, typer.Argument(metavar="DIR", help="As given to run --checkpoint.")],
    debug: o.Debug = False,
) -> Job:
    """Show checkpoints and log of a run: identity, steps, waiting decisions, place in the input,
    size, age, and what is damaged (exit code 1).
    """

    def body() -> int:
        from .inspect import inspect as run

        return run(folder, context.obj)

    return bound(context, debug, True, body)
