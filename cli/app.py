"""The command-line application, and how a dataclass of options becomes a command of it.

A command parses its line and returns its job; `main.execute` runs that. Jobs are imported when they
run, so that help is instant.

See also: options.py for options, pages.py for help, commands/ for the commands, main.py for errors
and exit codes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Annotated, Any, TypeVar

import typer
from typer.core import TyperGroup

from ..posteriors.errors import UsageError
from .environment import Environment, ExitStatus
from .options import read_options, signature_of
from .pages import OTHER, WIDTH, Command, Group, no_command

T = TypeVar("T")
Job = Callable[[], int]
NoCache = Annotated[
    bool,
    typer.Option(
        "--no-cache",
        help="Compile afresh and store no compiled programs (or UNCERTAIN_NO_CACHE=1).",
        rich_help_panel=OTHER,
    ),
]
Debug = Annotated[
    bool,
    typer.Option(
        "--debug",
        help="Show the traceback of an error (or UNCERTAIN_DEBUG=1).",
        rich_help_panel=OTHER,
    ),
]


app = typer.Typer(
    cls=Group,
    help="How much information does each way of tracking uncertainty gain, and how many "
    "microseconds does each decision cost?",
    epilog="\b\nExamples:\n  uncertain bench\n  uncertain list posteriors\n"
    "  uncertain simulate linear --steps 1000 -o log.ndjson\n"
    "  uncertain replay log.ndjson --posterior point,laplace\n"
    "  uncertain run --model linear --posterior laplace --rule thompson",
    add_completion=False,
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": WIDTH},
)


def _epilog(examples: Sequence[str]) -> str:
    """The end of a command's help."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in examples)


def command(
    job: str,
    *,
    short: str,
    examples: Sequence[str],
    compiles: bool = True,
    moved: Mapping[str, str] | None = None,
) -> Callable[[type[T]], type[T]]:
    """Make a command of a dataclass of options; its docstring is the command's help.

    job: `package.module:function` below `uncertain.cli`; the function takes the options and the
        environment, returns the exit status and gives the command its name.
    short: a line for the list of commands.
    examples: command lines for the end of its help.
    compiles: whether it has `--no-cache`.
    moved: other command lines for words that this command once took.
    """
    module, _, function = job.partition(":")

    def add(options: type[T]) -> type[T]:
        def call(context: typer.Context, debug: bool, no_cache: bool = True, **given: Any) -> Job:
            environment: Environment = context.obj
            environment.debug |= debug
            if context.args:
                raise UsageError(
                    f"{context.args[0]}: one argument too many (see {context.command_path} --help)"
                )
            try:
                chosen = read_options(options, given)
            except UsageError as error:
                raise UsageError(f"{error} (see {context.command_path} --help)") from None

            def run() -> int:
                from .runtime import prepare

                prepare(environment, not no_cache)
                body = getattr(import_module(f".{module}", __package__), function)
                return body(chosen, environment)

            return run

        shared = {"no_cache": NoCache} if compiles else {}
        own = [
            _keyword("context", typer.Context, inspect.Parameter.empty),
            *signature_of(options),
            *(_keyword(name, kind, False) for name, kind in {**shared, "debug": Debug}.items()),
        ]
        # Typer reads options from the signature, which any function may have but types do not know.
        call.__signature__ = inspect.Signature(own)  # type: ignore[attr-defined]
        call.__annotations__ = {one.name: one.annotation for one in own}
        app.command(
            function.rstrip("_"),
            cls=type("Page", (Command,), {"moved": moved or {}}),
            help=inspect.getdoc(options),
            short_help=short,
            epilog=_epilog(examples),
            context_settings={"allow_extra_args": True},
        )(call)
        return options

    return add


def _keyword(name: str, kind: Any, default: Any) -> inspect.Parameter:
    """A keyword parameter."""
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", "-V", help="Show the version.")] = False,
    debug: Debug = False,
) -> int | None:
    """Measure, decide and learn under uncertainty.

    context: of the application.
    version: show the version and end.
    debug: show tracebacks.
    """
    context.obj.debug |= debug
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"uncertain {installed('uncertain')}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(ExitStatus.WRONG_USE)
    return None


@app.command(
    "help",
    cls=Command,
    short_help="Show the help of a command.",
    epilog=_epilog(("uncertain help", "uncertain help run")),
)
def show_help(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="COMMAND", help="A command; all of them without one.")
    ] = None,
) -> None:
    """Show the help of a command, or the list of commands."""
    whole = context.parent
    assert whole is not None
    assert isinstance(whole.command, TyperGroup)
    if name is None:
        typer.echo(whole.get_help())
    elif name not in whole.command.commands:
        raise UsageError(no_command(name))
    else:
        page = whole.command.commands[name]
        # With this argument a context shows help and ends the command line.
        page.make_context(name, ["--help"], parent=whole)
