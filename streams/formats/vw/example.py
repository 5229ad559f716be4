"""One decision of a contextual bandit, its features by name.

See also: examples.py for the log that examples become, features.py for columns.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from ..record import Where
from .features import Features

REMEDY = "correct the line or leave it out"
ROUNDING = 1e-6
"""A probability may exceed 1 by this much: many are written from single precision."""


class Action(NamedTuple):
    """One action that a line lists.

    tag: its name, "" if it has none.
    features: its own features.
    """

    tag: str
    features: Features


class Example(msgspec.Struct, gc=False):
    """One decision: a line, or the lines of one decision.

    The action is one of three; none of them means that no action was taken.

    where: place of the first line.
    shared: features of the context.
    id: the user's own.
    t: seconds since 1970.
    actions: actions that the line lists.
    chosen: index of the action among `actions`.
    arm: name of an action that is only numbered.
    offered: the numbered actions on offer, if the line says which.
    point: a continuous action.
    cost: the negative reward.
    propensity: probability of the action; of a point a density.
    weight: number of times that the decision counts.
    """

    where: Where
    shared: Features
    id: str | int | None = None
    t: float | None = None
    actions: list[Action] | None = None
    chosen: int | None = None
    arm: str | None = None
    offered: list[str] | None = None
    point: float | None = None
    cost: float | None = None
    propensity: float | None = None
    weight: float = 1.0
