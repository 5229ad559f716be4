"""Vowpal Wabbit's JSON logs (dsjson, and what its --json reads): one decision a line.

The negative cost is the reward. Several slots a decision (`_slots`, `_outcomes`) are refused.
See also: dsjson_label.py for the label, examples.py for features and actions as arrays.
Source: the wiki of Vowpal Wabbit, "JSON" and "DSJSON".
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from .. import json_errors
from ..files import Source
from ..line_errors import NOT_JSON, check_line, not_json_error
from ..log import Log
from ..record import ErrorHandler, LineError, Where, raise_error
from ..timestamps import parse_time
from .dsjson_label import Pairs, apply_label, finite_number, read_label
from .example import REMEDY, Action, Example
from .examples import ExampleOptions, log_from_examples
from .features import Features, add_feature

ENVELOPE = ("EventId", "Timestamp", "pdrop", "c", "a", "p", "_multi", "_skipLearn")
"""Keys around the features, each of which is given once; labels are read_label's."""
DEEPEST = 100
"""Levels of nesting that every decoder takes."""


@dataclass(frozen=True)
class DsjsonOptions(ExampleOptions):
    __doc__ = ExampleOptions.__doc__


def read_dsjson(source: Source, config: DsjsonOptions, on_error: ErrorHandler = raise_error) -> Log:
    """Read a log of the decisions that have a cost.

    source: opened input.
    config: options.
    on_error: receives wrong lines.
    """
    left_out: Counter[str] = Counter()
    return log_from_examples(
        _examples(source, left_out, on_error), config, "dsjson", left_out, on_error
    )


def _examples(
    source: Source, left_out: Counter[str], on_error: ErrorHandler = raise_error
) -> Iterator[Example]:
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
            fields = decode_object(text, where)
            reason = _passed_over(fields)
            made = None if reason else _example(fields, where)
        except LineError as error:
            on_error(error)
            continue
        if made is None:
            left_out[reason] += 1
        else:
            yield made


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")


_decoder = json.JSONDecoder(object_pairs_hook=tuple, parse_constant=_no_number)


def decode_object(line: bytes, where: Where) -> Pairs:
    """Decode the object of a line, repeated keys included.

    line: bytes.
    where: place of the line.
    Raises: LineError if it is none.
    """
    try:
        if b"\\ud" in line or b"\\uD" in line:
            # Half a surrogate pair is no text, but Python's decoder takes it.
            msgspec.json.decode(line)
        return _decoder.decode(line.decode())
    except Exception as error:  # that it refuses is all that is read from it
        found = check_line(line, where)
        if not found.flaw and (none := json_errors.find_non_finite(found.value)):
            raise not_json_error(f"{none[1]} is no number", where) from error
        if found.flaw:
            raise not_json_error(found.flaw, where) from error
        what = "nested too deeply" if found.depth > DEEPEST else "cannot be read"
        raise where.error("", what, REMEDY, NOT_JSON) from error


def _passed_over(fields: Pairs) -> str:
    """Why the line gives no event, for counting; "" where it gives one."""
    top = dict(fields)
    if top.get("_skipLearn") is True:
        return "lines with _skipLearn"
    if "Observations" in top or "RewardValue" in top:
        return "observations apart from their decision"
    return ""


def _example(fields: Pairs, where: Where) -> Example:
    """The decision of one object. Raises LineError naming the field."""
    top = dict(fields)
    if len(top) < len(fields):
        counts = Counter(key for key, _ in fields)
        if twice := next((k for k in ENVELOPE if counts[k] > 1), None):
            raise where.error(twice, "given twice", REMEDY)
    if "_outcomes" in top:
        raise where.error("_outcomes", "several decisions in one", "write a line for each")
    context = top.get("c", fields)
    if not isinstance(context, tuple):
        raise where.error("c", "is no object", REMEDY)
    if "c" not in top and not any(key == "_multi" or key.startswith("_label") for key in top):
        raise where.error("", "no context c and no label", "is this line dsjson?", "missing field")
    made = Example(where, _features(context, where))
    if "c" in top:
        event, stamp, dropped = top.get("EventId"), top.get("Timestamp"), top.get("pdrop")
        if event is not None and (isinstance(event, bool) or not isinstance(event, str | int)):
            raise where.error("EventId", "is no text", REMEDY)
        made.id = event
        if stamp is not None:
            made.t = parse_time(where, "Timestamp", str(stamp), REMEDY)
        if dropped is not None:
            made.weight = _kept(where, dropped)
    label = read_label(fields, where)
    if "p" in top and label and "probability" not in label and "point" not in label:
        raise where.error(
            "_label_probability", "missing, though p lists probabilities",
            "Vowpal Wabbit would learn from probability 0; write the label's own", "missing field",
        )  # fmt: skip
    for key, value in context:
        if key == "_slots":
            raise where.error("_slots", "several decisions in one", "write a line for each")
        if key == "_multi":
            made.actions, own = _listed(value, where)
            label = label or own
    apply_label(made, label)
    return made


def _kept(where: Where, dropped: Any) -> float:
    """How many events one stands for where the share `dropped` of them was not logged."""
    share = finite_number(where, "pdrop", dropped)
    if not 0 <= share < 1:
        raise where.error("pdrop", f"{share:g} is no share below 1", REMEDY)
    return 1.0 / (1.0 - share)


def _listed(value: Any, where: Where) -> tuple[list[Action], dict[str, float]]:
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
        found.append(Action(tag or "", _features(action, where)))
        if own := read_label(action, where):
            if label:
                raise where.error(f"_multi[{place}]", "a second action with a label", REMEDY)
            label = own | {"index": float(place)}
    return found, label


def _features(pairs: Pairs, where: Where) -> Features:
    """The features of an object, by namespace and name."""
    found: Features = {}
    try:
        _walk(pairs, "", found, where)
    except RecursionError as error:
        raise where.error("", "nested too deeply", REMEDY) from error
    return found


def _walk(pairs: Pairs, prefix: str, found: Features, where: Where) -> None:
    """Add the features of an object: texts one-hot, numbers as they are, objects as namespaces."""
    for key, value in pairs:
        name = prefix + key
        if key == "_text" and isinstance(value, str):
            for word in value.split():
                add_feature(found, prefix + word, 1.0)
        elif key.startswith("_") or value is None or value is False:
            continue
        elif isinstance(value, str):
            add_feature(found, f"{name}={value}", 1.0)
        elif value is True:
            add_feature(found, name, 1.0)
        elif isinstance(value, tuple):
            _walk(value, _named(key), found, where)
        elif isinstance(value, list):
            for place, item in enumerate(value):
                if isinstance(item, tuple):
                    _walk(item, _named(key), found, where)
                elif item is not None:
                    add_feature(
                        found,
                        f"{_named(key)}[{place}]",
                        finite_number(where, f"{name}[{place}]", item),
                    )
        else:
            add_feature(found, name, finite_number(where, name, value))


def _named(namespace: str) -> str:
    """The prefix of a namespace's features; a blank namespace is the default one."""
    return f"{namespace}|" if namespace.strip() else ""
