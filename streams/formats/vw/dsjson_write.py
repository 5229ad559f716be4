"""Writer of examples as dsjson: one decision a line, features as numbers under their names.

See also: dsjson.py for reading, to_examples.py for examples made of records.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, BinaryIO

from ..ndjson import encode_line
from ..record import LineError
from ..timestamps import format_time
from .example import Example
from .features import Features
from .to_examples import list_actions

REMEDY = "convert to another format"
DEFAULT = " "
"""The default namespace by name, where one of its features is called like a namespace."""


def write_dsjson(
    examples: Iterator[Example], names: tuple[str, ...], file: BinaryIO, dropped: Counter[str]
) -> None:
    """Write every example.

    examples: decisions in order.
    names: names of arms that have no features of their own.
    file: output opened for writing.
    dropped: counts of things left out; stays as it is.
    Raises: LineError for an example that dsjson cannot hold.
    """
    for example in examples:
        file.write(encode_line(_line(list_actions(example, names))))


def _line(example: Example) -> dict[str, Any]:
    """The fields of one line."""
    made: dict[str, Any] = {}
    if example.cost is not None and example.propensity is None:
        raise _wrong(example, "propensity", "missing, a label needs it")
    if example.point is not None:
        label = {"action": example.point, "cost": example.cost, "pdf_value": example.propensity}
        made["_label_ca"] = label
    elif example.chosen is not None:
        made["_label_cost"] = example.cost
        made["_label_probability"] = example.propensity
        made["_label_Action"], made["_labelIndex"] = example.chosen + 1, example.chosen
        # Vowpal Wabbit reads no line as an event that does not list its actions, the chosen first.
        others = (i for i in range(len(example.actions or ())) if i != example.chosen)
        made["a"] = [1 + i for i in (example.chosen, *others)]
    if example.id is not None:
        made["EventId"] = str(example.id)
    if example.t is not None:
        made["Timestamp"] = format_time(example.t)
        if made["Timestamp"] is None:
            raise _wrong(example, "t", f"{example.t:g} seconds since 1970 is no date")
    made["c"] = _objects(example, example.shared)
    if example.actions is not None:
        made["c"]["_multi"] = [
            {**({"_tag": tag} if tag else {}), **_objects(example, features)}
            for tag, features in example.actions
        ]
    if example.weight != 1:
        if example.weight < 1:
            raise _wrong(
                example, "weight", f"{example.weight:g} is below 1, pdrop has no word for it"
            )
        made["pdrop"] = 1.0 - 1.0 / example.weight
    return made


def _objects(example: Example, features: Features) -> dict[str, Any]:
    """Features as an object, one inside for each namespace."""
    made: dict[str, Any] = {}
    namespaces = {name.partition("|")[0] for name in features if "|" in name}
    for name, value in features.items():
        namespace, bar, key = name.partition("|")
        if not bar:
            namespace, key = DEFAULT if name in namespaces else "", name
        if key.startswith("_") or namespace.startswith("_"):
            raise _wrong(example, name, "Vowpal Wabbit ignores names that start with _")
        target = made.setdefault(namespace, {}) if namespace else made
        target[key] = value
    return made


def _wrong(example: Example, field: str, problem: str) -> LineError:
    """The error of an example that dsjson cannot hold."""
    return example.where.error(field, problem, REMEDY)
