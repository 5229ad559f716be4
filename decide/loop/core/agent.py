"""Build an agent from the specs of a command line, as every command does.

See also: decide/judge/measures/experiment.py for grids of agents.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from ....posteriors.base import Arms, Model, Posterior
from ....posteriors.errors import UsageError
from ....posteriors.parts.half_life import read_half_life
from ....posteriors.registry import (
    HALF_LIFE,
    POSTERIORS,
    build_posterior,
    options_class,
    takes_option,
)
from ....posteriors.specs import Spec, parse_spec
from ...rules.registry import (
    PROPOSERS,
    RULES,
    build_proposer,
    build_rule,
    check_reads,
    default_proposer,
    proposer_entry,
)
from .program_cache import model_name
from .step import Agent

DRAWS = 128
"""Default draws of a Gaussian belief that a rule or proposer sees."""
INFINITE = float("inf")
ATTEND = "attend"
"""An option of every posterior: draws of its belief that a decision looks at."""
ALL = "all"


def with_half_life(text: str, half_life: float | None) -> str:
    """Add a half-life to a posterior's spec, unless the spec sets its own.

    text: posterior spec, e.g. `smc:steps=2`.
    half_life: seconds after which an event counts half; None or infinity for no forgetting.

    Returns: the spec with its settings sorted, unchanged where there is no half-life.
    """
    spec = parse_spec(text)
    settings = dict(spec.settings)
    if HALF_LIFE not in settings and half_life in (None, INFINITE):
        return text
    seconds = read_half_life(settings.pop(HALF_LIFE, half_life), spec.target)
    if seconds != INFINITE:
        settings[HALF_LIFE] = int(seconds) if seconds == int(seconds) else seconds
    return str(Spec(spec.target, tuple(sorted(settings.items()))))


def half_life_of(text: str) -> float | None:
    """Read the half-life in a posterior's spec.

    text: posterior spec.

    Returns: seconds; None where every event counts in full.
    """
    return dict(parse_spec(text).settings).get(HALF_LIFE)


def with_attend(text: str, attend: int | str | None) -> str:
    """Add to a posterior's spec how many draws a decision looks at, unless it says so itself.

    text: posterior spec.
    attend: number of draws; "all" or None for all of them.

    Returns: the spec with its settings sorted, unchanged where all are looked at.
    """
    spec = parse_spec(text)
    settings = dict(spec.settings)
    if attend in (None, ALL) or ATTEND in settings:
        return text
    settings[ATTEND] = read_attend(attend)
    return str(Spec(spec.target, tuple(sorted(settings.items()))))


def read_attend(value: object) -> int:
    """Read a number of draws that a decision looks at.

    value: a whole number above 0, or "all".

    Returns: the number; 0 for all.
    Raises: UsageError for anything else.
    """
    if value == ALL:
        return 0
    number = int(value) if isinstance(value, str) and value.isdecimal() else value
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise UsageError(f"attend={value}: must be a whole number of draws, 1 or more, or all")
    return number


def _own_attend(text: str) -> tuple[str, int]:
    """Split `attend=K` off a posterior's spec: (rest of the spec, draws looked at, 0 for all)."""
    spec = parse_spec(text)
    settings = dict(spec.settings)
    attend = read_attend(settings.pop(ATTEND, ALL))
    return str(Spec(spec.target, tuple(sorted(settings.items()))) if attend else text), attend


def _own_refine(text: str, refine: int | None) -> tuple[str, int]:
    """Split `refine=k` off a posterior's spec: (rest of the spec, refine steps per event)."""

    spec = parse_spec(text)
    settings = dict(spec.settings)
    usual = 0
    if refine is None and "refine" not in settings:
        usual = int(not options_class(spec.target).learns_at_once)
    k = settings.pop("refine", usual if refine is None else refine)
    if not isinstance(k, int) or isinstance(k, bool) or k < 0:
        raise UsageError(
            f"posterior {spec.target}: refine={k!r}: must be a whole number, 0 or more"
        )
    return str(Spec(spec.target, tuple(sorted(settings.items())))), k


def _posterior_of(
    text: str, model: Model, particles: int | None, capacity: int | None = None
) -> Posterior:
    """Build the posterior; particles and capacity hold unless it sets its own."""

    wanted = {"particles": particles, "capacity": capacity}
    extra = {name: value for name, value in wanted.items() if value and takes_option(text, name)}
    return build_posterior(text, model, extra or None)


def check_draws(posterior: str, purpose: str) -> None:
    """Refuse a posterior whose belief is neither draws nor a Gaussian.

    posterior: posterior spec.
    purpose: name of the feature that needs predictions, for the error message.

    Raises: UsageError if nothing can be predicted with the posterior.
    """
    if own := options_class(posterior).rule:
        raise UsageError(
            f"{purpose} needs draws or a Gaussian belief, and posterior "
            f"{parse_spec(posterior).target} "
            f"has neither, only what rule {own} reads: leave one of them out"
        )


def _contents(posterior: str) -> str:
    """SHA-256 digest of the posterior's artefact file; empty without one."""

    path = dict(parse_spec(posterior).settings).get("file")
    if not path or not takes_option(posterior, "file"):
        return ""
    return hashlib.sha256(Path(str(path)).read_bytes()).hexdigest()


def build_agent(
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
    """Build an agent from specs.

    model: the model, already built.
    posterior: posterior spec; may set `refine=k`, and `attend=K`.
    rule: spec of the acquisition rule.
    particles: S, draws of the belief; None for the posterior's default.
    refine: refine steps per event; None for 1 where the posterior needs refining, else 0.
    proposer: spec of the proposer; None for the default of the rule and model.
    candidates: A, candidates proposed per decision in a continuous action space.
    explore: probability of a uniformly random action.
    capacity: events in the posterior's memory; None for its default.
    think: refine steps in one slice of background refining.
    half_life: see `with_half_life`.

    Returns: the agent; its posterior's spec without `refine`, with its half-life.
    Raises: UsageError if the specs do not fit each other.
    """
    spec, k = _own_refine(with_half_life(posterior, half_life), refine)
    bare, attend = _own_attend(spec)
    inference = _posterior_of(bare, model, particles, capacity)
    choose = build_rule(rule, model, explore, attend or particles)
    name = proposer or default_proposer(rule, model)
    propose = build_proposer(name, model) if name else None
    own = options_class(spec).rule
    check_reads(parse_spec(spec).target, inference, own, rule, name)
    # A trained policy emits one action, so that there is one candidate.
    candidates = 1 if name and proposer_entry(name).single else candidates
    count = 0 if isinstance(model.actions, Arms) else candidates
    known = (spec, POSTERIORS), (rule, RULES), *([(name, PROPOSERS)] if name else [])
    whole = model_name(model)
    if any(parse_spec(text).target not in registry for text, registry in known):
        whole = None
    if whole:
        whole = f"{whole} {spec} {rule} {name} {particles} {capacity} {count} {explore} {k} {think}"
        whole += _contents(spec)
    return Agent(
        model, inference, choose, propose, count, k, particles or DRAWS, whole, think, attend
    ), spec
