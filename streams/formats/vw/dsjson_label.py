"""The label of a dsjson line: the action that was taken, its cost and its probability.

See also: dsjson.py for the rest of the line.
"""

from __future__ import annotations

import math
from typing import Any

from ....posteriors.specs import nearest
from ..record import Where
from .example import REMEDY, ROUNDING, Example

LABELS = ("action", "cost", "probability", "index")
POINT = ("action", "cost", "pdf_value")

Pairs = tuple[tuple[str, Any], ...]
"""An object as it is written: a key that occurs twice is two features. Lists are lists."""


def finite_number(where: Where, field: str, value: Any) -> float:
    """Return a value as a finite number.

    where: place of the line.
    field: name of the field.
    value: decoded JSON.
    Raises: LineError if it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        shown = "a list" if isinstance(value, list) else repr(value)
        raise where.error(field, f"{shown} is no number", REMEDY, "not a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if math.isinf(number):
        raise where.error(field, "too large for a number", "keep it finite", "too large")
    return number


def read_label(pairs: Pairs, where: Where) -> dict[str, float]:
    """Read the parts of a label by name; those of a continuous action are `pdf_value` and `point`.

    pairs: keys and values of the object.
    where: place of the line.
    Raises: LineError for an unknown part or no number.
    """
    found: dict[str, float] = {}
    for key, value in pairs:
        if not key.startswith("_label"):
            continue
        name = key.removeprefix("_label").removeprefix("_").lower()
        parts: Pairs = ((name, value),)
        known = LABELS
        if name == "" and isinstance(value, str):
            parts = _text_label(where, value)
        elif name in ("", "ca"):
            if not isinstance(value, tuple):
                raise where.error(key, "is no object", REMEDY)
            parts, known = value, POINT if name else LABELS
        for part, number in parts:
            if part.lower() not in known:
                what = f'no part of a label called "{part}"'
                raise where.error(
                    key, what, nearest(part.lower(), list(known))[2:], "unknown field"
                )
            named = "point" if known is POINT and part == "action" else part.lower()
            if named in found:
                raise where.error(key, "given twice", REMEDY)
            found[named] = finite_number(where, key, number)
    return found


def _text_label(where: Where, text: str) -> Pairs:
    """The parts of a label written as `action:cost:probability`, as in Vowpal Wabbit's text."""
    words = text.split(":")
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = []
    if len(numbers) != len(LABELS) - 1:
        problem = f"{text!r} is not action:cost:probability"
        raise where.error("_label", problem, REMEDY)
    return tuple(zip(LABELS, numbers, strict=False))


def apply_label(made: Example, label: dict[str, float]) -> None:
    """Put a label into an example; a line without a label asks for an action.

    made: the example, changed in place.
    label: parts by name.
    Raises: LineError if parts are missing or contradict each other.
    """
    if not label:
        return
    where, chance = made.where, label.get("probability", label.get("pdf_value"))
    if "cost" not in label:
        raise where.error("_label_cost", "missing", REMEDY, "missing field")
    made.cost = label["cost"]
    if "point" in label:
        if chance is not None and chance <= 0:
            raise where.error("_label_ca", f"{chance:g} is no density above 0", REMEDY)
        made.point, made.propensity = label["point"], chance
        return
    if chance is not None:
        if not 0 < chance <= 1 + ROUNDING:
            what = f"{chance:g} is no probability above 0"
            raise where.error("_label_probability", what, REMEDY)
        made.propensity = min(chance, 1.0)
    action, index = _whole(where, label, "action"), _whole(where, label, "index")
    if made.actions is None and index is None:
        if action is None:
            raise where.error("_label_Action", "missing", REMEDY, "missing field")
        made.arm = str(action)
        return
    if index is None:
        if action == 0:
            raise where.error("_label_Action", "0, but actions are counted from 1", REMEDY)
        if action is None:
            raise where.error("_labelIndex", "missing", REMEDY, "missing field")
        index = action - 1
    elif action and action != index + 1:
        raise where.error(
            "_labelIndex", f"{index} (from 0) and _label_Action {action} (from 1) differ", REMEDY
        )
    if not 0 <= index < len(made.actions or ()):
        raise where.error("_labelIndex", f"{index} is none of {len(made.actions or ())}", REMEDY)
    made.chosen = index


def _whole(where: Where, label: dict[str, float], part: str) -> int | None:
    """A part of the label that counts actions."""
    value = label.get(part)
    if value is None:
        return None
    if value < 0 or not value.is_integer():
        field = "_labelIndex" if part == "index" else "_label_Action"
        raise where.error(field, f"{value:g} is no whole number from 0", REMEDY)
    return int(value)
