"""A plain labelled CSV: every row is an event whose action is its features and y its label.

For models over vectors (arms=0). All columns must be numbers; missing values are refused.
See also: csv.py for logs with columns of events.
"""

from __future__ import annotations

from dataclasses import dataclass

from ....posteriors.errors import UsageError
from ....posteriors.specs import nearest
from ..files import Source
from ..log import LOOKAHEAD, Log, map_valid, read_ahead
from ..record import ErrorHandler, Record, raise_error
from .csv_rows import Row, check_nameless, find_column, find_nameless, parse_number, read_csv_rows


@dataclass(frozen=True)
class TableOptions:
    """label: column to predict.
    drop: columns that are no features.
    constant: "refuse" a column that is constant over the first `LOOKAHEAD` rows, or "keep" it (a
        column of ones is an intercept).
    """

    label: str = ""
    drop: tuple[str, ...] = ()
    constant: str = "refuse"


def read_table(source: Source, config: TableOptions, on_error: ErrorHandler = raise_error) -> Log:
    """Read a log over vectors, one number a feature column, in the file's order.

    source: opened input.
    config: options.
    on_error: receives wrong rows.
    Raises: UsageError if the header or an option is wrong.
    """
    header, lines = read_csv_rows(source, on_error)
    if not config.label:
        named = ", ".join(name for name in header if name)
        raise UsageError(f"{source.name}: a plain CSV needs --label COLUMN, one of {named}")
    label = find_column(source.name, header, config.label)
    for name in config.drop:
        if name not in header:
            raise UsageError(f'{source.name}:1: no column "{name}" to drop{nearest(name, header)}')
    ahead, lines = read_ahead(lines, LOOKAHEAD)
    nameless = find_nameless(source.name, header, ahead)
    left_out = {label, *nameless}
    features = [i for i, n in enumerate(header) if i not in left_out and n not in config.drop]
    if not features:
        raise UsageError(f"{source.name}:1: no feature columns beside {config.label!r}")
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
        check_nameless(where, row, nameless)
        x = [
            parse_number(where, header[i], row[i], f"or use --format table:drop={header[i]}")
            for i in features
        ]
        y = parse_number(where, config.label, row[label], "correct the line or leave it out")
        return Record(where.line, where, action=x, y=y)

    called = tuple(header[i] for i in features)
    return Log((), 0, len(features), 0, map_valid(lines, record, on_error), column_names=called)
