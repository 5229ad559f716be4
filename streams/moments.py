"""Times as logs write them, and back: ISO 8601 as seconds since 1970.

Not here: times in a stream's own seconds, which need no reading.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from .record import Where

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


def moment(where: Where, field: str, text: str, remedy: str) -> float:
    """Seconds since 1970; a time that names no zone is UTC, whatever machine reads it."""
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is None:
            found = found.replace(tzinfo=UTC)
        return (found - BEGINNING).total_seconds()
    except (ValueError, OverflowError) as error:
        raise where.error(field, f"{text!r} is no ISO time", remedy) from error


def iso(seconds: float) -> str | None:
    """The time in UTC to the microsecond; None for one outside the years 1 to 9999."""
    try:
        found = BEGINNING + timedelta(seconds=seconds)
    except OverflowError:
        return None
    return found.isoformat(timespec="microseconds").replace("+00:00", "Z")
