"""Native events as CSV: the fields of NDJSON as columns, `x.0`, `x.1`, ... for the context.

A vector action or observation has columns like the context's; candidates and costs are JSON in one
cell; an empty cell is an absent field.
See also: ../ndjson.py for the meaning and the rules of the fields, cells.py for single cells.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from ....posteriors.errors import UsageError
from ....posteriors.specs import nearest
from ..columns_needed import ELEMENTS, VECTOR, ColumnTypes, column_error
from ..files import Source
from ..log import LOOKAHEAD, Log, NoOptions, infer_log, map_valid, read_ahead
from ..ndjson import FIELDS, record_from_fields
from ..record import ErrorHandler, Record, Where, raise_error
from . import cells
from .csv_rows import Row, check_nameless, find_nameless, parse_number, read_csv_rows

ELEMENT = re.compile(r"(x|action|y)\.(0|[1-9]\d{0,6})", re.ASCII)
LISTS = ("actions", "cost")
OPTIONAL = (*LISTS, "deadline")
"""Fields that have a column only where one of the first records uses them."""
REMEDY = "correct the line"


def is_event_header(names: list[str]) -> bool:
    """Return whether the columns of a CSV are those of native events, or have no name.

    names: of all columns.
    """
    known = all(not name or name in FIELDS or ELEMENT.fullmatch(name) for name in names)
    return known and "id" in names and any(n.partition(".")[0] in ("action", "y") for n in names)


def read_csv(source: Source, config: NoOptions, on_error: ErrorHandler = raise_error) -> Log:
    """Read a log of events; its arms or vector size are those of its first lines.

    source: opened input.
    config: no options.
    on_error: receives wrong rows.
    Raises: UsageError if the header is wrong.
    """
    header, lines = read_csv_rows(source, on_error)
    plain: list[tuple[int, str]] = []
    found: dict[str, dict[int, int]] = {name: {} for name in ELEMENTS}
    for column, name in enumerate(header):
        if element := ELEMENT.fullmatch(name):
            found[element[1]][int(element[2])] = column
        elif name in FIELDS:
            plain.append((column, name))
        elif name:
            known = nearest(name, [*FIELDS, "x.0"])
            raise UsageError(f'{source.name}:1: no field called "{name}"{known}')
    vectors = [(name, _columns(source, name, places)) for name, places in found.items() if places]
    nameless: list[int] = []
    if "" in header:
        ahead, lines = read_ahead(lines, LOOKAHEAD)
        nameless = find_nameless(source.name, header, ahead)

    def record(line: Row) -> Record:
        where, row = line
        check_nameless(where, row, nameless)
        fields: dict[str, Any] = {}
        for column, name in plain:
            if text := row[column]:
                fields[name] = _single(where, name, text)
        for name, places in vectors:
            if (vector := _elements(where, name, [row[i] for i in places])) is not None:
                if name in fields:
                    raise where.error(name, f"given twice, as {name} and as {name}.0", REMEDY)
                fields[name] = vector
        return record_from_fields(fields, where)

    return infer_log(map_valid(lines, record, on_error), on_error)


def _columns(source: Source, name: str, places: dict[int, int]) -> list[int]:
    """The columns of a vector in their order, none missing."""
    for i in range(len(places)):
        if i not in places:
            raise UsageError(f"{source.name}:1: no column {name}.{i}, but {name}.{max(places)}")
    return [places[i] for i in range(len(places))]


def _single(where: Where, name: str, text: str) -> Any:
    """What a cell says under the field that it stands for."""
    if name in ("id", "action"):
        return cells.parse_cell(where, name, text)
    if name in LISTS or text[0] == cells.OPEN:
        return cells.parse_list(where, name, text)
    return parse_number(where, name, text, REMEDY)


def _elements(where: Where, name: str, texts: list[str]) -> list[float] | None:
    """The numbers of a vector; shorter ones leave the last cells empty, absent ones all."""
    while texts and not texts[-1]:
        texts.pop()
    return [parse_number(where, f"{name}.{i}", t, REMEDY) for i, t in enumerate(texts)] or None


def write_csv(records: Iterator[Record], file: BinaryIO) -> None:
    """Write a log; its columns are those that its first `LOOKAHEAD` records need.

    records: records in order.
    file: output opened for writing.
    Raises: LineError for a record that needs other columns.
    """
    ahead, records = read_ahead(records, LOOKAHEAD)
    shape = ColumnTypes(ahead)
    names: list[str] = []
    for name in FIELDS:
        vector = [f"{name}.{i}" for i in range(shape.widths.get(name, 0))]
        scalar = name != "x" and (name not in OPTIONAL or name in shape.used)
        # Where all are vectors, the column for what is none would be empty throughout.
        names += [name] * (scalar and not (vector and shape.single_type(name) == VECTOR)) + vector
    place = {name: i for i, name in enumerate(names)}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for record in records:
        writer.writerow(_row(record, place, shape))
        file.write(text.getvalue().encode())
        text.seek(0)
        text.truncate()
    file.write(text.getvalue().encode())


def _row(record: Record, place: dict[str, int], shape: ColumnTypes) -> list[str]:
    """The cells of a record."""
    cell = [""] * len(place)

    def put(column: str, text: str, field: str) -> None:
        if column not in place:
            raise column_error(
                record, field, f"{shape.describe_sample()} give it no column {column}"
            )
        cell[place[column]] = text

    for name in FIELDS:
        given = getattr(record, name)
        if given is None or (name == "x" and not given) or (name == "weight" and given == 1):
            continue
        if name in ELEMENTS and isinstance(given, list) and given:
            for i, one in enumerate(given):
                put(f"{name}.{i}", repr(one), name)
        elif isinstance(given, float):
            put(name, repr(given), name)
        else:
            put(name, cells.format_cell(given), name)
    return cell
