"""Conversion between ISO 8601 times and seconds since 1970.

Times in a stream's own seconds need no conversion.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from .record import Where

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


def parse_time(where: Where, field: str, text: str, remedy: str) -> float:
    """Return the seconds since 1970 of a time; without a zone it is UTC on every machine.

    where: place of the line.
    field: field that holds it.
    text: ISO 8601 time.
    remedy: a short phrase for the error.
    Raises: LineError if it is no time.
    """
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is None:
            found = found.replace(tzinfo=UTC)
        return (found - BEGINNING).total_seconds()
    except (ValueError, OverflowError) as error:
        raise where.error(field, f"{text!r} is no ISO time", remedy) from error


def format_time(seconds: float) -> str | None:
    """Return the time in UTC to the microsecond; None outside the years 1 to 9999.

    seconds: since 1970.
    """
    try:
        found = BEGINNING + timedelta(seconds=seconds)
    except OverflowError:
        return None
    return found.isoformat(timespec="microseconds").replace("+00:00", "Z")
