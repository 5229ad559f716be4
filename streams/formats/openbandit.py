"""Open Bandit Dataset: logged recommendations of ZOZOTOWN, one CSV a policy and campaign.

The arms are the items, as many as there are affinity columns; the reward is the click. Each
position of a slate is an event of its own. The items' own features (item_context.csv) are not read.
Source: Saito, Aihara, Matsutani and Narita (2021).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...posteriors.errors import UsageError
from .files import Source
from .log import LOOKAHEAD, Log, map_valid, read_ahead
from .record import ErrorHandler, Record, Where, raise_error
from .tables.csv_rows import Row, find_column, parse_number, read_csv_rows
from .timestamps import parse_time

AFFINITY = re.compile(r"user[-_]item_affinity_(\d+)")
USER = re.compile(r"user_feature_\d+")
CONTEXTS = ("nothing", "position", "user", "affinity")
LONGEST_INDEX = 9
"""Digits; Python refuses to read integers of thousands of them."""
REMEDY = "correct the line or leave it out"


@dataclass(frozen=True)
class OpenBanditOptions:
    """context: features that come with the arms. "nothing"; "position" one-hot; "user" adds each
    user_feature one-hot; "affinity" adds the user-item affinities as they are.

    The one-hot vocabulary is that of the first `LOOKAHEAD` rows, sorted; a value first seen later
    is all zeros.
    """

    context: str = "user"


def read_openbandit(
    source: Source, config: OpenBanditOptions, on_error: ErrorHandler = raise_error
) -> Log:
    """Read a log over the items of one campaign.

    source: opened input.
    config: options.
    on_error: receives wrong rows.
    Raises: UsageError if it is no Open Bandit log.
    """
    if config.context not in CONTEXTS:
        raise UsageError(f"context={config.context!r}: choose one of {', '.join(CONTEXTS)}")
    header, lines = read_csv_rows(source, on_error)
    affinity = [i for i, name in enumerate(header) if AFFINITY.fullmatch(name)]
    if not affinity:
        raise UsageError(
            f"{source.name}:1: no column user-item_affinity_0; is it an Open Bandit log?"
        )
    depth = CONTEXTS.index(config.context)
    position = find_column(source.name, header, "position")
    users = [i for i, name in enumerate(header) if USER.fullmatch(name)]
    one_hot = [position] * (depth >= 1) + users * (depth >= 2)
    plain = affinity * (depth >= 3)
    ahead, lines = read_ahead(lines, LOOKAHEAD)
    where_in_x, size = _vocabulary(ahead, one_hot)
    item = find_column(source.name, header, "item_id")
    click = find_column(source.name, header, "click")
    chance = find_column(source.name, header, "propensity_score", "action_prob", "pscore")
    stamp = find_column(source.name, header, "timestamp")

    def record(line: Row) -> Record:
        where, row = line
        x = [0.0] * size
        for i in one_hot:
            place = where_in_x.get((i, row[i]))
            if place is not None:
                x[place] = 1.0
        for i in plain:
            x.append(parse_number(where, header[i], row[i], REMEDY))
        return Record(
            row[0] or where.line,
            where,
            parse_time(where, "timestamp", row[stamp], REMEDY),
            x,
            None,
            _arm(where, row[item], len(affinity)),
            _propensity(where, header[chance], row[chance]),
            parse_number(where, "click", row[click], REMEDY),
        )

    names = tuple(str(i) for i in range(len(affinity)))
    called = (*(f"{header[i]}={value}" for i, value in where_in_x), *(header[i] for i in plain))
    return Log(
        names, size + len(plain), 0, 0, map_valid(lines, record, on_error), column_names=called
    )


def _vocabulary(ahead: list[Row], columns: list[int]) -> tuple[dict[tuple[int, str], int], int]:
    """(column, value) -> its place in the context, and the number of places."""
    pairs = [(i, value) for i in columns for value in sorted({row[i] for _, row in ahead})]
    return {pair: place for place, pair in enumerate(pairs)}, len(pairs)


def _arm(where: Where, text: str, count: int) -> int:
    """The item's index, below the number of affinity columns."""
    if not text.isdecimal() or len(text) > LONGEST_INDEX or int(text) >= count:
        raise where.error("item_id", f"{text!r} is not one of 0 to {count - 1}", REMEDY)
    return int(text)


def _propensity(where: Where, field: str, text: str) -> float:
    """A probability above 0, as importance weights need."""
    value = parse_number(where, field, text, REMEDY)
    if not 0 < value <= 1:
        raise where.error(field, f"{text} is no probability above 0", REMEDY)
    return value
