"""Every world by name. A model's name is a world too: the one its own simulation makes.

To add one: its file with a factory, and one line here.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ...posteriors.base import Model, UsageError
from ...posteriors.loading import call, find, parse
from ...posteriors.registry import MODELS, build_model, fitted
from .base import World, simulated
from .labelled import labelled
from .wheel import wheel

WORLDS: dict[str, Any] = {
    "labelled": labelled,
    "wheel": wheel,
}


@lru_cache(maxsize=256)
def build_world(text: str) -> World:
    """The world that `name:key=value` or `file.py:object` stands for.

    A user's object may be a model (then its simulation is the world) or make a `World`.
    """
    spec = parse(text)
    if spec.target in MODELS:
        return simulated(build_model(text))._replace(name=f"model {text}")
    found = find("world", spec.target, {**MODELS, **WORLDS})
    if isinstance(found, World):
        return found
    if (isinstance(found, type) and issubclass(found, Model)) or isinstance(found, Model):
        return simulated(build_model(text))
    made = call("world", spec.target, found, **dict(spec.settings))
    if isinstance(made, Model):
        return simulated(build_model(text))
    if not isinstance(made, World):
        raise UsageError(f"world {spec.target} made a {type(made).__name__}, not a World or Model")
    return made


def believed(world: str, model: str | None = None) -> str:
    """The spec of the model that an agent has in a world; its own or usual one unless named.

    Where the world is no model, arms and features are filled in from its actions.
    """
    made = build_world(world)
    named = None if model == world else model
    if made.actions is None:
        if named is None and made.model is None:
            raise UsageError(f"world {world} has no model of its own: name a --model")
        return named or world
    if named is None and made.usual is None:
        raise UsageError(f"world {world} has no usual model: name a --model")
    text = fitted(named or made.usual or "", made.actions)
    offered = build_model(text).actions
    if offered != made.actions:
        raise UsageError(
            f"world {world} takes {made.actions}, model {text} gives {offered}; leave arms and "
            "features out of --model, or name another"
        )
    return text
