"""Records as examples, for writing any log in Vowpal Wabbit's formats.

Context numbers become features `x|0`, `x|1`, ..., those of a candidate `a|0`, ...; an arm becomes
an action with its name.
See also: dsjson_write.py and vw_write.py for the formats, examples.py for the way back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ..arms import ArmSlots
from ..log import Log
from ..record import Candidate, Record, candidate_features
from .example import Action, Example
from .features import Features

REMEDY = "convert to NDJSON, CSV or Parquet"
CONTEXT, OWN = "x", "a"
"""Namespaces of the context and of a candidate's own numbers."""


def make_examples(log: Log, dropped: Counter[str]) -> Iterator[Example]:
    """Yield the complete events of a log as examples.

    log: opened log.
    dropped: counts harmless things that are left out.
    Raises: LineError for an event that no example can hold.
    """
    arms = ArmSlots(len(log.names), log.names)
    for record in log.records:
        made = Example(
            record.where, _numbered(CONTEXT, record.x or []), record.id, record.t,
            cost=0.0 - _reward(record), propensity=record.propensity, weight=record.weight,
        )  # fmt: skip
        if record.deadline is not None:
            dropped["deadlines, left out"] += 1
        if record.cost is not None:
            raise record.where.error("cost", "candidates have none in this format", REMEDY)
        if log.names:
            made.arm = _name_of(record, "action", record.action, arms)
            if record.actions is not None:
                offers = record.actions
                made.offered = [_name_of(record, "actions", offer, arms) for offer in offers]
                if made.arm not in made.offered:
                    raise record.where.error("action", "is none of actions", "correct the line")
        else:
            _vector(record, made)
        yield made


def _numbered(namespace: str, values: list[float]) -> Features:
    """Features that are known by their place; zeros too, or they would be no columns."""
    return {f"{namespace}|{i}": value for i, value in enumerate(values)}


def _reward(record: Record) -> float:
    """The reward of an event; the formats have one cost and nothing else."""
    y, r = record.y, record.r
    if isinstance(y, list) or y is None:
        raise record.where.error("y", "is a vector, this format has one cost", REMEDY)
    if r is not None and r != y:
        raise record.where.error("r", f"{r:g} differs from y, this format has one cost", REMEDY)
    return y


def _name_of(record: Record, field: str, offer: object, arms: ArmSlots) -> str:
    """The name of an arm, however the record calls it."""
    if isinstance(offer, Candidate):
        if offer.x or offer.cost is not None:
            raise record.where.error(field, "an arm with features or a cost of its own", REMEDY)
        offer = offer.id
    slot = arms.assign(offer) if isinstance(offer, str | int) else None
    if slot is None:
        raise record.where.error(field, f"no arm called {offer!r}", "correct the line")
    return str(arms.names[slot])


def _vector(record: Record, made: Example) -> None:
    """Put candidates with features, or one number chosen out of all, into the example."""
    action, offers = record.action, record.actions
    if offers is None:
        if not isinstance(action, list) or len(action) != 1:
            raise record.where.error("actions", "missing", "list what the action was chosen from")
        made.point = action[0]
        return
    made.actions = []
    vectors = []
    for place, offer in enumerate(offers):
        own = candidate_features(offer)
        if own is None:
            raise record.where.error(f"actions[{place}]", "has no features, others have", REMEDY)
        if isinstance(offer, Candidate) and offer.cost is not None:
            what = "candidates have none in this format"
            raise record.where.error(f"actions[{place}].cost", what, REMEDY)
        tag = offer.id if isinstance(offer, Candidate) else None
        made.actions.append(Action("" if tag is None else str(tag), _numbered(OWN, own)))
        vectors.append(own)
    tags = [action.tag for action in made.actions]
    if isinstance(action, list) and action in vectors:
        made.chosen = vectors.index(action)
    elif any(tags) and str(action) in tags:
        made.chosen = tags.index(str(action))
    elif isinstance(action, int) and not any(tags) and 0 <= action < len(offers):
        made.chosen = action
    else:
        raise record.where.error("action", f"{action!r} is none of actions", "correct the line")


def list_actions(example: Example, names: tuple[str, ...]) -> Example:
    """Return an example of a numbered arm as one that lists its actions by name.

    example: the decision.
    names: names of all arms.
    Raises: LineError if its arm is not among those on offer.
    """
    if example.actions is not None or example.point is not None or not names:
        return example
    offered = list(names) if example.offered is None else example.offered
    if example.arm is not None and example.arm not in offered:
        what = f"no arm called {example.arm!r} among {len(offered)}"
        raise example.where.error("action", what, "give --from vw:arms=N")
    actions = [Action(name, {f"arm={name}": 1.0}) for name in offered]
    chosen = None if example.arm is None else offered.index(example.arm)
    return Example(
        example.where, example.shared, example.id, example.t, actions, chosen, None, None, None,
        example.cost, example.propensity, example.weight,
    )  # fmt: skip
