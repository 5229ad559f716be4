"""Writes examples as Vowpal Wabbit's text.

Numbered arms are one line an example, `action:cost:probability | features`; actions with names or
features a line each. Not here: reading it (vwtext.py), or making examples of records (exampled.py).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO

from .exampled import listed
from .examples import Example
from .features import Features
from .record import LineError

REMEDY = "convert to another format"
RESERVED = re.compile(r"[\s|:]")
"""What ends a name; Vowpal Wabbit, too, puts _ in its place when it reads JSON."""


def write(
    examples: Iterator[Example], names: tuple[str, ...], file: BinaryIO, dropped: Counter[str]
) -> None:
    """Write every example. names: of arms that have nothing but their numbers or names.

    dropped: counts what was left out. Raises LineError for what the text cannot say.
    """
    numbers = {str(i): str(i + 1) for i in range(len(names))}
    if names == tuple(numbers.values()):
        numbers = {name: name for name in names}
    plain = names == tuple(numbers)
    for example in examples:
        if example.weight != 1:
            raise wrong(example, "weight", f"{example.weight:g}, the text has no place for it")
        if example.t is not None:
            dropped["times (t), left out"] += 1
        if example.actions is None and (plain or example.point is not None):
            text = single(example, label(example, numbers))
        else:
            text = several(listed(example, names), dropped)
        file.write(text.encode())


def label(example: Example, numbers: dict[str, str]) -> str:
    """The label of an example of one line, "" where nothing was done.

    numbers: of each arm, as the text counts them.
    """
    if example.point is not None:
        return f"ca {number(example.point)}:{outcome(example)}"
    words = []
    for name in example.offered or ([example.arm] if example.arm is not None else []):
        if name not in numbers:
            raise wrong(example, "action", f"no arm called {name!r} among {len(numbers)}")
        chosen = f":{outcome(example)}" if name == example.arm else ""
        words.append(numbers[name] + chosen)
    return " ".join(words) if example.arm is not None else ""


def outcome(example: Example) -> str:
    """`cost:probability`, or the density."""
    if example.propensity is None:
        raise wrong(example, "propensity", "missing, a label needs it")
    return f"{number(example.cost or 0.0)}:{number(example.propensity)}"


def single(example: Example, label: str) -> str:
    """An example of one line."""
    words = [label, identity(example), features(example.shared)]
    return " ".join(word for word in words if word) + "\n"


def several(example: Example, dropped: Counter[str]) -> str:
    """An example of a line for each action, and the blank one that ends it."""
    lines = []
    name = identity(example)
    if example.shared or name:
        lines.append(" ".join(word for word in ("shared", name, features(example.shared)) if word))
    for place, action in enumerate(example.actions or ()):
        label = f"0:{outcome(example)}" if place == example.chosen else ""
        tag = RESERVED.sub("_", action.tag)
        if tag != action.tag:
            dropped["actions' names, with _ where there was a blank, a | or a :"] += 1
        words = label, f"'{tag}" if tag else "", features(action.features)
        lines.append(" ".join(word for word in words if word))
    return "\n".join(lines) + "\n\n"


def identity(example: Example) -> str:
    """The id as a tag, quoted so that nothing else is taken for it."""
    if example.id is None:
        return ""
    name = str(example.id)
    if RESERVED.search(name) or not name:
        # Observations find their decision by it, so it is not changed.
        raise wrong(example, "id", f"{name!r} is no tag: it is empty or has a blank, a | or a :")
    return f"'{name}"


def features(found: Features) -> str:
    """All namespaces, the default one first."""
    parts: dict[str, list[str]] = {"": []}
    for name, value in found.items():
        namespace, bar, key = name.partition("|")
        if not bar:
            namespace, key = "", name
        shown = RESERVED.sub("_", key) or "_"
        parts.setdefault(RESERVED.sub("_", namespace), []).append(
            shown if value == 1 else f"{shown}:{number(value)}"
        )
    # What follows the bar at once is a namespace.
    named = (f"|{name or ' '}{' ' * bool(name)}{' '.join(w)}" for name, w in parts.items() if w)
    return " ".join(named) or "|"


def number(value: float) -> str:
    """The shortest text that is read as the same number."""
    return repr(value).removesuffix(".0")


def wrong(example: Example, field: str, problem: str) -> LineError:
    """The error of what the text cannot say."""
    return example.where.error(field, problem, REMEDY)
