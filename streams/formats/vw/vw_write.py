"""Writer of examples as Vowpal Wabbit's text.

Numbered arms are one line an example, `action:cost:probability | features`; actions with names or
features a line each.
See also: vw_text.py for reading, to_examples.py for examples made of records.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO

from ..record import LineError
from .example import Example
from .features import Features
from .to_examples import list_actions

REMEDY = "convert to another format"
RESERVED = re.compile(r"[\s|:]")
"""What ends a name; Vowpal Wabbit, too, puts _ in its place when it reads JSON."""


def write_vw(
    examples: Iterator[Example], names: tuple[str, ...], file: BinaryIO, dropped: Counter[str]
) -> None:
    """Write every example.

    examples: decisions in order.
    names: names of arms that have no features of their own.
    file: output opened for writing.
    dropped: counts harmless things that are left out.
    Raises: LineError for an example that the text cannot hold.
    """
    numbers = {str(i): str(i + 1) for i in range(len(names))}
    if names == tuple(numbers.values()):
        numbers = {name: name for name in names}
    plain = names == tuple(numbers)
    for example in examples:
        if example.weight != 1:
            raise _wrong(example, "weight", f"{example.weight:g}, the text has no place for it")
        if example.t is not None:
            dropped["times (t), left out"] += 1
        if example.actions is None and (plain or example.point is not None):
            text = _single(example, _label(example, numbers))
        else:
            text = _several(list_actions(example, names), dropped)
        file.write(text.encode())


def _label(example: Example, numbers: dict[str, str]) -> str:
    """The label of an example of one line, "" where nothing was done.

    numbers: of each arm, as the text counts them.
    """
    if example.point is not None:
        return f"ca {_number(example.point)}:{_outcome(example)}"
    words = []
    for name in example.offered or ([example.arm] if example.arm is not None else []):
        if name not in numbers:
            raise _wrong(example, "action", f"no arm called {name!r} among {len(numbers)}")
        chosen = f":{_outcome(example)}" if name == example.arm else ""
        words.append(numbers[name] + chosen)
    return " ".join(words) if example.arm is not None else ""


def _outcome(example: Example) -> str:
    """`cost:probability`, or the density."""
    if example.propensity is None:
        raise _wrong(example, "propensity", "missing, a label needs it")
    return f"{_number(example.cost or 0.0)}:{_number(example.propensity)}"


def _single(example: Example, label: str) -> str:
    """An example of one line."""
    words = [label, _identity(example), _features(example.shared)]
    return " ".join(word for word in words if word) + "\n"


def _several(example: Example, dropped: Counter[str]) -> str:
    """An example of a line for each action, and the blank one that ends it."""
    lines = []
    name = _identity(example)
    if example.shared or name:
        lines.append(" ".join(word for word in ("shared", name, _features(example.shared)) if word))
    for place, action in enumerate(example.actions or ()):
        label = f"0:{_outcome(example)}" if place == example.chosen else ""
        tag = RESERVED.sub("_", action.tag)
        if tag != action.tag:
            dropped["actions' names, with _ where there was a blank, a | or a :"] += 1
        words = label, f"'{tag}" if tag else "", _features(action.features)
        lines.append(" ".join(word for word in words if word))
    return "\n".join(lines) + "\n\n"


def _identity(example: Example) -> str:
    """The id as a tag, quoted so that nothing else is taken for it."""
    if example.id is None:
        return ""
    name = str(example.id)
    if RESERVED.search(name) or not name:
        # Observations find their decision by it, so it is not changed.
        raise _wrong(example, "id", f"{name!r} is no tag: it is empty or has a blank, a | or a :")
    return f"'{name}"


def _features(found: Features) -> str:
    """All namespaces, the default one first."""
    parts: dict[str, list[str]] = {"": []}
    for name, value in found.items():
        namespace, bar, key = name.partition("|")
        if not bar:
            namespace, key = "", name
        shown = RESERVED.sub("_", key) or "_"
        parts.setdefault(RESERVED.sub("_", namespace), []).append(
            shown if value == 1 else f"{shown}:{_number(value)}"
        )
    # What follows the bar at once is a namespace.
    named = (f"|{name or ' '}{' ' * bool(name)}{' '.join(w)}" for name, w in parts.items() if w)
    return " ".join(named) or "|"


def _number(value: float) -> str:
    """The shortest text that is read as the same number."""
    return repr(value).removesuffix(".0")


def _wrong(example: Example, field: str, problem: str) -> LineError:
    """The error of an example that the text cannot hold."""
    return example.where.error(field, problem, REMEDY)
