"""Pages of help in groups and in the order of use, and refusals of command lines in own words.

See also: app.py for the application, parameter.py for values that cannot be read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from ..posteriors.errors import UsageError
from .parameter import did_you_mean

WIDTH = 80
"""Columns of help."""
ORDER = (
    "bench", "run", "replay", "simulate", "validate", "convert", "sweep", "show", "report",
    "compare", "calibrate", "parity", "tune", "train", "people", "inspect", "list", "help",
)  # fmt: skip
"""Commands as help lists them: in the order of use."""
PARSER_ERROR: Any = typer.BadParameter.__base__
"""Class of the errors of the command-line parser."""
OTHER = "Other"
"""Group of the options that every command has."""


@contextmanager
def _own_words(context: Any) -> Iterator[None]:
    """Report the parser's errors in one line of our own, by the class of the error.

    The classes are private to the library in some of its versions, so they are known by name.
    """
    try:
        yield
    except PARSER_ERROR as error:
        kind, wrong = type(error).__name__, getattr(error, "option_name", "")
        if kind == "NoSuchOption":
            known = [flag for parameter in context.command.params for flag in parameter.opts]
            message = f"no option {wrong}{did_you_mean(wrong, known)}"
        elif kind == "BadOptionUsage":
            owner = next((p for p in context.command.params if wrong in p.opts), None)
            message = f"{wrong} " + ("takes no" if getattr(owner, "is_flag", 0) else "needs a")
            message += " value"
        elif kind == "MissingParameter":
            missing = error.param
            flags = [max(missing.opts, key=len)] * (missing.param_type_name == "option")
            message = f"{' '.join([*flags, missing.metavar])} is missing: {missing.help}"
        else:
            message = error.format_message()
        raise UsageError(f"{message.rstrip('.')} (see {context.command_path} --help)") from None


class Command(TyperCommand):
    """A command whose help has a section for each group of options.

    moved: other command lines for words that this command once took.
    """

    moved: Mapping[str, str] = {}

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the words of a command line.

        ctx: of the command.
        args: its words.
        Raises: UsageError for a wrong line or for a word that has moved.
        """
        for word, instead in self.moved.items():
            if word in args:
                raise UsageError(f"{ctx.command_path} {word} is a command of its own: {instead}")
        with _own_words(ctx):
            return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """List the words of the usage line, optional ones in brackets.

        ctx: of the command.
        """
        arguments = [p for p in self.get_params(ctx) if p.param_type_name == "argument"]
        return [
            "[OPTIONS]",
            *(f"{p.metavar}" if p.required else f"[{p.metavar}]" for p in arguments),
        ]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments, then each group, then the options that every command has.

        ctx: of the command.
        formatter: takes the sections.
        """
        sections: dict[str, list[tuple[str, str]]] = {}
        last = []
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            group = getattr(parameter, "rich_help_panel", None)
            if record is None:
                continue
            if parameter.param_type_name == "argument":
                sections.setdefault("Arguments", []).append((str(parameter.metavar), record[1]))
            elif group == OTHER or parameter.name == "help":
                last.append(record)
            else:
                sections.setdefault(group or "Options", []).append(record)
        for title, records in [*sections.items(), (OTHER, last)]:
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


class Group(TyperGroup):
    """The commands in the order of use."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the words before the command.

        ctx: of the application.
        args: all words.
        Raises: UsageError for a wrong line.
        """
        with _own_words(ctx):
            return super().parse_args(ctx, args)

    def list_commands(self, ctx: Any) -> list[str]:
        """List the commands in the order of use.

        ctx: of the application.
        """
        return [name for name in ORDER if name in self.commands]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that the first word names.

        ctx: of the application.
        args: words that remain.
        Raises: UsageError with the nearest command if there is none.
        """
        if args[0] not in self.commands and not args[0].startswith("-"):
            raise UsageError(no_command(args[0]))
        return super().resolve_command(ctx, args)


def no_command(name: str) -> str:
    """Write that there is no such command, with the nearest one.

    name: as typed.
    """
    return f"no command {name}{did_you_mean(name, ORDER)} (see uncertain --help)"
