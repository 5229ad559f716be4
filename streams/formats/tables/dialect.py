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
    names: of the columns, as the header has them; without quotes, for recognition alone.
    """

    delimiter: str
    hinted: bool
    names: list[str]

    @property
    def separated(self) -> bool:
        """Whether the header has more than one column."""
        return len(self.names) > 1


def detect_dialect(source: Source) -> Dialect:
    """Detect how a file is written by its first line; one that names the delimiter is obeyed.

    Otherwise it is the commonest of `DELIMITERS` outside of quotes, a comma where none is.

    source: opened input; nothing of it is used up.
    """
    head = source.head.decode("utf-8", "replace")
    hint = HINT.fullmatch(head)
    if hint:
        delimiter = hint[1]
        head = source.read_second_line().decode("utf-8", "replace")
    else:
        bare = QUOTED.sub("", head)
        delimiter = max(DELIMITERS, key=bare.count)
    names = [name.strip(' \r\n"') for name in head.strip("\r\n").split(delimiter)]
    return Dialect(delimiter, hint is not None, names)


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
