"""All rules and proposers by name. To add one, write its builder and one line here.

See also: entries.py for the properties that an entry states.
"""

from __future__ import annotations

from dataclasses import MISSING, fields
from functools import lru_cache
from inspect import Parameter, signature
from typing import Any

import jax

from ...posteriors.base import Arms, Draws, Gaussian, Model, Posterior, Summary, provides
from ...posteriors.errors import UsageError
from ...posteriors.specs import call_factory, configure, find_object, parse_spec
from . import basic, batches, ids_top_two, policy, proposers
from .base import Rule, with_exploration
from .entries import ProposerEntry, RuleEntry, entry_of
from .proposers import Proposer

RULES: dict[str, RuleEntry] = {
    "eig": RuleEntry(basic.EIG, basic.build_eig, informs=True, batch=batches.build_joint_eig),
    "greedy": RuleEntry(basic.Greedy, basic.build_greedy),
    "ids": RuleEntry(ids_top_two.IDS, ids_top_two.build_ids, informs=True),
    "policy": RuleEntry(policy.Policy, policy.build_policy, reads=(Summary,), proposer="emitted"),
    "random": RuleEntry(basic.Random, basic.build_random, reads=()),
    "thompson": RuleEntry(basic.Thompson, basic.build_thompson),
    "top-two": RuleEntry(ids_top_two.TopTwo, ids_top_two.build_top_two),
    "ucb": RuleEntry(basic.UCB, basic.build_ucb),
}

PROPOSERS: dict[str, ProposerEntry] = {
    "around": ProposerEntry(proposers.Around, proposers.build_around),
    "emitted": ProposerEntry(policy.Emitted, policy.build_emitted, reads=(Summary,), single=True),
    "grid": ProposerEntry(proposers.Grid, proposers.build_grid, reads=()),
    "polish": ProposerEntry(proposers.Polish, proposers.build_polish),
    "prior": ProposerEntry(proposers.Prior, proposers.build_prior, reads=()),
}


def rule_entry(text: str) -> RuleEntry:
    """Look up a rule and its properties.

    text: `name:key=value` or `file.py:object`.

    Returns: the registry's entry, or one made of the user's object.
    Raises: UsageError if there is no such rule.
    """
    target = parse_spec(text).target
    return RULES.get(target) or entry_of(
        RuleEntry, "rule", target, find_object("rule", target, RULES)
    )


def proposer_entry(text: str) -> ProposerEntry:
    """Look up a proposer and its properties.

    text: `name:key=value` or `file.py:object`.

    Returns: the registry's entry, or one made of the user's object.
    Raises: UsageError if there is no such proposer.
    """
    target = parse_spec(text).target
    if target in PROPOSERS:
        return PROPOSERS[target]
    return entry_of(ProposerEntry, "proposer", target, find_object("proposer", target, PROPOSERS))


def rule_option(text: str, name: str) -> Any:
    """Read an option of a rule.

    text: `name:key=value` or `file.py:object`.
    name: the option.

    Returns: the value in `text`, else the default; None if the rule has no such option.
    """
    spec, entry = parse_spec(text), rule_entry(text)
    if entry.options is not None:
        defaults = {f.name: f.default for f in fields(entry.options) if f.default is not MISSING}
    else:
        parameters = signature(find_object("rule", spec.target, RULES)).parameters.values()
        defaults = {p.name: p.default for p in parameters if p.default is not Parameter.empty}
    return {**defaults, **dict(spec.settings)}.get(name)


def _options(kind: str, text: str, entry: RuleEntry | ProposerEntry, extra: dict[str, Any]) -> Any:
    """The entry's options: those of the text, then those of `extra` that it has."""
    spec = parse_spec(text)
    if entry.options is None:
        return dict(spec.settings)
    known = {f.name for f in fields(entry.options)}
    settings = {**{k: v for k, v in extra.items() if k in known}, **dict(spec.settings)}
    return configure(kind, spec.target, entry.options, settings)


def _build(kind: str, text: str, builder: Any, builtin: bool, *args: Any) -> Any:
    """Call a builder, reporting errors of a user's own code in one line."""
    if builtin:
        return builder(*args)
    target = parse_spec(text).target
    built = call_factory(kind, target, builder, *args)
    if not callable(built):
        raise UsageError(f"{kind} {target} made a {type(built).__name__}, not a function")
    return built


