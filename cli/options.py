"""Options of commands as dataclass fields: the one source of parsing, help and command lines.

A field's annotation says how its text is read (`int`, `Seconds`, `tuple[int, ...]`, an enum);
`option` or `argument` gives its name, help, group and bounds.

See also: app.py for making a command of such a dataclass, parameter.py for reading its texts,
commands/shared.py for shared options.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, field, fields
from functools import cache
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

import typer

from .parameter import Duration, Parameter, Spec

T = TypeVar("T")
META = "option"
"""Key of a field's metadata under which its `Spec` stands."""


Seconds = Annotated[float, Duration()]
HalfLife = Annotated[float, Duration(infinite=True)]


def option(default: Any = MISSING, *flags: str, help: str, **more: Any) -> Any:
    """Describe an option of a command.

    default: value where the option is not given; the option is required without one.
    flags: names such as `-o`; `--field-name` unless any is given.
    help: one or two plain sentences.
    more: further fields of `Spec`.
    Returns: a dataclass field.
    """
    return field(default=default, metadata={META: Spec(help, flags, **more)})


def argument(default: Any = MISSING, *, help: str, metavar: str, **more: Any) -> Any:
    """Describe a positional argument of a command.

    default: value where the argument is not given; the argument is required without one.
    help: one or two plain sentences.
    metavar: its name in the usage line.
    more: further fields of `Spec`.
    Returns: a dataclass field.
    """
    spec = Spec(help, positional=True, metavar=metavar, **more)
    return field(default=default, metadata={META: spec})


@cache
def parameters_of(options: type) -> tuple[Parameter, ...]:
    """List the options of a command in the order of their fields.

    options: a dataclass with fields made by `option` and `argument`; other fields are left out.
    """
    hints = get_type_hints(options, include_extras=True)
    return tuple(
        _parameter(one, hints[one.name]) for one in fields(options) if META in one.metadata
    )


def keys_of(options: type, key: str) -> list[str]:
    """List the options that an experiment's TOML has as well.

    options: the command's dataclass.
    key: "setting" or "grid".
    """
    return [one.name for one in parameters_of(options) if one.spec.key == key]


def _parameter(one: Field[Any], hint: Any) -> Parameter:
    """Resolve a field's annotation: `X | None`, `tuple[X, ...]`, `Annotated[X, mark]`."""
    marks: tuple[Any, ...] = ()
    many = False
    while (origin := get_origin(hint)) is not None:
        inner = get_args(hint)
        if origin in (Union, UnionType):
            hint = next(part for part in inner if part is not type(None))
        elif origin is Annotated:
            hint, marks = inner[0], inner[1:]
        else:
            hint, many = inner[0], True
    spec: Spec = one.metadata[META]
    many = spec.repeat if spec.read else many
    return Parameter(one.name, spec, hint, marks, many, one.default)


def read_options(options: type[T], given: Mapping[str, Any]) -> T:
    """Make the options of a command from the texts of its command line.

    options: the command's dataclass.
    given: text, list of texts or flag by field name; None where the option was not given.
    Raises: UsageError, naming the option, if a text cannot be read.
    """
    return options(**{one.name: one.read(given[one.name]) for one in parameters_of(options)})


def command_words(options: type, values: Mapping[str, Any]) -> list[str]:
    """Write values as the words of a command line, arguments first.

    options: the command's dataclass.
    values: by field name; None, False and empty ones are left out.
    """
    return [word for _, word in sorted(_words(options, values), key=lambda pair: pair[0])]


def _words(options: type, values: Mapping[str, Any]) -> Iterator[tuple[bool, str]]:
    """Words, and whether they belong to an option."""
    for one in parameters_of(options):
        value = values.get(one.name)
        if value is None or value is False or value in ((), []):
            continue
        if one.flags:
            yield True, max(one.flags, key=len)
        if not one.is_flag:
            yield bool(one.flags), one.text(value)


def signature_of(options: type) -> list[inspect.Parameter]:
    """Describe the options of a command to typer, which hands every value on as text.

    options: the command's dataclass.
    Returns: keyword parameters of a function.
    """
    return [_typer_parameter(one) for one in parameters_of(options)]


def _typer_parameter(one: Parameter) -> inspect.Parameter:
    """One option for typer."""
    shown = one.spec.help
    if not one.required and not one.is_flag and one.default not in (None, ()):
        shown += f" [default: {one.text(one.default)}]"
    kind: Any = bool if one.is_flag else list[str] if one.many else str
    common: dict[str, Any] = {"help": shown, "show_default": False}
    common["rich_help_panel"] = one.spec.group or None
    if not one.is_flag:
        common["metavar"] = one.metavar
    info = typer.Option(*one.flags, **common) if one.flags else typer.Argument(**common)
    default = inspect.Parameter.empty if one.required else False if one.is_flag else None
    annotation = kind if one.required or one.is_flag else kind | None
    return inspect.Parameter(
        one.name, inspect.Parameter.KEYWORD_ONLY, default=default,
        annotation=Annotated[annotation, info],
    )  # fmt: skip
