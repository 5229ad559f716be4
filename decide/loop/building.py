"""From the words of a command line to an agent: what every command shares.

Not here: options themselves, or grids of agents (decide/judge/experiment.py).
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from ...posteriors.base import Arms, UsageError
from ...posteriors.loading import Spec, parse

if TYPE_CHECKING:
    from ...posteriors.base import Model, Posterior
    from .step import Agent

DRAWS = 128
"""Draws of a Gaussian belief that a rule or proposer sees unless told otherwise."""
INFINITE = float("inf")


def remembering(text: str, half_life: float | None) -> str:
    """A posterior's spec with `half_life=SECONDS` unless it says its own; inf, as None, is none."""
    from ...posteriors.forgetting import seconds_of
    from ...posteriors.registry import HALF_LIFE

    spec = parse(text)
    settings = dict(spec.settings)
    if HALF_LIFE not in settings and half_life in (None, INFINITE):
        return text
    seconds = seconds_of(settings.pop(HALF_LIFE, half_life), spec.target)
    if seconds != INFINITE:
        settings[HALF_LIFE] = int(seconds) if seconds == int(seconds) else seconds
    return str(Spec(spec.target, tuple(sorted(settings.items()))))


def half_life_of(text: str) -> float | None:
    """Seconds after which an event counts half under a posterior's spec; None where all count."""
    from ...posteriors.registry import HALF_LIFE

    return dict(parse(text).settings).get(HALF_LIFE)


def own_refine(text: str, refine: int | None) -> tuple[str, int]:
    """A posterior's spec without its `refine=k`, and the k that holds for it."""
    from ...posteriors.registry import options_of

    spec = parse(text)
    settings = dict(spec.settings)
    usual = 0
    if refine is None and "refine" not in settings:
        usual = int(not options_of(spec.target).learns_at_once)
    k = settings.pop("refine", usual if refine is None else refine)
    if not isinstance(k, int) or isinstance(k, bool) or k < 0:
        raise UsageError(
            f"posterior {spec.target}: refine={k!r}: must be a whole number, 0 or more"
        )
    return str(Spec(spec.target, tuple(sorted(settings.items())))), k


def posterior_of(
    text: str, model: Model, particles: int | None, capacity: int | None = None
) -> Posterior:
    """The posterior, with that many particles where it has any and does not say otherwise.

    capacity: likewise for its memory, where the number of events is known beforehand.
    """
    from ...posteriors.registry import build_posterior, takes

    wanted = {"particles": particles, "capacity": capacity}
    extra = {name: value for name, value in wanted.items() if value and takes(text, name)}
    return build_posterior(text, model, extra or None)


def check_read(posterior: str, rule: str, proposer: str | None) -> None:
    """Refuse a rule or proposer of ours that cannot read the posterior's belief, or no other's."""
    from ...posteriors.registry import options_of
    from ..rules.registry import PROPOSERS, RULES

    name, own = parse(posterior).target, options_of(posterior).rule
    rule, proposer = parse(rule).target, parse(proposer).target if proposer else None
    if own is None:
        if rule == "policy" or proposer == "emitted":
            wrong = "rule policy" if rule == "policy" else "proposer emitted"
            raise UsageError(
                f"{wrong} reads what a trained policy says, and posterior {name} has none: use "
                "--posterior amortised:file=FILE.npz, or another rule"
            )
        return
    if rule in set(RULES) - {own, "random"}:
        raise UsageError(
            f"rule {rule} needs draws or a Gaussian belief, and posterior {name} has neither: use "
            f"--rule {own}"
        )
    if proposer in set(PROPOSERS) - {"emitted", "prior", "grid"}:
        raise UsageError(
            f"proposer {proposer} needs draws or a Gaussian belief, and posterior {name} has "
            "neither: leave it out"
        )


def check_draws(posterior: str, what: str) -> None:
    """Refuse a posterior that nothing can be predicted with. what: who wanted to."""
    from ...posteriors.registry import options_of

    if own := options_of(posterior).rule:
        raise UsageError(
            f"{what} needs draws or a Gaussian belief, and posterior {parse(posterior).target} has "
            f"neither, only what rule {own} reads: leave one of them out"
        )


def contents(posterior: str) -> str:
    """What a posterior is made of beside its words: the digest of its file, empty without one."""
    from ...posteriors.registry import takes

    path = dict(parse(posterior).settings).get("file")
    if not path or not takes(posterior, "file"):
        return ""
    return hashlib.sha256(Path(str(path)).read_bytes()).hexdigest()


def agent_of(
    model: Model,
    posterior: str,
    rule: str,
    particles: int | None = None,
    refine: int | None = None,
    proposer: str | None = None,
    candidates: int = 32,
    explore: float = 0.0,
    capacity: int | None = None,
    think: int = 0,
    half_life: float | None = None,
) -> tuple[Agent, str]:
    """An agent, and its posterior's spec without `refine`, its half-life in it."""
    from ...posteriors.registry import POSTERIORS
    from ..rules.registry import PROPOSERS, RULES, build_proposer, build_rule, default_proposer
    from .kept import model_name
    from .step import Agent

    spec, k = own_refine(remembering(posterior, half_life), refine)
    inference = posterior_of(spec, model, particles, capacity)
    choose = build_rule(rule, model, explore, particles)
    name = proposer or default_proposer(rule, model)
    propose = build_proposer(name, model) if name else None
    check_read(spec, rule, name)
    # A policy says one action, which is all that there is to choose from.
    candidates = 1 if name and parse(name).target == "emitted" else candidates
    count = 0 if isinstance(model.actions, Arms) else candidates
    known = (spec, POSTERIORS), (rule, RULES), *([(name, PROPOSERS)] if name else [])
    whole = model_name(model)
    if any(parse(text).target not in registry for text, registry in known):
        whole = None
    if whole:
        whole = f"{whole} {spec} {rule} {name} {particles} {capacity} {count} {explore} {k} {think}"
        whole += contents(spec)
    return Agent(
        model, inference, choose, propose, count, k, particles or DRAWS, whole, think
    ), spec
