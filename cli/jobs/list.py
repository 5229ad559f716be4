"""The body of `uncertain list`: posteriors, models, worlds, rules, proposers, formats, targets.

Includes those of installed packages; a user's own files need no registration.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from importlib.resources import files
from inspect import signature
from typing import Any

from rich.table import Table

from ...decide.rules.registry import PROPOSERS, RULES
from ...posteriors.errors import UsageError
from ...posteriors.registry import MODELS, POSTERIORS
from ...posteriors.specs import nearest
from ...posteriors.targets.registry import built_in as model_files
from ...posteriors.targets.registry import find_target
from ...streams.formats.ndjson import LineWriter
from ...streams.formats.registry import FORMATS
from ...streams.worlds.registry import WORLDS
from ..commands.list import ListOptions
from ..environment import Environment, ExitStatus

KINDS = ("posteriors", "models", "worlds", "rules", "proposers", "formats", "configs", "targets")
EXTENSIBLE = KINDS[:5]
"""Kinds that installed packages may add to, under the entry-point group `uncertain.<kind>`."""


def list_(options: ListOptions, environment: Environment) -> int:
    """Print names, descriptions and options: a table on a terminal, else one JSON object a line.

    options: of the command.
    environment: streams, terminal and clock.
    Returns: exit status.
    Raises: UsageError for wrong options or input.
    """
    kinds = options.kinds
    for kind in kinds:
        if kind not in KINDS:
            raise UsageError(f'nothing called "{kind}" to list{nearest(kind, list(KINDS))}')
    rows = [row for kind in kinds or KINDS for row in [*_built_in(kind), *_installed(kind)]]
    console = environment.console()
    if console is None:
        writer = LineWriter(environment.data)
        for row in rows:
            writer.write(row)
        return ExitStatus.DONE
    for kind in kinds or KINDS:
        chosen = [row for row in rows if row["kind"] == kind]
        if chosen:
            console.print(_table(kind, chosen))
    return ExitStatus.DONE


def _row(kind: str, name: str, what: str, options: dict[str, Any], source: str) -> dict[str, Any]:
    """Return one line of the list."""
    return {"kind": kind, "name": name, "what": what, "options": options, "from": source}


def _built_in(kind: str) -> Iterator[dict[str, Any]]:
    """Return rows of the built-in ones."""
    if kind in ("posteriors", "formats"):
        entries = (
            {name: (entry.options, entry.read) for name, entry in FORMATS.items()}
            if kind == "formats"
            else POSTERIORS
        )
        for name, (config, build) in entries.items():
            yield _row(kind, name, _first_line(_module_doc(build)), _defaults(config), "built in")
    elif kind in ("rules", "proposers"):
        for name, entry in {"rules": RULES, "proposers": PROPOSERS}[kind].items():
            what = _first_line(entry.options.__doc__ or "")
            yield _row(kind, name, what, _defaults(entry.options), "built in")
    elif kind in ("models", "worlds"):
        for name, model in MODELS.items():
            what = _first_line(_module_doc(model))
            yield _row(kind, name, what, _defaults(model), "built in")
    if kind == "worlds":
        for name, make in WORLDS.items():
            options = {p.name: p.default for p in signature(make).parameters.values()}
            yield _row(kind, name, _first_line(_module_doc(make)), options, "built in")
    if kind == "targets":
        for name in model_files():
            what = _first_line(_module_doc(find_target(name, name)))
            yield _row(kind, name, what, {}, "built in")
    if kind == "configs":
        for file in sorted(files("uncertain.configs").iterdir(), key=lambda f: f.name):
            if file.name.endswith(".toml"):
                first = file.read_text().partition("\n")[0].lstrip("# ")
                yield _row(kind, file.name.removesuffix(".toml"), first, {}, "built in")


def _installed(kind: str) -> Iterator[dict[str, Any]]:
    """Return rows of installed packages by name, without loading them."""
    if kind in EXTENSIBLE:
        for point in entry_points(group=f"uncertain.{kind}"):
            source = point.dist.name if point.dist else "installed"
            yield _row(kind, point.name, point.value, {}, source)


def _defaults(config: Any) -> dict[str, Any]:
    """Return the options of a configuration and their defaults; long ones as text."""
    if not dataclasses.is_dataclass(config):
        return {}
    found = {}
    for field in dataclasses.fields(config):
        if field.init and field.name != "latent":
            value = None if field.default is dataclasses.MISSING else field.default
            found[field.name] = value
    return found


def _module_doc(thing: Any) -> str:
    """Return the docstring of the file that defines an object."""
    return sys.modules[thing.__module__].__doc__ or ""


def _first_line(text: str) -> str:
    """Return the first line of a text without its full stop."""
    return text.strip().partition("\n")[0].rstrip(".")


def _table(kind: str, rows: list[dict[str, Any]]) -> Any:
    """Format rows of one kind as a table."""
    grid = Table(title=kind, title_justify="left", box=None, pad_edge=False, show_header=False)
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column(ratio=3)
    grid.add_column(ratio=2)
    for one in rows:
        options = " ".join(f"{name}={_short(value)}" for name, value in one["options"].items())
        source = "" if one["from"] == "built in" else f" ({one['from']})"
        grid.add_row(one["name"], one["what"] + source, options)
    return grid


def _short(value: Any) -> str:
    """Format a default for a cell."""
    text = str(value)
    return text if len(text) <= 24 else "..."


__all__ = ["KINDS", "list_"]
