"""A plain labelled CSV: every row is an event whose action is its features and y its label.

For models over vectors (arms=0). Not here: text columns, dates, or missing values.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..posteriors.base import UsageError
from ..posteriors.loading import nearest
from .csvrows import Row, column, number, rows
from .files import Source
from .log import LOOKAHEAD, Log, each, peek
from .record import Errors, Record, stop


@dataclass(frozen=True)
class Table:
    """label: the column to predict. drop: columns that are no features.

    A column that is constant over the first `LOOKAHEAD` rows is refused where `constant` is
    "refuse", and used where it is "keep" (a column of ones is an intercept).
    """

    label: str = ""
    drop: tuple[str, ...] = ()
    constant: str = "refuse"


def read(source: Source, config: Table, errors: Errors = stop) -> Log:
    """A log over vectors, one number a feature column, in the file's order."""
    header, lines = rows(source, errors)
    if not config.label:
        raise UsageError(
            f"{source.name}: a plain CSV needs --label COLUMN, one of {', '.join(header)}"
        )
    label = column(source, header, config.label)
    for name in config.drop:
        if name not in header:
            raise UsageError(f'{source.name}:1: no column "{name}" to drop{nearest(name, header)}')
    features = [i for i, n in enumerate(header) if i != label and n not in config.drop]
    if not features:
        raise UsageError(f"{source.name}:1: no feature columns beside {config.label!r}")
    ahead, lines = peek(lines, LOOKAHEAD)
    if config.constant == "refuse" and len(ahead) > 1:
        for i in features:
            if len({row[i] for _, row in ahead}) == 1:
                raise UsageError(
                    f'{source.name}: column "{header[i]}" is always {ahead[0][1][i]!r} and tells '
                    f"nothing; use --format table:drop={header[i]} or table:constant=keep"
                )
    elif config.constant not in ("refuse", "keep"):
        raise UsageError(f"constant={config.constant!r}: choose refuse or keep")

    def record(line: Row) -> Record:
        where, row = line
        x = [
            number(where, header[i], row[i], f"or use --format table:drop={header[i]}")
            for i in features
        ]
        y = number(where, config.label, row[label], "correct the line or leave it out")
        return Record(where.line, where, action=x, y=y)

    called = tuple(header[i] for i in features)
    return Log((), 0, len(features), 0, each(lines, record, errors), columns=called)
