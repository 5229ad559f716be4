"""Writes examples as dsjson: one decision a line, features as numbers under their names.

Not here: reading it (dsjson.py), or making examples of records (exampled.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, BinaryIO

from .exampled import listed
from .examples import Example
from .features import Features
from .moments import iso
from .ndjson import encode
from .record import LineError

REMEDY = "convert to another format"
DEFAULT = " "
"""The default namespace by name, where one of its features is called like a namespace."""


def write(
    examples: Iterator[Example], names: tuple[str, ...], file: BinaryIO, dropped: Counter[str]
) -> None:
    """Write every example. names: of arms that have nothing but their numbers.

    dropped: counts what was left out. Raises LineError for what dsjson cannot say.
    """
    for example in examples:
        file.write(encode(line(listed(example, names))))


def line(example: Example) -> dict[str, Any]:
    """The fields of one line."""
    made: dict[str, Any] = {}
    if example.cost is not None and example.propensity is None:
        raise wrong(example, "propensity", "missing, a label needs it")
    if example.point is not None:
        label = {"action": example.point, "cost": example.cost, "pdf_value": example.propensity}
        made["_label_ca"] = label
    elif example.chosen is not None:
        made["_label_cost"] = example.cost
        made["_label_probability"] = example.propensity
        made["_label_Action"], made["_labelIndex"] = example.chosen + 1, example.chosen
    if example.id is not None:
        made["EventId"] = str(example.id)
    if example.t is not None:
        made["Timestamp"] = iso(example.t)
        if made["Timestamp"] is None:
            raise wrong(example, "t", f"{example.t:g} seconds since 1970 is no date")
    made["c"] = objects(example, example.shared)
    if example.actions is not None:
        made["c"]["_multi"] = [
            {**({"_tag": tag} if tag else {}), **objects(example, features)}
            for tag, features in example.actions
        ]
    if example.weight != 1:
        if example.weight < 1:
            raise wrong(
                example, "weight", f"{example.weight:g} is below 1, pdrop has no word for it"
            )
        made["pdrop"] = 1.0 - 1.0 / example.weight
    return made


def objects(example: Example, features: Features) -> dict[str, Any]:
    """Features as an object, one inside for each namespace."""
    made: dict[str, Any] = {}
    namespaces = {name.partition("|")[0] for name in features if "|" in name}
    for name, value in features.items():
        namespace, bar, key = name.partition("|")
        if not bar:
            namespace, key = DEFAULT if name in namespaces else "", name
        if key.startswith("_") or namespace.startswith("_"):
            raise wrong(example, name, "a name that starts with _ is left out by whoever reads it")
        target = made.setdefault(namespace, {}) if namespace else made
        target[key] = value
    return made


def wrong(example: Example, field: str, problem: str) -> LineError:
    """The error of what dsjson cannot say."""
    return example.where.error(field, problem, REMEDY)
