"""How a CSV file is written: what stands between its columns, and before its decimals.

Spreadsheets write `;` between columns and a comma before decimals where the language does, tabs
when text is copied, and sometimes a first line `sep=;` that says so.
See also: csv_rows.py for the rows, ../registry.py for the recognition of formats.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ..files import Source
from ..record import Where

DELIMITERS = (",", ";", "\t")
HINT = re.compile(r'"?sep=([^\w"\r\n])"?\s*', re.ASCII)
QUOTED = re.compile(r'"[^"]*"?')
POINT, COMMA = "point", "comma"
NUMBER = re.compile(r"\s*[+-]?\d*([.,])\d+([eE][+-]?\d+)?\s*", re.ASCII)
"""A number with decimals."""
REMEDY = "write all with points"


class Dialect(NamedTuple):
    """How a CSV file is written.

    delimiter: one character.
    hinted: whether a line before the header names it.
    """

    delimiter: str
    hinted: bool


def detect_dialect(head: bytes) -> Dialect:
    """Detect how a file is written by its first line; one that names the delimiter is obeyed.

    Otherwise it is the commonest of `DELIMITERS` outside of quotes, a comma where none is.

    head: the first line that is not blank.
    """
    text = head.decode("utf-8", "replace")
    if hint := HINT.fullmatch(text):
        return Dialect(hint[1], True)
    return Dialect(max(DELIMITERS, key=QUOTED.sub("", text).count), False)


def guess_names(source: Source) -> list[str]:
    """Return the names of the columns without parsing quotes, to recognise a format by them.

    source: opened input; nothing of it is used up.
    """
    delimiter, hinted = detect_dialect(source.head)
    header = source.read_ahead() if hinted else source.head
    text = header.decode("utf-8", "replace").strip("\r\n")
    return [name.strip(' \r\n"') for name in text.split(delimiter)]


class Decimals:
    """Rewrites decimal commas as points, in files whose delimiter is no comma.

    The first number with decimals says which mark the file uses. A number with the other one is
    refused: it may be a thousand as well as a unit.
    """

    def __init__(self) -> None:
        self._mark = ""
        self._line = 0

    def rewrite(self, where: Where, header: list[str], row: list[str]) -> list[str]:
        """Return the row with a point before all decimals.

        where: place of the row.
        header: names of the columns.
        row: a cell for each.
        Raises: LineError for a number whose mark is not that of the numbers before.
        """
        made = row
        for i, cell in enumerate(row):
            number = NUMBER.fullmatch(cell)
            if number is None:
                continue
            mark = COMMA if number[1] == "," else POINT
            if not self._mark:
                self._mark, self._line = mark, where.line
            elif mark != self._mark:
                before = f"line {self._line} has a decimal {self._mark}"
                raise where.error(header[i], f"{cell!r} has a decimal {mark}, {before}", REMEDY)
            if mark == COMMA:
                made = list(row) if made is row else made
                made[i] = cell.replace(",", ".")
        return made
