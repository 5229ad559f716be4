"""The first value that does not fit the declared fields of a `msgspec.Struct`.

Declarations are read, messages of the library are not: they change between versions. Use it only
for values that a decoder has refused.
See also: json_errors.py for text that is not JSON, ndjson.py for a line's other reasons.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
from msgspec import inspect

from .json_errors import Pairs, TooLarge, join_path
from .record import WRONG_VALUE

UNKNOWN, MISSING, TOO_LARGE = "unknown field", "missing field", "too large"
NAMES = {
    inspect.BoolType: "bool", inspect.IntType: "int", inspect.FloatType: "float",
    inspect.StrType: "str", inspect.StructType: "object", inspect.DictType: "object",
    inspect.ListType: "array", inspect.NoneType: "null",
}  # fmt: skip
"""The words for the types of declared fields, in the order in which errors list them."""
BOUNDS = (
    ("gt", ">", lambda value, bound: value > bound),
    ("ge", ">=", lambda value, bound: value >= bound),
    ("lt", "<", lambda value, bound: value < bound),
    ("le", "<=", lambda value, bound: value <= bound),
)


class FieldError(NamedTuple):
    """The first misfit of a value.

    field: path of the field, empty for the whole value.
    reason: `unknown field`, `missing field`, `too large` or `wrong value`.
    wanted: expectation in words, for a wrong value.
    name: the unknown or missing field.
    known: fields that an unknown one may have been meant for.
    """

    field: str
    reason: str
    wanted: str = ""
    name: str = ""
    known: tuple[str, ...] = ()


def find_field_error(value: Any, kind: type[msgspec.Struct]) -> FieldError | None:
    """Find the first misfit of a value, in the value's own order.

    value: as `check_json` or `json` gives it.
    kind: class whose fields it should have.
    Returns: the misfit; None if the value fits.
    """
    return next(_within(value, _declared(kind), ""), None)


@lru_cache(maxsize=64)
def _declared(kind: type[msgspec.Struct]) -> inspect.Type:
    """The declaration of a class."""
    return inspect.type_info(kind)


def _within(value: Any, kind: inspect.Type, field: str) -> Iterator[FieldError]:
    """Misfits of a value and of all in it."""
    kind = _bare(kind)
    options = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    options = tuple(_bare(option) for option in options)
    if any(type(option) not in NAMES for option in options):
        return
    sort = _sort_of(value)
    if isinstance(value, TooLarge):
        yield FieldError(field, TOO_LARGE)
        return
    names = [NAMES[type(option)] for option in options]
    wanted = sort if sort in names or sort != "int" else "float"
    chosen = next((o for o, name in zip(options, names, strict=True) if name == wanted), None)
    if chosen is None:
        order = list(dict.fromkeys(NAMES.values()))
        words = " | ".join(sorted(names, key=order.index))
        yield FieldError(field, WRONG_VALUE, f"expected {words}, got {sort}")
    elif isinstance(chosen, inspect.StructType):
        yield from _fields_within(value, chosen, field)
    elif isinstance(chosen, inspect.DictType):
        for name, one in _pairs(value):
            yield from _within(one, chosen.value_type, join_path(field, name))
    elif isinstance(chosen, inspect.ListType):
        yield from _lengths(value, chosen, field, wanted)
        for place, one in enumerate(value):
            yield from _within(one, chosen.item_type, f"{field}[{place}]")
    elif isinstance(chosen, inspect.StrType):
        yield from _lengths(value, chosen, field, wanted)
    elif isinstance(chosen, inspect.FloatType | inspect.IntType):
        yield from _bounds(value, chosen, field, wanted)


def _bare(kind: inspect.Type) -> inspect.Type:
    """A type without its description."""
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    return kind


def _fields_within(value: Any, kind: inspect.StructType, field: str) -> Iterator[FieldError]:
    """Misfits of an object's fields, those that are missing last."""
    known = {one.encode_name: one for one in kind.fields}
    given = set()
    for name, one in _pairs(value):
        given.add(name)
        if name in known:
            yield from _within(one, known[name].type, join_path(field, name))
        elif kind.forbid_unknown_fields:
            yield FieldError(field, UNKNOWN, name=name, known=tuple(known))
    for name, one in known.items():
        if one.required and name not in given:
            yield FieldError(field, MISSING, name=name)


def _bounds(
    value: float, kind: inspect.FloatType | inspect.IntType, field: str, name: str
) -> Iterator[FieldError]:
    """A number outside its bounds, or beyond a double."""
    if name == "float":
        try:
            value = float(value)
        except OverflowError:
            yield FieldError(field, TOO_LARGE)
            return
    for bound, sign, keeps in BOUNDS:
        limit = getattr(kind, bound)
        if limit is not None and not keeps(value, limit):
            shown = float(limit) if name == "float" else limit
            yield FieldError(field, WRONG_VALUE, f"expected {name} {sign} {shown}")


def _lengths(
    value: Any, kind: inspect.StrType | inspect.ListType, field: str, name: str
) -> Iterator[FieldError]:
    """A text or list that is too short or too long."""
    if kind.min_length is not None and len(value) < kind.min_length:
        yield FieldError(field, WRONG_VALUE, f"expected {name} of length >= {kind.min_length}")
    if kind.max_length is not None and len(value) > kind.max_length:
        yield FieldError(field, WRONG_VALUE, f"expected {name} of length <= {kind.max_length}")


def _pairs(value: Any) -> list[tuple[str, Any]]:
    """Keys and values of an object."""
    return value if isinstance(value, Pairs) else list(value.items())


def _sort_of(value: Any) -> str:
    """The word for a value's type, as JSON has it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, Pairs | dict):
        return "object"
    if isinstance(value, list | tuple):
        return "array"
    for kind in (int, float, str):
        if isinstance(value, kind):
            return kind.__name__
    return type(value).__name__.lower()
