"""Open Bandit Dataset: logged recommendations of ZOZOTOWN, one CSV a policy and campaign.

The arms are the items, as many as there are affinity columns; the reward is the click. Not here:
the items' own features (item_context.csv), or slates: each position is an event of its own.
Source: Saito, Aihara, Matsutani and Narita (2021).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..posteriors.base import UsageError
from .csvrows import Row, column, number, rows
from .files import Source
from .log import LOOKAHEAD, Log, each, peek
from .moments import moment
from .record import Errors, Record, Where, stop

AFFINITY = re.compile(r"user[-_]item_affinity_(\d+)")
USER = re.compile(r"user_feature_\d+")
CONTEXTS = ("nothing", "position", "user", "affinity")
LONGEST_INDEX = 9
"""Digits; Python refuses to read integers of thousands of them."""
REMEDY = "correct the line or leave it out"


@dataclass(frozen=True)
class OpenBandit:
    """context: what the arms are seen with. "nothing"; "position" one-hot; "user" adds each
    user_feature one-hot; "affinity" adds the user-item affinities as they are.

    The one-hot vocabulary is that of the first `LOOKAHEAD` rows, sorted; a value first seen later
    is all zeros.
    """

    context: str = "user"


def read(source: Source, config: OpenBandit, errors: Errors = stop) -> Log:
    """A log over the items of one campaign."""
    if config.context not in CONTEXTS:
        raise UsageError(f"context={config.context!r}: choose one of {', '.join(CONTEXTS)}")
    header, lines = rows(source, errors)
    affinity = [i for i, name in enumerate(header) if AFFINITY.fullmatch(name)]
    if not affinity:
        raise UsageError(
            f"{source.name}:1: no column user-item_affinity_0; is it an Open Bandit log?"
        )
    depth = CONTEXTS.index(config.context)
    position = column(source, header, "position")
    users = [i for i, name in enumerate(header) if USER.fullmatch(name)]
    one_hot = [position] * (depth >= 1) + users * (depth >= 2)
    plain = affinity * (depth >= 3)
    ahead, lines = peek(lines, LOOKAHEAD)
    where_in_x, size = vocabulary(ahead, one_hot)
    item = column(source, header, "item_id")
    click = column(source, header, "click")
    chance = column(source, header, "propensity_score", "action_prob", "pscore")
    stamp = column(source, header, "timestamp")

    def record(line: Row) -> Record:
        where, row = line
        x = [0.0] * size
        for i in one_hot:
            place = where_in_x.get((i, row[i]))
            if place is not None:
                x[place] = 1.0
        for i in plain:
            x.append(number(where, header[i], row[i], REMEDY))
        return Record(
            row[0] or where.line,
            where,
            moment(where, "timestamp", row[stamp], REMEDY),
            x,
            None,
            arm(where, row[item], len(affinity)),
            propensity(where, header[chance], row[chance]),
            number(where, "click", row[click], REMEDY),
        )

    names = tuple(str(i) for i in range(len(affinity)))
    called = (*(f"{header[i]}={value}" for i, value in where_in_x), *(header[i] for i in plain))
    return Log(names, size + len(plain), 0, 0, each(lines, record, errors), columns=called)


def vocabulary(ahead: list[Row], columns: list[int]) -> tuple[dict[tuple[int, str], int], int]:
    """(column, value) -> its place in the context, and the number of places."""
    pairs = [(i, value) for i in columns for value in sorted({row[i] for _, row in ahead})]
    return {pair: place for place, pair in enumerate(pairs)}, len(pairs)


def arm(where: Where, text: str, count: int) -> int:
    """The item's index, below the number of affinity columns."""
    if not text.isdecimal() or len(text) > LONGEST_INDEX or int(text) >= count:
        raise where.error("item_id", f"{text!r} is not one of 0 to {count - 1}", REMEDY)
    return int(text)


def propensity(where: Where, field: str, text: str) -> float:
    """A probability above 0, as importance weights need."""
    value = number(where, field, text, REMEDY)
    if not 0 < value <= 1:
        raise where.error(field, f"{text} is no probability above 0", REMEDY)
    return value
