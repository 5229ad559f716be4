"""Registry entries: a rule or proposer together with the properties that other modules rely on.

A user's own function states them as attributes of the same names (`choose_mine.informs = True`), or
the user's file names an entry in its place.
See also: registry.py for the entries of this package.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ...posteriors.base import Draws, Gaussian, Model, Summary
from ...posteriors.errors import UsageError
from ...posteriors.specs import call_factory
from .base import Rule
from .proposers import Proposer

SAMPLED = (Draws, Gaussian)
"""Beliefs that can be turned into draws."""
ANY = (Draws, Gaussian, Summary)
"""All beliefs."""


@dataclass(frozen=True)
class RuleEntry:
    """A rule and its properties."""

    options: type | None
    """Frozen dataclass of the options and their defaults; None: a user's keyword arguments."""
    build: Callable[[Any, Model], Rule]
    """`(options, model) -> choose`."""
    informs: bool = False
    """Whether scores are expected information gain in nats (per unit of cost, if `per_cost`)."""
    reads: tuple[type, ...] = SAMPLED
    """Types of belief that it can read; empty if it reads none, as random choice."""
    batch: Callable[[Any, Model, int, float], Rule] | None = None
    """`(options, model, count, explore) -> choose` of `count` actions; None: one after another."""
    proposer: str | None = None
    """Proposer used unless another is named; None: the one that suits the model."""


@dataclass(frozen=True)
class ProposerEntry:
    """A proposer and its properties."""

    options: type | None
    """Frozen dataclass of the options and their defaults; None: a user's keyword arguments."""
    build: Callable[[Any, Model], Proposer]
    """`(options, model) -> propose`."""
    reads: tuple[type, ...] = SAMPLED
    """Types of belief that it can read; empty if it reads none."""
    single: bool = False
    """Whether it offers one action, however many are requested."""


Entry = RuleEntry | ProposerEntry


def entry_of(kind: type[Entry], name: str, target: str, loaded: Any) -> Any:
    """Make an entry of a user's own object.

    kind: `RuleEntry` or `ProposerEntry`.
    name: "rule" or "proposer", for messages.
    target: `file.py:object` or an entry point's name, for messages.
    loaded: an entry; or a function of a model and options that returns the rule or proposer, with
        any of the entry's other fields as attributes. Such a function reads all beliefs unless its
        attribute `reads` restricts them.

    Returns: the entry.
    Raises: UsageError if a property has the wrong type.
    """
    if isinstance(loaded, kind):
        entry = loaded
    else:
        stated: dict[str, Any] = {"reads": ANY}
        for field in kind.__dataclass_fields__:
            if field not in ("options", "build") and hasattr(loaded, field):
                stated[field] = getattr(loaded, field)
        if batch := stated.get("batch"):
            stated["batch"] = lambda options, *rest: call_factory(
                name, target, batch, *rest, **options
            )
        entry = kind(
            None,
            lambda options, model: call_factory(name, target, loaded, model, **options),
            **stated,
        )
    if not isinstance(entry.reads, tuple) or not set(entry.reads) <= set(ANY):
        raise UsageError(
            f"{name} {target}: reads should be a tuple of Draws, Gaussian, Summary; it is "
            f"{entry.reads!r}"
        )
    return entry
