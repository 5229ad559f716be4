"""Payoff tables: the reward of each arm for each class, of which an entry may be a gamble.

An entry is a number, or `5 or -35 at 0.5`: the first with that probability, else the second.
See also: labelled.py for the world, rows.py for the classes.
"""

from __future__ import annotations

import math
import re
import tomllib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...posteriors.errors import UsageError
from ...posteriors.specs import nearest
from ..formats.tables.csv_rows import load_csv

GAMBLE = re.compile(r"^\s*(\S+)\s+or\s+(\S+)\s+at\s+(\S+)\s*$")


class Payoff(NamedTuple):
    """Rewards of arms by class.

    arms: names of the arms.
    first: `[K, A]` reward with probability `chance`.
    second: `[K, A]` reward otherwise.
    chance: `[K, A]` probability of `first`.
    """

    arms: tuple[str, ...]
    first: np.ndarray
    second: np.ndarray
    chance: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """Expected reward `[K, A]`."""
        return self.chance * self.first + (1 - self.chance) * self.second


Table = dict[str, dict[str, str]]
"""Class -> arm -> entry as written."""

BUILT_IN: dict[str, Table] = {
    # Riquelme, Tucker and Snoek (2018), after Blundell et al. (2015): eat it or leave it.
    "mushroom": {
        "edible": {"eat": "5", "pass": "0"},
        "poisonous": {"eat": "5 or -35 at 0.5", "pass": "0"},
    },
}


def right_class_payoff(classes: tuple[str, ...]) -> Payoff:
    """Return the payoff of an arm a class; 1 for the right one, 0 for any other.

    classes: names of the classes.
    """
    pay = np.eye(len(classes))
    return Payoff(classes, pay, pay, np.ones_like(pay))


def read_payoff(source: str, classes: tuple[str, ...], data: str) -> Payoff:
    """Read a payoff table.

    source: a built-in name, or a TOML or CSV file.
    classes: classes of the data.
    data: name of the data, for messages.
    Raises: UsageError if the table is wrong or lacks a class.
    """
    table = BUILT_IN.get(source)
    if table is None:
        if not source.lower().endswith((".toml", ".csv", ".csv.gz")):
            raise UsageError(
                f'no payoff table "{source}"{nearest(source, list(BUILT_IN))}; or a file of '
                "classes by arms, FILE.toml or FILE.csv"
            )
        table = _from_toml(source) if source.lower().endswith(".toml") else _from_csv(source)
    if not table or not all(table.values()):
        raise UsageError(f"{source}: no classes with arms; write one row a class, one entry an arm")
    arms = tuple(next(iter(table.values())))
    for name, row in table.items():
        for arm in (*arms, *row):
            if arm not in row or arm not in arms:
                raise UsageError(
                    f'{source}: class "{name}" and arm "{arm}" have no entry; every class '
                    "needs the same arms"
                )
    for name in classes:
        if name not in table:
            raise UsageError(
                f'{source}: no class "{name}", which {data} has{nearest(name, list(table))}; '
                "add a row for it"
            )
    cells = [[_entry(table[c][arm], source, c, arm) for arm in arms] for c in classes]
    first, second, chance = np.moveaxis(np.array(cells, float), -1, 0)
    return Payoff(arms, first, second, chance)


def _from_toml(path: str) -> Table:
    """`[class]` tables of `arm = entry`."""
    try:
        found = tomllib.loads(Path(path).read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise UsageError(f"{path}: cannot be read ({reason}); check the path") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: not TOML: {error}") from error
    for name, row in found.items():
        if not isinstance(row, dict):
            raise UsageError(f"{path}: {name} is no table; write [{name}] and a line for each arm")
    return {name: {arm: str(cell) for arm, cell in row.items()} for name, row in found.items()}


def _from_csv(path: str) -> Table:
    """A row a class: its name, then an entry for each arm that the first line names."""
    _, header, every = load_csv(path)
    table: Table = {}
    for where, (name, *cells) in every:
        if name.strip() in table:
            raise where.error(header[0], f'"{name}" occurs twice', "leave one of them out")
        table[name.strip()] = dict(zip(header[1:], cells, strict=True))
    return table


def _entry(text: str, source: str, name: str, arm: str) -> tuple[float, float, float]:
    """(first, second, chance of the first) of one entry."""
    gamble = GAMBLE.match(text)
    parts = gamble.groups() if gamble else (text, text, "1")
    try:
        first, second, chance = (float(part) for part in parts)
    except ValueError:
        first = second = chance = math.nan
    if not (math.isfinite(first) and math.isfinite(second) and 0 <= chance <= 1):
        raise UsageError(
            f'{source}: class "{name}", arm "{arm}": {text!r} is no entry; write a number, or '
            '"5 or -35 at 0.5"'
        )
    return first, second, chance


__all__ = ["BUILT_IN", "Payoff", "read_payoff", "right_class_payoff"]
