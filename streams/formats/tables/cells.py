"""Values of a record as the text of one cell, and back: whole numbers, names, lists.

A cell that spells a whole number is one, as 007 is not; anything else is a text. A text that would
be taken for something else, or that is no plain line, stands in JSON's quotes. Lists are JSON.
See also: csv.py for the columns.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from ..json_errors import check_json
from ..record import Where

WHOLE = re.compile(r"0|-?[1-9]\d{0,300}", re.ASCII)
QUOTE, OPEN = '"', "["
REMEDY = "correct the line"


def format_cell(value: Any) -> str:
    """Return the cell of a whole number, a text or a list.

    value: the value.
    """
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str) and _plain(value):
        return value
    return msgspec.json.encode(value).decode()


def _plain(text: str) -> bool:
    """Whether a text can stand as it is."""
    return (
        text.isprintable()
        and text == text.strip()
        and text[:1] not in ("", QUOTE, OPEN)
        and not WHOLE.fullmatch(text)
    )


def parse_cell(where: Where, field: str, text: str) -> str | int | list[Any]:
    """Return the value of a cell that is not empty.

    where: place of the row.
    field: name of the column.
    text: the cell.
    Raises: LineError if it is no value.
    """
    if WHOLE.fullmatch(text):
        return int(text)
    if text[0] == OPEN:
        return parse_list(where, field, text)
    if text[0] != QUOTE:
        return text
    try:
        return msgspec.json.decode(text, type=str)
    except Exception as error:  # that it refuses is all that is read from it
        what = f"{text} is no text in quotes{_because(text)}"
        raise where.error(field, what, REMEDY) from error


def parse_list(where: Where, field: str, text: str) -> list[Any]:
    """Return the list that a cell holds as JSON.

    where: place of the row.
    field: name of the column.
    text: the cell.
    Raises: LineError if it is no list.
    """
    try:
        return msgspec.json.decode(text, type=list)
    except Exception as error:  # that it refuses is all that is read from it
        raise where.error(field, f"{text!r} is no list{_because(text)}", REMEDY) from error


def _because(text: str) -> str:
    """The flaw of a text that is not JSON, in brackets; nothing if it is."""
    flaw = check_json(text).flaw
    return f" ({flaw})" if flaw else ""
