"""From the name of a posterior in a collection to its model: a file of that name is all it needs.

Looked for are the posterior's own name and that of its model there, in the user's folder, then in
posteriors/targets. Not here: the data (streams/posteriordb.py).
"""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from .base import UsageError
from .contract import check_model
from .loading import call, find, load_module, nearest
from .target import Data, Target, check_target

BUILT_IN = Path(__file__).parent / "targets"


def stems(name: str, model: str) -> list[str]:
    """File names, without .py, in the order in which they are looked for."""
    return list(dict.fromkeys(re.sub(r"\W", "_", text) for text in (name, model)))


def built_in() -> list[str]:
    """Stems of the model files that come with the package."""
    return sorted(p.stem for p in BUILT_IN.glob("*.py") if p.stem != "__init__")


def target_class(name: str, model: str, folder: Path | None = None, spec: str | None = None) -> Any:
    """What makes the target `name`, whose model is called `model` in its collection.

    folder: of the user's model files. spec: `file.py:Class` instead of looking for one. Raises
    UsageError where there is none, or more than one in a file.
    """
    if spec is not None:
        return find("model", spec, {})
    for stem in stems(name, model):
        if folder is not None and (folder / f"{stem}.py").is_file():
            path = str(folder / f"{stem}.py")
            return only(path, load_module("model", path))
        if stem in built_in():
            return only(stem, import_module(f"{__package__}.targets.{stem}"))
    raise UsageError(
        f"{name}: has no model file; write {' or '.join(f'{s}.py' for s in stems(name, model))} "
        f"and name its folder with --models{nearest(model, built_in())}"
    )


def only(path: str, module: ModuleType) -> type[Target]:
    """The one target that a file defines."""
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


def make_target(name: str, made: Any, data: Data) -> Target:
    """The target of these data, checked against the contract before anything runs."""
    target = call("model", name, made, data)
    check_target(name, target)
    check_model(name, target)
    return target
