"""What a study of people's choices gives: problems of one person each, as records of a stream.

Not here: any study's files, or what a choice was worth (decide/judge/people.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ...posteriors.base import UsageError
from ..csvrows import Row, column, number, rows
from ..files import Source
from ..record import Record, Where

REMEDY = "correct the line; is it the file as published?"
GZIP = ".gz"


class Problem(NamedTuple):
    """One person on one problem, from a belief of nothing.

    person: who, the same over problems. group: which problems are summed up together. model: spec
    of what an observer believes who was told what people were told. posterior: an exact backend
    for it. records: complete events in order, over the model's arms. opening: how many of the
    first were not the person's choice. truth: each arm's mean where it is known, in units of y;
    empty where nobody says.
    """

    person: str
    group: str
    model: str
    posterior: str
    records: tuple[Record, ...]
    opening: int = 0
    truth: tuple[float, ...] = ()


class Study(NamedTuple):
    """problems in the order of the files. rules: what is compared with people unless told
    otherwise. usual: most people taken unless all are asked for. rewarded: whether people were
    paid what they observed. unit: nats of one of the unit that the study's authors use, and its
    name. notes: for people."""

    problems: tuple[Problem, ...]
    rules: tuple[str, ...]
    usual: int
    rewarded: bool
    unit: tuple[float, str]
    notes: tuple[str, ...] = ()


class Cells:
    """The rows of one CSV of a study; numbers are read by column name.

    All are read at once: a wrong one is met with the file closed.
    """

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        source = Source(str(path))
        try:
            self.header, lines = rows(source)
            self._at = {name: column(source, self.header, name) for name in names}
            self._lines = list(lines)
        finally:
            source.close()

    def __iter__(self) -> Iterator[Row]:
        return iter(self._lines)

    def text(self, line: Row, name: str) -> str:
        """What stands in a named column."""
        return line[1][self._at[name]].strip()

    def number(self, line: Row, name: str) -> float:
        """A finite number."""
        return number(line[0], name, self.text(line, name), REMEDY)

    def whole(self, line: Row, name: str, low: int, high: int) -> int:
        """A whole number from low to high."""
        value = self.number(line, name)
        if value != int(value) or not low <= value <= high:
            text = self.text(line, name)
            raise line[0].error(name, f"{text} is not a whole number {low} to {high}", REMEDY)
        return int(value)


def found(folder: str, name: str) -> Path | None:
    """The file of that name in a folder, gzipped or not; None where there is none."""
    for path in (Path(folder, name), Path(folder, name + GZIP)):
        if path.is_file():
            return path
    return None


def needed(folder: str, study: str, name: str) -> Path:
    """The same, or one line that says what is missing."""
    path = found(folder, name)
    if path is None:
        what = "no such folder" if not Path(folder).is_dir() else f"no {name} or {name}{GZIP} in it"
        raise UsageError(f"{folder}: {what}; study {study} is read from a folder that holds it")
    return path


def event(name: str, where: Where, arm: int, y: float, r: float | None = None) -> Record:
    """One choice of an arm, every arm being on offer, and what followed."""
    return Record(name, where, action=arm, y=y, r=r)
