"""A study of people's choices: problems of one person each, as records of a stream.

See also: registry.py for the studies, ../../decide/judge/people/bandit_choices.py for their scores.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ...posteriors.errors import UsageError
from ..formats.record import Record, Where
from ..formats.tables.csv_rows import Row, load_csv, parse_number

REMEDY = "correct the line; is it the file as published?"
GZIP = ".gz"


class Problem(NamedTuple):
    """One person on one problem, starting from the prior.

    person: name of the person, the same over problems.
    group: problems that are summed up together.
    model: spec of the model of an observer with the people's instructions.
    posterior: an exact backend for it.
    records: complete events in order, over the model's arms.
    opening: number of first events that were not the person's choice.
    truth: each arm's mean in units of y; empty if unknown.
    """

    person: str
    group: str
    model: str
    posterior: str
    records: tuple[Record, ...]
    opening: int = 0
    truth: tuple[float, ...] = ()


class Study(NamedTuple):
    """One study.

    problems: in the order of the files.
    rules: rules compared with people by default.
    usual: most people taken by default.
    rewarded: whether people were paid their observations.
    unit: nats of one unit of the study's authors, and its name.
    notes: remarks for the user.
    """

    problems: tuple[Problem, ...]
    rules: tuple[str, ...]
    usual: int
    rewarded: bool
    unit: tuple[float, str]
    notes: tuple[str, ...] = ()


class StudyTable:
    """Rows of one CSV of a study; cells are read by column name.

    All rows are read at once, so that an error comes with the file closed.

    path: the file.
    names: columns that it must have.
    """

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        _, self.header, self._lines = load_csv(str(path), names)
        self._at = {name: self.header.index(name) for name in names}

    def __iter__(self) -> Iterator[Row]:
        return iter(self._lines)

    def read_text(self, line: Row, name: str) -> str:
        """Return the text of a cell.

        line: a row.
        name: column.
        """
        return line[1][self._at[name]].strip()

    def read_number(self, line: Row, name: str) -> float:
        """Return the finite number of a cell.

        line: a row.
        name: column.
        """
        return parse_number(line[0], name, self.read_text(line, name), REMEDY)

    def read_whole(self, line: Row, name: str, low: int, high: int) -> int:
        """Return the whole number of a cell.

        line: a row.
        name: column.
        low: smallest value allowed.
        high: largest value allowed.
        Raises: LineError if it is none.
        """
        value = self.read_number(line, name)
        if value != int(value) or not low <= value <= high:
            text = self.read_text(line, name)
            raise line[0].error(name, f"{text} is not a whole number {low} to {high}", REMEDY)
        return int(value)


def find_file(folder: str, name: str) -> Path | None:
    """Find a file in a folder, gzipped or not; None if there is none.

    folder: folder of the study.
    name: file name without `.gz`.
    """
    for path in (Path(folder, name), Path(folder, name + GZIP)):
        if path.is_file():
            return path
    return None


def require_file(folder: str, study: str, name: str) -> Path:
    """Find a file in a folder, gzipped or not.

    folder: folder of the study.
    study: name of the study, for the message.
    name: file name without `.gz`.
    Raises: UsageError if there is none.
    """
    path = find_file(folder, name)
    if path is None:
        what = "no such folder" if not Path(folder).is_dir() else f"no {name} or {name}{GZIP} in it"
        raise UsageError(f"{folder}: {what}; study {study} is read from a folder that holds it")
    return path


def choice_record(name: str, where: Where, arm: int, y: float, r: float | None = None) -> Record:
    """Return the record of one choice, every arm being on offer.

    name: id of the event.
    where: place of the row.
    arm: index of the chosen arm.
    y: observation.
    r: reward.
    """
    return Record(name, where, action=arm, y=y, r=r)
