"""Look-up of targets by the file name, which is that of the posterior or model in its collection.

The user's folder comes first, then this one; a new target needs no registration.
See also: streams/formats/posteriordb.py for the data.
"""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from ..contract import check_model
from ..errors import UsageError
from ..specs import call_factory, find_object, load_user_file, nearest
from .base import Data, Target, check_target

BUILT_IN = Path(__file__).parent
NOT_TARGETS = ("__init__", "base", "registry")
"""Files of this folder without a target."""


def _stems(name: str, model: str) -> list[str]:
    """File names without .py, in the order of the look-up."""
    return list(dict.fromkeys(re.sub(r"\W", "_", text) for text in (name, model)))


def built_in() -> list[str]:
    """List the targets of this package by file name, without .py."""
    return sorted(p.stem for p in BUILT_IN.glob("*.py") if p.stem not in NOT_TARGETS)


def find_target(name: str, model: str, folder: Path | None = None, spec: str | None = None) -> Any:
    """Find the class of a target.

    name: of the posterior in its collection.
    model: its model's name there.
    folder: of the user's model files, if any.
    spec: `file.py:Class` instead of a look-up.

    Returns: the class, to be called with the data.
    Raises: UsageError if there is no file, or not one target in it.
    """
    if spec is not None:
        return find_object("model", spec, {})
    for stem in _stems(name, model):
        if folder is not None and (folder / f"{stem}.py").is_file():
            path = str(folder / f"{stem}.py")
            return _only(path, load_user_file("model", path))
        if stem in built_in():
            return _only(stem, import_module(f"{__package__}.{stem}"))
    raise UsageError(
        f"{name}: has no model file; write {' or '.join(f'{s}.py' for s in _stems(name, model))} "
        f"and name its folder with --models{nearest(model, built_in())}"
    )


def _only(path: str, module: ModuleType) -> type[Target]:
    """The only target that a file defines."""
    found = [
        thing
        for thing in vars(module).values()
        if isinstance(thing, type)
        and issubclass(thing, Target)
        and thing.__module__ == module.__name__
    ]
    if len(found) != 1:
        names = ", ".join(thing.__name__ for thing in found) or "none"
        raise UsageError(f"model {path}: should define one subclass of Target; there are: {names}")
    return found[0]


def build_target(name: str, made: Any, data: Data) -> Target:
    """Build a target and check it against the contract.

    name: of the target, for messages.
    made: its class.
    data: its data.

    Returns: the target.
    Raises: UsageError if it breaks the contract.
    """
    target = call_factory("model", name, made, data)
    check_target(name, target)
    check_model(name, target)
    return target
