"""Options of an inference method, and the values of them that `tune` may try."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple


class Span(NamedTuple):
    """Values that `tune` may try.

    low, high: bounds.
    log: sample evenly on a log scale.
    """

    low: float
    high: float
    log: bool = True


@dataclass(frozen=True)
class Options:
    """Base of a method's options: subclass it as a frozen dataclass.

    refine: default refine steps an event in a bench; on a stream at most one.
    learns_at_once: default refine steps on a stream are none, as `absorb` learns nearly everything.
    search: options worth tuning, each with a `Span` or a tuple of values to choose from.
    rule: the only rule that can read the belief, a `Summary`; None if every rule can.
    """

    refine: ClassVar[int] = 1
    learns_at_once: ClassVar[bool] = False
    search: ClassVar[Mapping[str, Span | tuple[Any, ...]]] = {}
    rule: ClassVar[str | None] = None
