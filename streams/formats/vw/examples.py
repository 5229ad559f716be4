"""The log that examples with features by name become.

Shared by both of Vowpal Wabbit's formats. Three kinds of action: a few that every line lists become
arms with a context; ones that differ line by line become candidate vectors, each after the context;
a number becomes a vector of one.
See also: dsjson.py and vw_text.py for reading lines, to_examples.py for the way back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ....posteriors.errors import UsageError
from ..log import LOOKAHEAD, Log, join_observations, map_valid, read_ahead
from ..record import Candidate, CandidateLike, ErrorHandler, Record, raise_error
from .example import Action, Example
from .features import Vocabulary, natural_key

AUTO, ARMS, VECTORS = "auto", "arms", "vectors"
REWARD, COST = "reward", "cost"
MOST_COLUMNS = 255
"""With an intercept as many weights as a Gaussian has a full covariance for."""
LONGEST_NAME = 60
"""Characters; an arm whose features are longer than that has a number instead."""


@dataclass(frozen=True)
class ExampleOptions:
    """Options of formats whose features have names.

    columns: most columns of a vocabulary, which is that of the first `LOOKAHEAD` lines; a feature
        first seen later counts as 0.
    hash: columns that all features are hashed into instead, if above 0.
    observe: y is the "reward", which is minus the cost, or the "cost" itself with the reward as r.
    actions: lines that list their actions are "arms" if one line lists all there are, else
        "vectors"; "auto" looks at the lines.
    """

    columns: int = MOST_COLUMNS
    hash: int = 0
    observe: str = REWARD
    actions: str = AUTO

    def check(self) -> None:
        """Raise UsageError for a value that is no choice."""
        for name, known in (("observe", (REWARD, COST)), ("actions", (AUTO, ARMS, VECTORS))):
            if getattr(self, name) not in known:
                raise UsageError(f"{name}={getattr(self, name)}: choose one of {', '.join(known)}")
        for name in ("columns", "hash"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name}={getattr(self, name)}: must be at least 0")


Fill = Callable[[Example, Record], None]
"""Puts the action of an example into its record."""


def log_from_examples(
    examples: Iterator[Example],
    config: ExampleOptions,
    format_name: str,
    left_out: Counter[str],
    on_error: ErrorHandler = raise_error,
    arms: int = 0,
) -> Log:
    """Open a log of the examples' records.

    examples: decisions in order.
    config: options.
    format_name: name of the format, for remedies.
    left_out: counts lines that gave no example.
    on_error: receives wrong lines.
    arms: least number of numbered arms.
    Raises: UsageError for a wrong option.
    """
    config.check()
    ahead, examples = read_ahead(examples, LOOKAHEAD)
    context = Vocabulary((e.shared for e in ahead), config.columns, config.hash)
    notes = [context.describe_limit("context", format_name)]
    columns = context.names
    names: tuple[str, ...] = ()
    size = 0
    if most := max((len(e.actions or ()) for e in ahead), default=0):
        table = None
        if config.actions != VECTORS:
            table = ArmTable.build(ahead, None if config.actions == ARMS else most)
        if table:
            names, fill = table.names, _arm_among(table, format_name)
        else:
            own = (action.features for e in ahead for action in e.actions or ())
            vocabulary = Vocabulary(own, config.columns, config.hash)
            notes.append(vocabulary.describe_limit("action", format_name))
            columns += vocabulary.names
            size, fill = context.size + vocabulary.size, _vector_among(vocabulary)
    elif any(e.point is not None for e in ahead):
        size, fill = context.size + 1, _point
    else:
        names, fill = _numbers(ahead, arms), _numbered

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
    written = map_valid(examples, record, on_error)
    return Log(
        names, context.size if names else 0, size, 0 if names else most,
        join_observations(written, left_out, on_error), left_out, written, examples,
        tuple(note for note in notes if note), problem, column_names=columns,
    )  # fmt: skip


class ArmTable:
    """Different actions as arms; two actions of one line are two arms even if they are alike.

    names: names of the arms.
    """

    def __init__(self) -> None:
        self._index: dict[object, int] = {}
        self._kept: list[Action] = []
        self.names: tuple[str, ...] = ()

    @classmethod
    def build(cls, ahead: list[Example], most: int | None) -> ArmTable | None:
        """Build the table of all actions that the examples list, in order of appearance.

        ahead: the first examples.
        most: most arms, None for any number.
        Returns: the table; None if there are more than `most`.
        """
        table = cls()
        for example in ahead:
            for key, action in table._keys(example):
                if key not in table._index:
                    table._index[key] = len(table._kept)
                    table._kept.append(action)
            # Looked at on the way: of a log whose actions differ there would be millions.
            if most is not None and len(table._kept) > most:
                return None
        table.names = _called(table._kept)
        return table

    def arm_indices(self, example: Example) -> list[int | None]:
        """Return the arm of each action of a line; None for one not seen before.

        example: the decision.
        """
        return [self._index.get(key) for key, _ in self._keys(example)]

    @staticmethod
    def _keys(example: Example) -> Iterator[tuple[object, Action]]:
        alike: Counter[object] = Counter()
        for action in example.actions or ():
            key = action.tag, frozenset(action.features.items())
            yield (key, alike[key]), action
            alike[key] += 1


def _called(actions: list[Action]) -> tuple[str, ...]:
    """Names that tell actions apart: their tags, else short lists of features, else numbers."""
    tags = [action.tag for action in actions]
    listed = [" ".join(sorted(action.features, key=natural_key)) for action in actions]
    for names in (tags, listed):
        if all(0 < len(name) <= LONGEST_NAME for name in names) and len(set(names)) == len(names):
            return tuple(names)
    return tuple(str(i) for i in range(len(actions)))


def _arm_among(table: ArmTable, format_name: str) -> Fill:
    """Fills in an arm of the table, and which arms were on offer where not all were."""

    def fill(example: Example, record: Record) -> None:
        _listed(example)
        places = table.arm_indices(example)
        if None in places:
            raise example.where.error(
                f"action {places.index(None) + 1}", f"none of the {len(table.names)} known arms",
                f"read candidates with --format {format_name}:actions=vectors",
            )  # fmt: skip
        names = [table.names[place] for place in places if place is not None]
        if len(names) < len(table.names):
            record.actions = list[CandidateLike](names)
        if example.chosen is not None:
            record.action = names[example.chosen]

    return fill


def _vector_among(vocabulary: Vocabulary) -> Fill:
    """Fills in candidates, called by their tags where these tell them apart."""

    def fill(example: Example, record: Record) -> None:
        actions, chosen = _listed(example), example.chosen
        vectors = [vocabulary.vector(action.features) for action in actions]
        tags = [action.tag for action in actions]
        if all(tags) and len(set(tags)) == len(tags):
            record.actions = [Candidate(tag, x) for tag, x in zip(tags, vectors, strict=True)]
            record.action = None if chosen is None else tags[chosen]
        else:
            record.actions, record.action = list[CandidateLike](vectors), chosen

    return fill


def _listed(example: Example) -> list[Action]:
    """The actions of a line in a log whose lines list them."""
    if example.actions is None:
        raise example.where.error("", "lists no actions, other lines do", "leave the line out")
    return example.actions


def _point(example: Example, record: Record) -> None:
    """Fills in a continuous action."""
    if example.actions is not None or example.arm is not None:
        raise example.where.error(
            "", "its action is no number, that of other lines is", "leave the line out"
        )
    record.action = None if example.point is None else [example.point]


def _numbered(example: Example, record: Record) -> None:
    """Fills in an arm that has only a number, or whatever the line calls it."""
    if example.actions is not None or example.point is not None:
        raise example.where.error(
            "", "its action has no number, that of other lines has", "leave the line out"
        )
    record.action = example.arm
    record.actions = None if example.offered is None else list[CandidateLike](example.offered)


def _numbers(ahead: list[Example], least: int) -> tuple[str, ...]:
    """Names of numbered arms, from 1 (0 where that occurs) to the highest, or as they are."""
    seen = dict.fromkeys(name for e in ahead for name in (e.arm, *(e.offered or ())) if name)
    if not seen and not least:
        return ()
    if all(name.isascii() and name.isdecimal() and len(name) < LONGEST_NAME for name in seen):
        values = {int(name) for name in seen} | {least or 1}
        if {str(value) for value in values} >= set(seen) and max(values) <= LOOKAHEAD:
            return tuple(str(i) for i in range(min(*values, 1), max(values) + 1))
    return tuple(seen)
