"""Experiments as TOML: read with errors that name file, line and field, and written.

See also: experiment.py for the fields.
"""

from __future__ import annotations

import re
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from ....posteriors.errors import UsageError
from ....posteriors.specs import first_line, nearest
from ....streams.formats.field_errors import MISSING, UNKNOWN, FieldError, find_field_error
from ....streams.formats.json_errors import join_path
from .experiment import Experiment, check_experiment


def built_in_experiments() -> dict[str, Any]:
    """Return the experiments that come with the package: file by name."""
    folder = resources.files("uncertain.configs")
    return {f.name[:-5]: f for f in folder.iterdir() if f.name.endswith(".toml")}


def load_experiment(source: str) -> Experiment:
    """Load an experiment.

    source: a TOML file, or the name of a built-in one, with or without `.toml`.
    Returns: the experiment, checked.
    Raises: UsageError naming file, line and field.
    """
    known = built_in_experiments()
    path, name = Path(source), source.removesuffix(".toml")
    if name in known and (name == source or not path.is_file()):
        return decode_experiment(known[name].read_text("utf-8"), f"{name}.toml")
    if not path.is_file():
        raise UsageError(
            f'no configuration file or built-in experiment "{source}"'
            + nearest(source, list(known))
        )
    try:
        return decode_experiment(path.read_text("utf-8"), source)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{source}: cannot be read: {error}") from error


def decode_experiment(text: str, where: str) -> Experiment:
    """Read an experiment from TOML.

    text: TOML.
    where: name of the file, for errors.
    Returns: the experiment, checked.
    Raises: UsageError naming file, line and field.
    """
    try:
        data = tomllib.loads(text)
    except RecursionError as error:
        raise UsageError(f"{where}: brackets are nested too deeply; write it flat") from error
    except ValueError as error:  # a number of thousands of digits is one that TOML's own lacks
        raise UsageError(f"{where}: not TOML: {first_line(error)}") from error
    try:
        made = msgspec.convert(data, Experiment)
    except Exception as error:  # that it refuses is all that is read from it
        raise UsageError(f"{where}{_explain(find_field_error(data, Experiment), text)}") from error
    try:
        return check_experiment(made, where)
    except UsageError as error:
        if str(error).startswith(where):
            raise
        # A name that nobody knows, or a posterior that cannot be judged so.
        raise UsageError(f"{where}: {error}") from error


def _explain(wrong: FieldError | None, text: str) -> str:
    """A field error with its line, and the nearest valid key for an unknown one."""
    if wrong is None:
        return ": is no experiment"
    field = wrong.name or wrong.field
    leaf = re.sub(r"\[[^\]]*\]", "", field).split(".")[-1]
    lines = [
        n
        for n, line in enumerate(text.splitlines(), 1)
        if re.match(rf"\s*{re.escape(leaf)}\s*=", line)
    ]
    line = f":{lines[0]}" if leaf and lines else ""
    if wrong.reason == UNKNOWN:
        return f'{line}: no key "{wrong.name}"{nearest(wrong.name, list(wrong.known))}'
    if wrong.reason == MISSING:
        return f"{line}: {join_path(wrong.field, wrong.name)}: missing"
    return f"{line}: {wrong.field}: {wrong.wanted or wrong.reason}"


def encode_experiment(experiment: Experiment) -> str:
    """Write the resolved experiment as TOML that `--config` reads back to the same cells.

    experiment: to write.
    Returns: TOML text.
    """
    lines = []
    for field in _fields_of(experiment):
        value = getattr(experiment, field)
        if field in ("cells", "grid", "grids") or value is None:
            continue
        lines.append(f"{field} = {_value_text(value)}")
    for cell in experiment.resolved():
        lines.append("\n[[cells]]")
        for name in ("posterior", "rule", "particles", "refine", "proposer"):
            value = getattr(cell, name)
            if value is not None:
                lines.append(f"{name} = {_value_text(value)}")
        if cell.think:
            lines.append(f"think = {cell.think}")
        for name in ("world", "model", "steps", "seeds"):
            value = getattr(cell, name)
            usual = getattr(experiment, name) or (cell.world if name == "model" else None)
            if value != usual or (name == "model" and cell.world != experiment.world):
                lines.append(f"{name} = {_value_text(value)}")
    return "\n".join(lines) + "\n"


def _fields_of(experiment: Experiment) -> list[str]:
    """Names of the fields."""
    return [f.name for f in msgspec.structs.fields(type(experiment))]


def _value_text(value: Any) -> str:
    """A value as TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    return msgspec.json.encode(value).decode() if isinstance(value, str) else str(value)
