"""Examples of a contextual bandit with features by name, and the records that they become.

What Vowpal Wabbit's formats say, whichever of them says it. Three sorts of action: a few that every
line lists become arms with a context; ones that differ line by line become candidate vectors, each
after the context; a number becomes a vector of one. Not here: reading lines (dsjson.py, vwtext.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from ..posteriors.base import UsageError
from .features import Features, Vocabulary, natural
from .log import LOOKAHEAD, Log, each, joined, peek
from .record import Candidate, Errors, Offer, Record, Where, stop

AUTO, ARMS, VECTORS = "auto", "arms", "vectors"
REWARD, COST = "reward", "cost"
MOST_COLUMNS = 255
"""With an intercept as many weights as a Gaussian has a full covariance for."""
LONGEST_NAME = 60
"""Characters; an arm whose features are longer than that has a number instead."""


@dataclass(frozen=True)
class Sparse:
    """columns: most columns of a vocabulary, which is that of the first `LOOKAHEAD` lines; what is
    first seen later is 0. hash: columns that all features are hashed into instead, if above 0.

    observe: y is the "reward", which is minus the cost, or the "cost" itself with the reward as r.
    actions: lines that list their actions are "arms" where one line lists all there are, else
    "vectors"; "auto" looks which.
    """

    columns: int = MOST_COLUMNS
    hash: int = 0
    observe: str = REWARD
    actions: str = AUTO

    def check(self) -> None:
        """Refuse what is no choice."""
        for name, known in (("observe", (REWARD, COST)), ("actions", (AUTO, ARMS, VECTORS))):
            if getattr(self, name) not in known:
                raise UsageError(f"{name}={getattr(self, name)}: choose one of {', '.join(known)}")
        for name in ("columns", "hash"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name}={getattr(self, name)}: must be at least 0")


class Action(NamedTuple):
    """One action that a line lists. tag: what it is called, "" where it is not."""

    tag: str
    features: Features


class Example(msgspec.Struct, gc=False):
    """One line, or the lines of one decision.

    shared: features of the context. The action is one of three: `chosen`, a place among the
    `actions` that the line lists; `arm`, one that is only numbered, of those `offered` where the
    line says which; `point`, a number. None of them: nothing was done. cost: minus the reward.
    propensity: of a point a density. weight: how many times it counts.
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


Fill = Callable[[Example, Record], None]
"""Puts the action of an example into its record."""


def log_of(
    examples: Iterator[Example],
    config: Sparse,
    form: str,
    left_out: Counter[str],
    errors: Errors = stop,
    arms: int = 0,
) -> Log:
    """A log of the examples' records.

    form: the format's name, for remedies. left_out: counts lines that gave no example. arms: at
    least as many numbered ones there are.
    """
    config.check()
    ahead, examples = peek(examples, LOOKAHEAD)
    context = Vocabulary((e.shared for e in ahead), config.columns, config.hash)
    notes = [context.note("context", form)]
    columns = context.names
    names: tuple[str, ...] = ()
    size = 0
    if most := max((len(e.actions or ()) for e in ahead), default=0):
        table = None
        if config.actions != VECTORS:
            table = Table.of(ahead, None if config.actions == ARMS else most)
        if table:
            names, fill = table.names, arm_among(table, form)
        else:
            own = (action.features for e in ahead for action in e.actions or ())
            vocabulary = Vocabulary(own, config.columns, config.hash)
            notes.append(vocabulary.note("action", form))
            columns += vocabulary.names
            size, fill = context.size + vocabulary.size, vector_among(vocabulary)
    elif any(e.point is not None for e in ahead):
        size, fill = context.size + 1, point
    else:
        names, fill = numbers(ahead, arms), numbered

    def record(example: Example) -> Record:
        where, cost = example.where, example.cost
        made = Record(
            where.line if example.id is None else example.id, where, example.t,
            context.vector(example.shared), propensity=example.propensity, weight=example.weight,
        )  # fmt: skip
        if cost is not None:
            made.y = 0.0 - cost
            if config.observe == COST:
                made.y, made.r = cost, made.y
        fill(example, made)
        return made

    problem = None
    if ahead and not names and not size:
        what = "have no features" if most else f"none in the first {len(ahead)} examples"
        problem = ahead[0].where.error("action", what, "a log to learn from needs actions")
    written = each(examples, record, errors)
    return Log(
        names, context.size if names else 0, size, 0 if names else most,
        joined(written, left_out, errors), left_out, written, examples,
        tuple(note for note in notes if note), problem, columns=columns,
    )  # fmt: skip


