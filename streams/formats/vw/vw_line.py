"""One line of Vowpal Wabbit's text: `label 'tag|namespace:scale name:value name |namespace ...`.

See also: vw_text.py for the lines of an example.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

from ..record import Where
from ..tables.csv_rows import strict_float
from .example import REMEDY, ROUNDING
from .features import Features, add_feature

SHARED, POINT, OTHER = "shared", "ca", ("ccb", "slates")
"""First words of a label: of the line that actions share, of a continuous action, of decisions
with several slots."""
BLANKS = " \t"
WORD = re.compile(r"[^ \t]+")
"""Other white space is no end of a name."""


@dataclass
class VwLine:
    """One line, parsed.

    tag: text before the bar.
    features: by namespace and name.
    shared: whether the features are those that actions share.
    arm: action of the label.
    offered: all actions that the label names.
    point: a continuous action.
    cost: cost of the action.
    propensity: probability of the action; of a point a density.
    """

    tag: str = ""
    features: Features = field(default_factory=dict)
    shared: bool = False
    arm: str | None = None
    offered: list[str] = field(default_factory=list)
    point: float | None = None
    cost: float | None = None
    propensity: float | None = None


def parse_vw_line(text: str, where: Where) -> VwLine:
    """Parse one line.

    text: the line without its end.
    where: place of the line.
    Raises: LineError naming the field.
    """
    front, bar, rest = text.partition("|")
    if not bar:
        raise where.error("", "no |", "write: label | features")
    made = VwLine(features=_features(rest, where))
    words = WORD.findall(front)
    if words and (words[-1].startswith("'") or front[-1] not in BLANKS):
        # What touches the bar is the tag, even where it was meant as a label.
        if ":" in words[-1] and not words[-1].startswith("'"):
            raise where.error("", f"{words[-1]!r} touches the |", "put a blank between them")
        if words[-1] != SHARED:
            made.tag = words.pop().removeprefix("'")
    _label(words, made, where)
    return made


def _features(text: str, where: Where) -> Features:
    """Features by namespace and name; `text` is all that follows the first bar."""
    found: Features = {}
    for section in text.split("|"):
        prefix, scale = "", 1.0
        words = WORD.findall(section)
        if section and section[0] not in BLANKS and words:
            namespace, colon, factor = words.pop(0).partition(":")
            prefix = f"{namespace}|"
            if colon:
                scale = _number(where, namespace, factor)
        unnamed = 0
        for word in words:
            name, colon, value = word.partition(":")
            if not name:
                # `:2` is a feature known by its place among those of its kind.
                name, unnamed = f"[{unnamed}]", unnamed + 1
            if not colon:
                add_feature(found, prefix + name, scale)
            elif value[:1].isalpha() and value.lower() not in ("nan", "inf", "infinity"):
                # A text for a value is a feature of its own.
                add_feature(found, f"{prefix}{name}={value}", scale)
            else:
                add_feature(found, prefix + name, scale * _number(where, prefix + name, value))
    for name, value in found.items():
        if not math.isfinite(value):
            raise where.error(name, "too large for a number", "keep it finite", "too large")
    return found


def _number(where: Where, what: str, text: str) -> float:
    """A finite number, or LineError."""
    try:
        value = strict_float(text)
    except ValueError as error:
        shown = f"{text!r} is no number" if text else "no number after :"
        raise where.error(what, shown, REMEDY, "not a number") from error
    if not math.isfinite(value):
        raise where.error(what, f"{text} is not finite", REMEDY, "not a number")
    return value


def _label(words: list[str], made: VwLine, where: Where) -> None:
    """Put the words of a label into the line."""
    if not words:
        return
    kind = words[0]
    if kind in OTHER:
        raise where.error("label", f"{kind}: several decisions in one", "write one for each slot")
    if kind == SHARED:
        if len(words) > 1:
            raise where.error("label", f"{words[1]!r} after shared is not read", REMEDY)
        made.shared = True
        return
    if kind == POINT:
        _continuous(words[1:], made, where)
        return
    for word in words:
        name, *parts = word.split(":")
        if name in made.offered:
            raise where.error(
                "label",
                f"action {name} twice",
                "keep action:cost:probability; a label for --cb --eval begins with the action of "
                "another policy, which is not read",
            )
        if not name or len(parts) > 2:
            raise where.error("label", f"{word!r} is no action:cost:probability", REMEDY)
        made.offered.append(name)
        if parts:
            if made.arm is not None:
                raise where.error("label", "a second action with a cost", "keep one of them")
            made.arm, made.cost = name, _number(where, "cost", parts[0])
            made.propensity = _probability(where, parts[1]) if len(parts) > 1 else None
    if made.arm is None:
        raise where.error(
            "label", f"{' '.join(words)!r} has no cost", "write action:cost:probability, or nothing"
        )


def _continuous(words: list[str], made: VwLine, where: Where) -> None:
    """Put `action:cost:density` into the line."""
    if not words:
        return
    parts = words[0].split(":")
    if len(words) > 1 or not 2 <= len(parts) <= 3:
        raise where.error("label", f"{' '.join(words)!r} is no action:cost:density", REMEDY)
    made.point, made.cost = _number(where, "action", parts[0]), _number(where, "cost", parts[1])
    if len(parts) > 2:
        made.propensity = _number(where, "density", parts[2])
        if made.propensity <= 0:
            raise where.error("density", f"{parts[2]} is not above 0", REMEDY)


def _probability(where: Where, text: str) -> float:
    """A probability above 0, as importance weights need."""
    value = _number(where, "probability", text)
    if not 0 < value <= 1 + ROUNDING:
        raise where.error("probability", f"{text} is no probability above 0", REMEDY)
    return min(value, 1.0)
