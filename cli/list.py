"""`uncertain list`: every posterior, model, world, rule, proposer, format, configuration, target.

Built-in ones and those of installed packages. Not here: a user's own files, which need no
registration.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from importlib.resources import files
from inspect import signature
from typing import Any

from ..posteriors.base import UsageError
from ..posteriors.loading import nearest
from .environment import Environment, ExitStatus

KINDS = ("posteriors", "models", "worlds", "rules", "proposers", "formats", "configs", "targets")
EXTENSIBLE = KINDS[:5]
"""Kinds that installed packages may add to, under the entry-point group `uncertain.<kind>`."""


def list_(kinds: tuple[str, ...], environment: Environment) -> int:
    """Print what there is: a table on a terminal, one JSON object a line elsewhere."""
    from ..streams.ndjson import Writer

    for kind in kinds:
        if kind not in KINDS:
            raise UsageError(f'nothing called "{kind}" to list{nearest(kind, list(KINDS))}')
    rows = [row for kind in kinds or KINDS for row in [*built_in(kind), *installed(kind)]]
    console = environment.console()
    if console is None:
        writer = Writer(environment.data)
        for row in rows:
            writer.write(row)
        return ExitStatus.DONE
    for kind in kinds or KINDS:
        chosen = [row for row in rows if row["kind"] == kind]
        if chosen:
            console.print(table(kind, chosen))
    return ExitStatus.DONE


def row(kind: str, name: str, what: str, options: dict[str, Any], source: str) -> dict[str, Any]:
    """One line of the list."""
    return {"kind": kind, "name": name, "what": what, "options": options, "from": source}


def built_in(kind: str) -> Iterator[dict[str, Any]]:
    """What this package ships."""
    from ..decide.rules.registry import PROPOSERS, RULES
    from ..posteriors.registry import MODELS, POSTERIORS
    from ..streams.formats import FORMATS
    from ..streams.worlds.registry import WORLDS

    if kind in ("posteriors", "formats"):
        for name, (config, build) in {"posteriors": POSTERIORS, "formats": FORMATS}[kind].items():
            yield row(kind, name, first_line(module_doc(build)), defaults(config), "built in")
    elif kind in ("rules", "proposers"):
        for name, (config, _) in {"rules": RULES, "proposers": PROPOSERS}[kind].items():
            yield row(kind, name, paragraph(config), defaults(config), "built in")
    elif kind in ("models", "worlds"):
        for name, model in MODELS.items():
            what = first_line(module_doc(model))
            yield row(kind, name, what, defaults(model), "built in")
    if kind == "worlds":
        for name, make in WORLDS.items():
            options = {p.name: p.default for p in signature(make).parameters.values()}
            yield row(kind, name, first_line(module_doc(make)), options, "built in")
    if kind == "targets":
        from ..posteriors.targeting import built_in as model_files
        from ..posteriors.targeting import target_class

        for name in model_files():
            what = first_line(module_doc(target_class(name, name)))
            yield row(kind, name, what, {}, "built in")
    if kind == "configs":
        for file in sorted(files("uncertain.configs").iterdir(), key=lambda f: f.name):
            if file.name.endswith(".toml"):
                first = file.read_text().partition("\n")[0].lstrip("# ")
                yield row(kind, file.name.removesuffix(".toml"), first, {}, "built in")


def installed(kind: str) -> Iterator[dict[str, Any]]:
    """What installed packages add; they are named, not loaded, for loading may fail."""
    if kind in EXTENSIBLE:
        for point in entry_points(group=f"uncertain.{kind}"):
            source = point.dist.name if point.dist else "installed"
            yield row(kind, point.name, point.value, {}, source)


def defaults(config: Any) -> dict[str, Any]:
    """Options of a configuration and their defaults; long ones as text."""
    if not dataclasses.is_dataclass(config):
        return {}
    found = {}
    for field in dataclasses.fields(config):
        if field.init and field.name != "latent":
            value = None if field.default is dataclasses.MISSING else field.default
            found[field.name] = value
    return found


def module_doc(thing: Any) -> str:
    """The docstring of the file in which something is defined."""
    return sys.modules[thing.__module__].__doc__ or ""


def first_line(text: str) -> str:
    """Its first line, without the full stop."""
    return text.strip().partition("\n")[0].rstrip(".")


def paragraph(config: Any) -> str:
    """A docstring's first paragraph on one line."""
    return " ".join((config.__doc__ or "").strip().partition("\n\n")[0].split())


def table(kind: str, rows: list[dict[str, Any]]) -> Any:
    """Rows of one kind for a person."""
    from rich.table import Table

    grid = Table(title=kind, title_justify="left", box=None, pad_edge=False, show_header=False)
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column(ratio=3)
    grid.add_column(ratio=2)
    for one in rows:
        options = " ".join(f"{name}={short(value)}" for name, value in one["options"].items())
        source = "" if one["from"] == "built in" else f" ({one['from']})"
        grid.add_row(one["name"], one["what"] + source, options)
    return grid


def short(value: Any) -> str:
    """A default in a cell."""
    text = str(value)
    return text if len(text) <= 24 else "..."


__all__ = ["KINDS", "list_"]
