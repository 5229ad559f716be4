"""Every rule and proposer by name. To add one: its factory, and one line here."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ...posteriors.base import Arms, Model, UsageError, provides
from ...posteriors.loading import call, configure, find, parse
from . import batches, choosing, directed, emitting, proposing
from .base import Rule, exploring

RULES: dict[str, tuple[type, Any]] = {
    "eig": (choosing.EIG, choosing.eig),
    "greedy": (choosing.Greedy, choosing.greedy),
    "ids": (directed.IDS, directed.ids),
    "policy": (emitting.Policy, emitting.policy),
    "random": (choosing.Random, choosing.random),
    "thompson": (choosing.Thompson, choosing.thompson),
    "top-two": (directed.TopTwo, directed.top_two),
    "ucb": (choosing.UCB, choosing.ucb),
}

PROPOSERS: dict[str, tuple[type, Any]] = {
    "around": (proposing.Around, proposing.around),
    "emitted": (emitting.Emitted, emitting.alone),
    "grid": (proposing.Grid, proposing.grid),
    "polish": (proposing.Polish, proposing.polish),
    "prior": (proposing.Prior, proposing.prior),
}


def summaries(registry: dict[str, tuple[type, Any]]) -> dict[str, str]:
    """name -> what it is, from the configuration's docstring and fields."""
    found = {}
    for name, (config, _) in registry.items():
        text = " ".join((config.__doc__ or "").split())
        found[name] = text
    return found


def _build(kind: str, registry: dict, text: str, model: Model, extra: dict[str, Any]) -> Any:
    spec = parse(text)
    found = find(kind, spec.target, registry)
    settings = dict(spec.settings)
    if isinstance(found, tuple):
        config, factory = found
        fields = config.__dataclass_fields__
        settings = {**{k: v for k, v in extra.items() if k in fields}, **settings}
        return factory(configure(kind, spec.target, config, settings), model)
    made = call(kind, spec.target, found, model, **settings)
    if not callable(made):
        raise UsageError(f"{kind} {spec.target} made a {type(made).__name__}, not a function")
    return made


@lru_cache(maxsize=256)
def build_rule(text: str, model: Model, explore: float = 0.0, particles: int | None = None) -> Rule:
    """The rule that `name:key=value` or `file.py:object` stands for.

    explore: probability of a uniform choice instead. particles: draws scored where the belief is
    a Gaussian. A user's object is called with the model and returns the `choose` function.
    """
    if not 0 <= explore <= 1:
        raise UsageError(f"explore={explore}: must lie between 0 and 1")
    extra = {} if particles is None else {"particles": particles}
    rule = _build("rule", RULES, text, model, extra)
    return exploring(rule, explore) if explore > 0 else rule


@lru_cache(maxsize=256)
def build_batch(
    text: str, model: Model, count: int, explore: float = 0.0, particles: int | None = None
) -> Rule:
    """As `build_rule`, choosing `count` distinct actions at once (batches.py)."""
    rule = build_rule(text, model, explore, particles)
    spec = parse(text)
    if spec.target != "eig":
        return batches.one_by_one(rule, count)
    extra = {} if particles is None else {"particles": particles}
    config = configure("rule", "eig", choosing.EIG, {**extra, **dict(spec.settings)})
    return batches.jointly(config, model, count, explore)


def informs(text: str) -> bool:
    """Whether a rule's scores are expected gains in nats (a unit of cost, with per_cost)."""
    return parse(text).target in ("eig", "ids")


@lru_cache(maxsize=256)
def build_proposer(text: str, model: Model) -> proposing.Proposer:
    """The proposer that `name:key=value` or `file.py:object` stands for."""
    return _build("proposer", PROPOSERS, text, model, {})


def default_proposer(rule: str, model: Model) -> str | None:
    """What proposes when nobody says: nothing for arms, `prior` where designs are random, and a
    trained policy's own action for its rule."""
    if isinstance(model.actions, Arms):
        return None
    if parse(rule).target == "policy":
        return "emitted"
    if parse(rule).target == "random" or not provides(model, "focus"):
        return "prior" if provides(model, "design") else "grid"
    return "around"
