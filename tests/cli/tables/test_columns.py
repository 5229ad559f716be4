"""Columns of result records: each shows a field that the record has.

See also: tests/decide/judge/engine/test_bench.py for the tables.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec import inspect
from msgspec.structs import replace
from uncertain.cli.tables.columns import page_columns, terminal_columns
from uncertain.decide.judge.records.read_record import record_of
from uncertain.decide.judge.records.record import Record

RESULTS = Path(__file__).parents[3] / "docs" / "results"
FILES = ("default", "gain-or-reward", "testbed", "wheel", "regimes")


def rows(name: str) -> list[Record]:
    path = RESULTS / f"{name}.ndjson"
    return [record_of(json.loads(line)) for line in path.read_text().splitlines()]


def has_field(kind: Any, name: str) -> bool:
    """Whether a type has a dotted field, in some option of a union."""
    if not name:
        return True
    if isinstance(kind, inspect.Metadata):
        return has_field(kind.type, name)
    if isinstance(kind, inspect.UnionType):
        return any(has_field(option, name) for option in kind.types)
    if isinstance(kind, inspect.DictType):
        return True
    first, _, rest = name.partition(".")
    fields = kind.fields if isinstance(kind, inspect.StructType) else ()
    return any(one.encode_name == first and has_field(one.type, rest) for one in fields)


@pytest.mark.parametrize("name", FILES)
def test_each_column_shows_a_field_of_the_record(name: str) -> None:
    records, kind = rows(name), inspect.type_info(Record)
    columns = [*terminal_columns(records), *page_columns(records)]
    assert len(columns) > 20
    for column in columns:
        assert has_field(kind, column.field), column.field
        assert all(isinstance(column.show(row), str) for row in records)
    assert not has_field(kind, "gain.lower.median")


def test_a_name_may_hold_the_letters_of_no_number() -> None:
    row = replace(rows("default")[1], posterior="finance.py:build")
    texts = {column.title: column.text(row) for column in page_columns([row])}
    assert texts["posterior"] == "finance.py:build"
