"""Units of time and size, and the grammar of durations: `2ms`, `5s`, `10m`, `1h`.

Values are in seconds everywhere; other units appear only at the edges: typed options, tables and
the system calls that count in nanoseconds.
"""

from __future__ import annotations

import re

from .errors import UsageError

NANOSECOND = 1e-9
MICROSECOND = 1e-6
MILLISECOND = 1e-3
MINUTE = 60.0
HOUR = 3600.0
"""Seconds in each."""

MS_PER_S = 1e3
US_PER_S = 1e6
NS_PER_S = 1e9
US_PER_NS = 1e-3
"""Factors for places that multiply: `1e3 * x` and `x / 1e-3` may round differently."""

KILOBYTE = 1e3
MEGABYTE = 1e6
"""Bytes in each."""

SECONDS_BY_UNIT = {
    "ns": NANOSECOND,
    "us": MICROSECOND,
    "µs": MICROSECOND,
    "ms": MILLISECOND,
    "s": 1.0,
    "m": MINUTE,
    "h": HOUR,
}
_DURATION = re.compile(r"(\d+\.?\d*|\.\d+)\s*([a-zµ]*)")


def parse_duration(text: str) -> float:
    """Read a duration such as `5ms`, `300us`, `.1s`, `10m` or `2h`.

    text: a number above 0 and a unit of `SECONDS_BY_UNIT`; blanks around either are allowed.

    Returns: seconds.
    Raises: UsageError if the number or the unit is missing or unknown.
    """
    text = text.strip()
    match = _DURATION.fullmatch(text)
    if match and float(match[1]) > 0:
        number, unit = float(match[1]), match[2]
        if unit in SECONDS_BY_UNIT:
            return number * SECONDS_BY_UNIT[unit]
        if not unit:
            raise UsageError(f"{text!r} is no duration: it has no unit; write {text}s")
        if unit == "min":
            raise UsageError(f"{text!r} is no duration: minutes are m; write {match[1]}m")
    raise UsageError(f"{text!r} is no duration; write 5ms, 300us or 0.1s")


def parse_half_life(text: str) -> float:
    """Read a half-life: a duration, or `inf`, with which nothing is forgotten.

    text: a duration or `inf`.

    Returns: seconds.
    Raises: UsageError if the text is neither.
    """
    return float("inf") if text.strip() == "inf" else parse_duration(text)


__all__ = [
    "HOUR",
    "KILOBYTE",
    "MEGABYTE",
    "MICROSECOND",
    "MILLISECOND",
    "MINUTE",
    "MS_PER_S",
    "NANOSECOND",
    "NS_PER_S",
    "SECONDS_BY_UNIT",
    "US_PER_NS",
    "US_PER_S",
    "parse_duration",
    "parse_half_life",
]  # fmt: skip