class Table:
    """Different actions as arms. Two actions of a line that nothing tells apart are two arms."""

    def __init__(self) -> None:
        self._index: dict[object, int] = {}
        self._kept: list[Action] = []
        self.names: tuple[str, ...] = ()

    @classmethod
    def of(cls, ahead: list[Example], most: int | None) -> Table | None:
        """All actions that the examples list, in the order in which they appear; None where they
        are more than `most`."""
        table = cls()
        for example in ahead:
            for key, action in table._keys(example):
                if key not in table._index:
                    table._index[key] = len(table._kept)
                    table._kept.append(action)
            # Looked at on the way: of a log whose actions differ there would be millions.
            if most is not None and len(table._kept) > most:
                return None
        table.names = called(table._kept)
        return table

    def places(self, example: Example) -> list[int | None]:
        """Which arm each action of the line is; None for one not seen before."""
        return [self._index.get(key) for key, _ in self._keys(example)]

    @staticmethod
    def _keys(example: Example) -> Iterator[tuple[object, Action]]:
        alike: Counter[object] = Counter()
        for action in example.actions or ():
            key = action.tag, frozenset(action.features.items())
            yield (key, alike[key]), action
            alike[key] += 1


def called(actions: list[Action]) -> tuple[str, ...]:
    """Names that tell actions apart: their tags, else short lists of features, else numbers."""
    tags = [action.tag for action in actions]
    listed = [" ".join(sorted(action.features, key=natural)) for action in actions]
    for names in (tags, listed):
        if all(0 < len(name) <= LONGEST_NAME for name in names) and len(set(names)) == len(names):
            return tuple(names)
    return tuple(str(i) for i in range(len(actions)))


def arm_among(table: Table, form: str) -> Fill:
    """Fills in an arm of the table, and which arms were on offer where not all were."""

    def fill(example: Example, record: Record) -> None:
        listed(example)
        places = table.places(example)
        if None in places:
            raise example.where.error(
                f"action {places.index(None) + 1}", f"none of the {len(table.names)} known arms",
                f"read candidates with --format {form}:actions=vectors",
            )  # fmt: skip
        names = [table.names[place] for place in places if place is not None]
        if len(names) < len(table.names):
            record.actions = list[Offer](names)
        if example.chosen is not None:
            record.action = names[example.chosen]

    return fill


def vector_among(vocabulary: Vocabulary) -> Fill:
    """Fills in candidates, called by their tags where these tell them apart."""

    def fill(example: Example, record: Record) -> None:
        actions, chosen = listed(example), example.chosen
        vectors = [vocabulary.vector(action.features) for action in actions]
        tags = [action.tag for action in actions]
        if all(tags) and len(set(tags)) == len(tags):
            record.actions = [Candidate(tag, x) for tag, x in zip(tags, vectors, strict=True)]
            record.action = None if chosen is None else tags[chosen]
        else:
            record.actions, record.action = list[Offer](vectors), chosen

    return fill


def listed(example: Example) -> list[Action]:
    """The actions of a line in a log whose lines list them."""
    if example.actions is None:
        raise example.where.error("", "lists no actions, other lines do", "leave the line out")
    return example.actions


def point(example: Example, record: Record) -> None:
    """Fills in a continuous action."""
    if example.actions is not None or example.arm is not None:
        raise example.where.error(
            "", "its action is no number, that of other lines is", "leave the line out"
        )
    record.action = None if example.point is None else [example.point]


def numbered(example: Example, record: Record) -> None:
    """Fills in an arm that has only a number, or whatever the line calls it."""
    if example.actions is not None or example.point is not None:
        raise example.where.error(
            "", "its action has no number, that of other lines has", "leave the line out"
        )
    record.action = example.arm
    record.actions = None if example.offered is None else list[Offer](example.offered)


def numbers(ahead: list[Example], least: int) -> tuple[str, ...]:
    """Names of numbered arms, from 1 (0 where that occurs) to the highest, or as they are."""
    seen = dict.fromkeys(name for e in ahead for name in (e.arm, *(e.offered or ())) if name)
    if not seen and not least:
        return ()
    if all(name.isascii() and name.isdecimal() and len(name) < LONGEST_NAME for name in seen):
        values = {int(name) for name in seen} | {least or 1}
        if {str(value) for value in values} >= set(seen) and max(values) <= LOOKAHEAD:
            return tuple(str(i) for i in range(min(*values, 1), max(values) + 1))
    return tuple(seen)