@lru_cache(maxsize=256)
def build_rule(text: str, model: Model, explore: float = 0.0, particles: int | None = None) -> Rule:
    """Build a rule; the same arguments return the identical function, so nothing recompiles.

    text: `name:key=value` or `file.py:object`; a user's object is called with the model.
    model: the model to decide with.
    explore: probability of a uniform choice instead.
    particles: draws of a Gaussian belief, unless the text states its own.

    Returns: the `choose` function.
    Raises: UsageError if there is no such rule or option, or it refuses the model.
    """
    if not 0 <= explore <= 1:
        raise UsageError(f"explore={explore}: must lie between 0 and 1")
    entry = rule_entry(text)
    options = _options("rule", text, entry, {} if particles is None else {"particles": particles})
    rule = _build("rule", text, entry.build, parse_spec(text).target in RULES, options, model)
    return with_exploration(rule, explore) if explore > 0 else rule


@lru_cache(maxsize=256)
def build_batch(
    text: str, model: Model, count: int, explore: float = 0.0, particles: int | None = None
) -> Rule:
    """Build a rule that chooses several distinct actions at once (batches.py).

    text, model, explore, particles: as in `build_rule`.
    count: actions to choose.

    Returns: the `choose` function; fields of its choice are `[count, ...]`.
    Raises: UsageError as `build_rule`.
    """
    rule, entry = build_rule(text, model, explore, particles), rule_entry(text)
    if entry.batch is None:
        return batches.build_sequential(rule, count)
    options = _options("rule", text, entry, {} if particles is None else {"particles": particles})
    builtin = parse_spec(text).target in RULES
    return _build("rule", text, entry.batch, builtin, options, model, count, explore)


@lru_cache(maxsize=256)
def build_proposer(text: str, model: Model) -> Proposer:
    """Build a proposer.

    text: `name:key=value` or `file.py:object`; a user's object is called with the model.
    model: the model whose action space is searched.

    Returns: the `propose` function.
    Raises: UsageError if there is no such proposer or option, or it refuses the model.
    """
    entry = proposer_entry(text)
    options = _options("proposer", text, entry, {})
    builtin = parse_spec(text).target in PROPOSERS
    return _build("proposer", text, entry.build, builtin, options, model)


def default_proposer(rule: str, model: Model) -> str | None:
    """Choose the proposer for a rule when none is named.

    rule: `name:key=value` or `file.py:object`.
    model: the model whose action space is searched.

    Returns: None for arms; the rule's own; `around` if the rule reads the belief and the model has
        a focus; else `prior`, or `grid` where the model has no random design.
    """
    if isinstance(model.actions, Arms):
        return None
    entry = rule_entry(rule)
    if entry.proposer is not None:
        return entry.proposer
    if not entry.reads or not provides(model, "focus"):
        return "prior" if provides(model, "design") else "grid"
    return "around"


def check_reads(
    posterior: str, inference: Posterior, own: str | None, rule: str, proposer: str | None
) -> None:
    """Refuse a rule or proposer that cannot read the posterior's belief.

    posterior: the posterior's name, for the message.
    inference: the posterior's functions.
    own: the only rule that can read its belief, a summary; None for other beliefs.
    rule, proposer: `name:key=value` or `file.py:object`.

    Raises: UsageError naming the rule or proposer and the posterior.
    """
    entries = [("rule", rule, rule_entry(rule).reads)]
    if proposer:
        entries.append(("proposer", proposer, proposer_entry(proposer).reads))
    for kind, text, reads in entries:
        wrong = f"{kind} {parse_spec(text).target}"
        if not reads:
            continue
        if own is not None and Summary not in reads:
            remedy = f"use --rule {own}" if kind == "rule" else "leave it out"
            raise UsageError(
                f"{wrong} needs draws or a Gaussian belief, and posterior {posterior} has neither: "
                f"{remedy}"
            )
        if own is None and reads == (Summary,):
            raise UsageError(
                f"{wrong} reads what a trained policy says, and posterior {posterior} has none: "
                "use --posterior amortised:file=FILE.npz, or another rule"
            )
        if own is None and not {Draws, Gaussian} <= set(reads):
            state = jax.eval_shape(inference.init, jax.random.key(0))
            belief = type(jax.eval_shape(inference.belief, jax.random.key(0), state, 0.0))
            # Proposers are given draws in any case.
            if kind == "rule" and belief not in reads:
                raise UsageError(
                    f"{wrong} reads {' or '.join(t.__name__ for t in reads)}, and the belief of "
                    f"posterior {posterior} is {belief.__name__}: use another of the two"
                )
