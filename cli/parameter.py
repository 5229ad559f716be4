"""One option of a command line: how its text is read, and how a value is written as text.

See also: options.py for declaring options, ../posteriors/units.py for the grammar of durations.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Iterable
from dataclasses import MISSING, dataclass
from decimal import Decimal
from difflib import get_close_matches
from enum import StrEnum
from typing import Any

from ..posteriors.errors import UsageError
from ..posteriors.units import SECONDS_BY_UNIT, parse_duration, parse_half_life

OPEN, CLOSE = "([{", ")]}"
FORMS = {int: "a whole number", float: "a number"}


@dataclass(frozen=True)
class Duration:
    """Marks a number of seconds. infinite: `inf` is a value as well. least: shortest, seconds."""

    infinite: bool = False
    least: float = 0.0


@dataclass(frozen=True)
class Spec:
    """The description of a field by `option` or `argument`.

    flags: names, empty for an argument. key: the experiment's TOML has it, as "setting" or "grid".
    least, most: bounds of a number.
    read: reads the text in place of the annotation; with repeat, all texts joined by commas.
    """

    help: str
    flags: tuple[str, ...] = ()
    positional: bool = False
    metavar: str = ""
    group: str = ""
    least: float | None = None
    most: float | None = None
    read: Callable[[str], Any] | None = None
    repeat: bool = False
    key: str = ""


@dataclass(frozen=True)
class Parameter:
    """A field as the command line sees it.

    name: of the field. kind: type of one value. marks: further words of the annotation.
    many: whether it takes several values.
    """

    name: str
    spec: Spec
    kind: Any
    marks: tuple[Any, ...]
    many: bool
    default: Any

    @property
    def flags(self) -> tuple[str, ...]:
        """Names of an option; the first is the one that messages use."""
        if self.spec.positional:
            return ()
        return self.spec.flags or ("--" + self.name.replace("_", "-"),)

    @property
    def label(self) -> str:
        """How a message names it: `--name` or `ARGUMENT`."""
        return self.flags[0] if self.flags else self.spec.metavar

    @property
    def required(self) -> bool:
        return self.default is MISSING

    @property
    def is_flag(self) -> bool:
        return self.kind is bool

    @property
    def metavar(self) -> str:
        """The value's name in help."""
        if self.spec.metavar:
            return self.spec.metavar
        if isinstance(self.kind, type) and issubclass(self.kind, StrEnum):
            return "|".join(self.kind)
        return "TIME" if self._duration else {int: "N", float: "X"}.get(self.kind, "TEXT")

    @property
    def _duration(self) -> Duration | None:
        return next((mark for mark in self.marks if isinstance(mark, Duration)), None)

    def read(self, given: Any) -> Any:
        """Read the text or texts of the command line.

        given: text, list of texts or flag; None if the option was not given.
        Returns: the value, or the default.
        Raises: UsageError, naming the option, if a text cannot be read.
        """
        if self.is_flag:
            return bool(given) != bool(self.default)
        if given is None or given == []:
            return self.default
        if self.spec.read is not None:
            return self._checked(self.spec.read, ",".join(given) if self.many else given)
        if not self.many:
            return self._checked(self._value, given)
        texts = given if self.spec.positional else split_commas(given)
        return tuple(self._checked(self._value, text) for text in texts)

    def _checked(self, read: Callable[[str], Any], text: str) -> Any:
        """Read a text; an error names the option."""
        try:
            return read(text)
        except (ValueError, UsageError) as error:
            raise UsageError(f"{self.label} {shlex.quote(text)}: {error}") from None

    def _value(self, text: str) -> Any:
        """Read one value; ValueError says how to write it."""
        if (duration := self._duration) is not None:
            return _seconds(text, duration)
        if self.kind in FORMS:
            return self._number(text)
        if isinstance(self.kind, type) and issubclass(self.kind, StrEnum):
            if text not in list(self.kind):
                raise ValueError(f"choose {' or '.join(self.kind)}{did_you_mean(text, self.kind)}")
            return self.kind(text)
        return text

    def _number(self, text: str) -> Any:
        """Read a number within its bounds."""
        least, most = self.spec.least, self.spec.most
        try:
            value = self.kind(text)
        except ValueError:
            value = math.nan
        low, high = (-math.inf if least is None else least), (math.inf if most is None else most)
        if low <= value <= high:
            return value
        bounds = [f"of at least {least:g}"] if least is not None else []
        bounds += [f"at most {most:.10g}"] if most is not None else []
        raise ValueError(f"write {FORMS[self.kind]} {' and '.join(bounds)}".rstrip())

    def text(self, value: Any) -> str:
        """Write a value so that `read` reads it.

        value: of the option; a sequence if it takes several.
        """
        if isinstance(value, tuple | list):
            return ",".join(map(self.text, value))
        if self._duration is not None and (isinstance(value, float) or not self.spec.read):
            return duration_text(float(value))
        return str(value)


def _seconds(text: str, duration: Duration) -> float:
    """Read a duration, in seconds."""
    value = parse_half_life(text) if duration.infinite else parse_duration(text)
    if value < duration.least:
        raise ValueError(f"too short; write at least {duration_text(duration.least)}")
    return value


def duration_text(seconds: float) -> str:
    """Write a duration so that it is read as the same number: `2ms`, `90s`, `2h`, `inf`.

    seconds: above 0.
    """
    if math.isinf(seconds):
        return "inf"
    texts = [f"{Decimal(repr(seconds)):f}s"]
    for unit in ("h", "m", "s", "ms", "us", "ns"):
        if (count := round(seconds / SECONDS_BY_UNIT[unit])) and (
            parse_duration(f"{count}{unit}") == seconds
        ):
            texts.append(f"{count}{unit}")
    return min(texts, key=len)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Suggest the nearest known word: `; did you mean X?`, empty if none is near.

    word: as typed.
    known: words that would be right.
    """
    close = get_close_matches(word, list(known), 1, 0.5)
    return f"; did you mean {close[0]}?" if close else ""


def split_commas(values: Iterable[str]) -> tuple[str, ...]:
    """Split repeated and comma-separated values; commas inside brackets do not separate.

    values: texts such as `a,b:x=(1,2)`.
    Returns: the parts that are not empty, in order.
    """
    found = []
    for value in values:
        depth, part = 0, ""
        for character in value:
            depth += (character in OPEN) - (character in CLOSE)
            if character == "," and depth == 0:
                found.append(part)
                part = ""
            else:
                part += character
        found.append(part)
    return tuple(text for text in (part.strip() for part in found) if text)
