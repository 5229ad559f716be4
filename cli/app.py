"""The command-line application, to which the command_*.py files add their commands.

A command parses, and returns its body with the options bound; bodies live in files of their own
and are imported when they run, not when help is shown. Not here: errors and exit codes (main.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from . import options as o
from .environment import Environment, ExitStatus

Job = Callable[[], int]

app = typer.Typer(
    help="How much information does each way of tracking uncertainty buy, and how many "
    "microseconds does each decision cost?",
    epilog="\b\nExamples:\n  uncertain bench\n  uncertain list posteriors\n"
    "  uncertain simulate linear --steps 1000 -o log.ndjson\n"
    "  uncertain replay log.ndjson --posterior point,laplace\n"
    "  uncertain run --model linear --posterior laplace --rule thompson",
    add_completion=False,
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def examples(*lines: str) -> str:
    """The end of a command's help."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def bound(context: typer.Context, debug: bool, no_cache: bool, body: Callable[[], Any]) -> Job:
    """The body to run once parsing is over; `body()` imports it and returns its call."""
    environment: Environment = context.obj
    environment.debug |= debug

    def job() -> int:
        from .runtime import prepare

        prepare(environment, not no_cache)
        return body()

    return job


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
    debug: o.Debug = False,
) -> int | None:
    """Choose, learn and judge under uncertainty, and say what each costs."""
    context.obj.debug |= debug
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"uncertain {installed('uncertain')}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(ExitStatus.WRONG_USE)
    return None
