"""Vowpal Wabbit's JSON logs (dsjson, and what its --json reads): one decision a line.

The cost's negative is the reward. Not here: the label (dslabel.py), what features and actions
become (examples.py), or several slots a decision (`_slots`, `_outcomes`), which are refused.
Source: the wiki of Vowpal Wabbit, "JSON" and "DSJSON".
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from . import looking
from .dslabel import REMEDY, Pairs, answer, labels, real
from .examples import Action, Example, Sparse, log_of
from .features import Features, add
from .files import Source
from .log import Log
from .moments import moment
from .ndjson import NOT_JSON, looked, not_json
from .record import Errors, LineError, Where, stop

DEEPEST = 100
"""Levels of nesting that every decoder takes."""


@dataclass(frozen=True)
class Dsjson(Sparse):
    __doc__ = Sparse.__doc__


def read(source: Source, config: Dsjson, errors: Errors = stop) -> Log:
    """A log of the decisions that have a cost."""
    left_out: Counter[str] = Counter()
    return log_of(examples(source, left_out, errors), config, "dsjson", left_out, errors)


def examples(source: Source, left_out: Counter[str], errors: Errors = stop) -> Iterator[Example]:
    """Every line that is an event and was meant to be learnt from; the others are counted."""
    for number, line in enumerate(source, 1):
        text = line.strip()
        if not text:
            continue
        if not text.startswith(b"{"):
            left_out["lines that are no events"] += 1
            continue
        where = Where(source.name, number)
        try:
            fields = decode(text, where)
            reason = passed_over(fields)
            made = None if reason else example(fields, where)
        except LineError as error:
            errors(error)
            continue
        if made is None:
            left_out[reason] += 1
        else:
            yield made


def no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")


_decoder = json.JSONDecoder(object_pairs_hook=tuple, parse_constant=no_number)


def decode(line: bytes, where: Where) -> Pairs:
    """The object of a line with all its keys, or LineError."""
    try:
        if b"\\ud" in line or b"\\uD" in line:
            # Half a surrogate pair is no text, but Python's decoder takes it.
            msgspec.json.decode(line)
        return _decoder.decode(line.decode())
    except Exception as error:  # that it refuses is all that is read from it
        found = looked(line, where)
        if not found.flaw and (none := looking.no_number(found.value)):
            raise not_json(f"{none[1]} is no number", where) from error
        if found.flaw:
            raise not_json(found.flaw, where) from error
        what = "nested too deeply" if found.depth > DEEPEST else "cannot be read"
        raise where.error("", what, REMEDY, NOT_JSON) from error


def passed_over(fields: Pairs) -> str:
    """Why the line gives no event, for counting; "" where it gives one."""
    top = dict(fields)
    if top.get("_skipLearn") is True:
        return "lines with _skipLearn"
    if "Observations" in top or "RewardValue" in top:
        return "observations apart from their decision"
    return ""


def example(fields: Pairs, where: Where) -> Example:
    """What one object says, or LineError naming the field."""
    top = dict(fields)
    if "_outcomes" in top:
        raise where.error("_outcomes", "several decisions in one", "write a line for each")
    context = top.get("c", fields)
    if not isinstance(context, tuple):
        raise where.error("c", "is no object", REMEDY)
    if "c" not in top and not any(key == "_multi" or key.startswith("_label") for key in top):
        raise where.error("", "no context c and no label", "is this line dsjson?", "missing field")
    made = Example(where, features(context, where))
    if "c" in top:
        event, stamp, dropped = top.get("EventId"), top.get("Timestamp"), top.get("pdrop")
        if event is not None and (isinstance(event, bool) or not isinstance(event, str | int)):
            raise where.error("EventId", "is no text", REMEDY)
        made.id = event
        if stamp is not None:
            made.t = moment(where, "Timestamp", str(stamp), REMEDY)
        if dropped is not None:
            made.weight = kept(where, dropped)
    label = labels(fields, where)
    for key, value in context:
        if key == "_slots":
            raise where.error("_slots", "several decisions in one", "write a line for each")
        if key == "_multi":
            made.actions, own = listed(value, where)
            label = label or own
    answer(made, label)
    return made


def kept(where: Where, dropped: Any) -> float:
    """How many events one stands for where the share `dropped` of them was not logged."""
    share = real(where, "pdrop", dropped)
    if not 0 <= share < 1:
        raise where.error("pdrop", f"{share:g} is no share below 1", REMEDY)
    return 1.0 / (1.0 - share)


def listed(value: Any, where: Where) -> tuple[list[Action], dict[str, float]]:
    """The actions of `_multi`, and the label where one of them has it."""
    found: list[Action] = []
    label: dict[str, float] = {}
    if not isinstance(value, list) or not value:
        raise where.error("_multi", "is no list of actions", REMEDY)
    for place, action in enumerate(value):
        if not isinstance(action, tuple):
            raise where.error(f"_multi[{place}]", "is no object", REMEDY)
        tag = dict(action).get("_tag")
        if tag is not None and not isinstance(tag, str):
            raise where.error(f"_multi[{place}]._tag", "is no text", REMEDY)
        found.append(Action(tag or "", features(action, where)))
        if own := labels(action, where):
            if label:
                raise where.error(f"_multi[{place}]", "a second action with a label", REMEDY)
            label = own | {"index": float(place)}
    return found, label


def features(pairs: Pairs, where: Where) -> Features:
    """The features of an object, by namespace and name."""
    found: Features = {}
    try:
        walk(pairs, "", found, where)
    except RecursionError as error:
        raise where.error("", "nested too deeply", REMEDY) from error
    return found


def walk(pairs: Pairs, prefix: str, found: Features, where: Where) -> None:
    """Add what an object says: texts one-hot, numbers as they are, objects as namespaces."""
    for key, value in pairs:
        name = prefix + key
        if key == "_text" and isinstance(value, str):
            for word in value.split():
                add(found, prefix + word, 1.0)
        elif key.startswith("_") or value is None or value is False:
            continue
        elif isinstance(value, str):
            add(found, f"{name}={value}", 1.0)
        elif value is True:
            add(found, name, 1.0)
        elif isinstance(value, tuple):
            walk(value, named(key), found, where)
        elif isinstance(value, list):
            for place, item in enumerate(value):
                if isinstance(item, tuple):
                    walk(item, named(key), found, where)
                elif item is not None:
                    add(found, f"{named(key)}[{place}]", real(where, f"{name}[{place}]", item))
        else:
            add(found, name, real(where, name, value))


def named(namespace: str) -> str:
    """What stands before the names of a namespace's features; a blank one is the default."""
    return f"{namespace}|" if namespace.strip() else ""
