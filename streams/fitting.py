"""The first value that does not fit the declared fields of a `msgspec.Struct`.

Declarations are read, error messages are not: see looking.py for the reason. Only for values that
a decoder has refused. See also: ndjson.py for a line's other reasons.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
from msgspec import inspect

from .looking import Pairs, TooLarge, inner
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


class Misfit(NamedTuple):
    """field: with its path, empty for the whole. name: of an unknown or missing field. known: the
    fields it may have been. wanted: in words, for a wrong value."""

    field: str
    reason: str
    wanted: str = ""
    name: str = ""
    known: tuple[str, ...] = ()


def misfit(value: Any, kind: type[msgspec.Struct]) -> Misfit | None:
    """The first misfit of a value, in its own order; None if it fits."""
    return next(within(value, declared(kind), ""), None)


@lru_cache(maxsize=64)
def declared(kind: type[msgspec.Struct]) -> inspect.Type:
    """The declaration of a class."""
    return inspect.type_info(kind)


def within(value: Any, kind: inspect.Type, field: str) -> Iterator[Misfit]:
    """Misfits of a value and of all in it."""
    options = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    if any(type(option) not in NAMES for option in options):
        return
    sort = sort_of(value)
    if isinstance(value, TooLarge):
        yield Misfit(field, TOO_LARGE)
        return
    names = [NAMES[type(option)] for option in options]
    wanted = sort if sort in names or sort != "int" else "float"
    chosen = next((o for o, name in zip(options, names, strict=True) if name == wanted), None)
    if chosen is None:
        order = list(dict.fromkeys(NAMES.values()))
        words = " | ".join(sorted(names, key=order.index))
        yield Misfit(field, WRONG_VALUE, f"expected {words}, got {sort}")
    elif isinstance(chosen, inspect.StructType):
        yield from fields_within(value, chosen, field)
    elif isinstance(chosen, inspect.DictType):
        for name, one in pairs(value):
            yield from within(one, chosen.value_type, inner(field, name))
    elif isinstance(chosen, inspect.ListType):
        yield from lengths(value, chosen, field, wanted)
        for place, one in enumerate(value):
            yield from within(one, chosen.item_type, f"{field}[{place}]")
    elif isinstance(chosen, inspect.StrType):
        yield from lengths(value, chosen, field, wanted)
    elif isinstance(chosen, inspect.FloatType | inspect.IntType):
        yield from bounds(value, chosen, field, wanted)


def fields_within(value: Any, kind: inspect.StructType, field: str) -> Iterator[Misfit]:
    """Misfits of an object's fields, those that are missing last."""
    known = {one.encode_name: one for one in kind.fields}
    given = set()
    for name, one in pairs(value):
        given.add(name)
        if name in known:
            yield from within(one, known[name].type, inner(field, name))
        elif kind.forbid_unknown_fields:
            yield Misfit(field, UNKNOWN, name=name, known=tuple(known))
    for name, one in known.items():
        if one.required and name not in given:
            yield Misfit(field, MISSING, name=name)


def bounds(
    value: float, kind: inspect.FloatType | inspect.IntType, field: str, name: str
) -> Iterator[Misfit]:
    """A number outside its bounds, or beyond a double."""
    if name == "float":
        try:
            value = float(value)
        except OverflowError:
            yield Misfit(field, TOO_LARGE)
            return
    for bound, sign, keeps in BOUNDS:
        limit = getattr(kind, bound)
        if limit is not None and not keeps(value, limit):
            shown = float(limit) if name == "float" else limit
            yield Misfit(field, WRONG_VALUE, f"expected {name} {sign} {shown}")


def lengths(
    value: Any, kind: inspect.StrType | inspect.ListType, field: str, name: str
) -> Iterator[Misfit]:
    """A text or list that is too short or too long."""
    if kind.min_length is not None and len(value) < kind.min_length:
        yield Misfit(field, WRONG_VALUE, f"expected {name} of length >= {kind.min_length}")
    if kind.max_length is not None and len(value) > kind.max_length:
        yield Misfit(field, WRONG_VALUE, f"expected {name} of length <= {kind.max_length}")


def pairs(value: Any) -> list[tuple[str, Any]]:
    """Keys and values of an object."""
    return value if isinstance(value, Pairs) else list(value.items())


def sort_of(value: Any) -> str:
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
