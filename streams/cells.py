"""Values of a record as the text of one cell, and back: whole numbers, names, lists.

A cell that spells a whole number is one, as 007 is not; anything else is a text. A text that would
be taken for something else, or that is no plain line, stands in JSON's quotes. Lists are JSON. Not
here: which column a cell is in (csvlog.py).
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from .looking import look
from .record import Where

WHOLE = re.compile(r"0|-?[1-9]\d{0,300}", re.ASCII)
QUOTE, OPEN = '"', "["
REMEDY = "correct the line"


def written(value: Any) -> str:
    """The cell of a whole number, a text or a list."""
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str) and plain(value):
        return value
    return msgspec.json.encode(value).decode()


def plain(text: str) -> bool:
    """Whether a text can stand as it is."""
    return (
        text.isprintable()
        and text == text.strip()
        and text[:1] not in ("", QUOTE, OPEN)
        and not WHOLE.fullmatch(text)
    )


def value(where: Where, field: str, text: str) -> str | int | list[Any]:
    """What a cell that is not empty says, or LineError."""
    if WHOLE.fullmatch(text):
        return int(text)
    if text[0] == OPEN:
        return items(where, field, text)
    if text[0] != QUOTE:
        return text
    try:
        return msgspec.json.decode(text, type=str)
    except Exception as error:  # that it refuses is all that is read from it
        what = f"{text} is no text in quotes{because(text)}"
        raise where.error(field, what, REMEDY) from error


def items(where: Where, field: str, text: str) -> list[Any]:
    """A list, or LineError."""
    try:
        return msgspec.json.decode(text, type=list)
    except Exception as error:  # that it refuses is all that is read from it
        raise where.error(field, f"{text!r} is no list{because(text)}", REMEDY) from error


def because(text: str) -> str:
    """The flaw of a text that is not JSON, in brackets; nothing if it is."""
    flaw = look(text).flaw
    return f" ({flaw})" if flaw else ""
