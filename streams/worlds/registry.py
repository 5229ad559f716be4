"""Every world by name; a model's name is a world too, its own simulation.

To add a world: write a file with a factory, and add one line here.
See also: base.py for the functions of a world.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ...posteriors.base import Model
from ...posteriors.errors import UsageError
from ...posteriors.registry import MODELS, build_model, fit_model_spec
from ...posteriors.specs import Spec, call_factory, find_object, parse_spec
from .base import World, simulated_world
from .bif import bif_world
from .labelled import labelled_world
from .wheel import wheel_world

WORLDS: dict[str, Any] = {
    "bif": bif_world,
    "labelled": labelled_world,
    "wheel": wheel_world,
}

OF_FILES = ("bif",)
"""Worlds that a file makes, which may be named without `file=`: `bif:asia.bif`."""


@lru_cache(maxsize=256)
def build_world(text: str) -> World:
    """Build a world.

    text: `name:key=value`, `bif:FILE` or `file.py:object`; a user's object may be a model (then
        its simulation is the world) or make a `World`.
    Raises: UsageError if there is no such world or an option is wrong.
    """
    spec = parse_spec(text)
    kind, _, file = spec.target.partition(":")
    if kind in OF_FILES and file:
        spec = Spec(kind, (*spec.settings, ("file", file)))
    if spec.target in MODELS:
        return simulated_world(build_model(text))._replace(name=f"model {text}")
    found = find_object("world", spec.target, {**MODELS, **WORLDS})
    if isinstance(found, World):
        return found
    if (isinstance(found, type) and issubclass(found, Model)) or isinstance(found, Model):
        return simulated_world(build_model(text))
    made = call_factory("world", spec.target, found, **dict(spec.settings))
    if isinstance(made, Model):
        return simulated_world(build_model(text))
    if not isinstance(made, World):
        raise UsageError(f"world {spec.target} made a {type(made).__name__}, not a World or Model")
    return made


def agent_model_spec(world: str, model: str | None = None) -> str:
    """Return the spec of the agent's model in a world.

    Arms and features are filled in from the world's actions if the world is no model.

    world: spec of the world.
    model: spec that the user named; None is the world's own or default model.
    Raises: UsageError if there is none, or its actions differ from the world's.
    """
    made = build_world(world)
    named = None if model == world else model
    if made.actions is None:
        if named is None and made.model is None:
            raise UsageError(f"world {world} has no model of its own: name a --model")
        return named or world
    if named is None and made.usual is None:
        raise UsageError(f"world {world} has no usual model: name a --model")
    text = fit_model_spec(_as_usual(named, made.usual), made.actions)
    offered = build_model(text).actions
    if offered != made.actions:
        raise UsageError(
            f"world {world} takes {made.actions}, model {text} gives {offered}; leave arms and "
            "features out of --model, or name another"
        )
    return text


def _as_usual(named: str | None, usual: str | None) -> str:
    """The spec that the user named, with the options of the usual one if both name one model."""
    if not named or not usual:
        return named or usual or ""
    spec, other = parse_spec(named), parse_spec(usual)
    if spec.target != other.target:
        return named
    settings = {**dict(other.settings), **dict(spec.settings)}
    return str(Spec(spec.target, tuple(sorted(settings.items()))))
