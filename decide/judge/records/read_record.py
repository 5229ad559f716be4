"""Read result records that were stored as JSON, by this version or an earlier one.

See also: record.py for their fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from ....posteriors.errors import UsageError
from ....streams.formats.field_errors import MISSING, find_field_error
from ....streams.formats.json_errors import join_path
from .record import SCHEMA, Record

Row = TypeVar("Row", bound=msgspec.Struct)


def record_of(row: Mapping[str, Any], where: str = "record") -> Record:
    """Read a record that was stored as JSON.

    row: fields by name; missing newer fields get defaults, unknown ones are dropped.
    where: file and line, or another place, for the error.
    Returns: the record.
    Raises: UsageError naming the field whose value has the wrong type.
    """
    schema = row.get("schema", SCHEMA)
    if schema != SCHEMA:
        raise UsageError(f"{where}: schema {schema}; this version reads schema {SCHEMA}")
    # Every field that may be null is null by default.
    given = {name: value for name, value in row.items() if value is not None}
    made = row_of(given, Record, where)
    for name, value in made.config.items():
        if isinstance(value, list | dict):
            raise UsageError(f"{where}: config.{name}: expected a number or a text")
    return made


def row_of(row: Mapping[str, Any], kind: type[Row], where: str) -> Row:
    """Read a mapping as a struct.

    row: fields by name.
    kind: class of the result.
    where: place of the row, for the error.
    Returns: an instance of `kind`.
    Raises: UsageError naming the field that does not fit.
    """
    row = _with_nan(row, inspect.type_info(kind))
    try:
        return msgspec.convert(row, kind)
    except msgspec.ValidationError as error:
        # The text of the library's error is not relied on.
        wrong = find_field_error(row, kind)
        if wrong is None:
            raise UsageError(f"{where}: is no result record") from error
        if wrong.reason == MISSING:
            raise UsageError(f"{where}: {join_path(wrong.field, wrong.name)}: missing") from error
        raise UsageError(f"{where}: {wrong.field}: {wrong.wanted or wrong.reason}") from error


def to_dict(row: msgspec.Struct) -> dict[str, Any]:
    """Turn a record into the dictionaries and lists that its JSON has, None for NaN.

    row: a record.
    Returns: the fields by name, in their order.
    """
    return msgspec.json.decode(msgspec.json.encode(row))


def _with_nan(value: Any, kind: inspect.Type) -> Any:
    """The value with NaN for each null where only a number is declared."""
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    if value is None:
        return float("nan") if isinstance(kind, inspect.FloatType) else None
    if isinstance(kind, inspect.UnionType):
        for option in kind.types:
            value = _with_nan(value, option)
    elif isinstance(kind, inspect.StructType) and isinstance(value, Mapping):
        kinds = {field.encode_name: field.type for field in kind.fields}
        return {k: _with_nan(v, kinds[k]) if k in kinds else v for k, v in value.items()}
    elif isinstance(kind, inspect.ListType) and isinstance(value, list):
        return [_with_nan(one, kind.item_type) for one in value]
    return value
