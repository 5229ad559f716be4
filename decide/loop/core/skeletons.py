"""Nested results as JSON: the structure of a program's result, with a whole number for each leaf.

Reading a pickle can run any code, reading this runs none: a named tuple is stored by its module and
name, and found again only among the modules that are imported already.
See also: program_cache.py for the cache.
"""

from __future__ import annotations

import sys
from typing import Any

import msgspec


class Unstorable(Exception):
    """A result has a part of another kind, or of a class that cannot be found by its name."""


def encode_skeleton(skeleton: Any) -> bytes:
    """Encode a skeleton.

    skeleton: nested tuples, named tuples, lists, dicts with texts as keys and None; leaves are
        whole numbers.
    Returns: JSON.
    Raises: Unstorable for anything else.
    """
    return msgspec.json.encode(_pack(skeleton))


def decode_skeleton(text: bytes) -> Any:
    """Decode what `encode_skeleton` encoded.

    text: JSON.
    Raises: Unstorable if it is none, or if a class is not among the imported ones.
    """
    try:
        return _unpack(msgspec.json.decode(text))
    except (msgspec.DecodeError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise Unstorable(str(error)) from error


def _pack(part: Any) -> Any:
    """A leaf as it is; any other part as its kind, a class where it has one, and its parts."""
    kind = type(part)
    if kind is int:
        return part
    if part is None:
        return ["none"]
    if kind is dict:
        if any(type(key) is not str for key in part):
            raise Unstorable("a dict whose keys are no texts")
        return ["dict", {key: _pack(value) for key, value in part.items()}]
    if kind in (list, tuple):
        return [kind.__name__, [_pack(value) for value in part]]
    if kind is not _find_class(kind.__module__, kind.__qualname__):
        raise Unstorable(f"{kind.__qualname__} is no named tuple of a module")
    return ["named", kind.__module__, kind.__qualname__, [_pack(value) for value in part]]


def _unpack(packed: Any) -> Any:
    """The part that `_pack` made this of."""
    if type(packed) is int:
        return packed
    match packed:
        case ["none"]:
            return None
        case ["dict", dict(parts)]:
            return {key: _unpack(value) for key, value in parts.items()}
        case ["list", list(parts)]:
            return [_unpack(value) for value in parts]
        case ["tuple", list(parts)]:
            return tuple(_unpack(value) for value in parts)
        case ["named", str(module), str(name), list(parts)]:
            if found := _find_class(module, name):
                return found(*map(_unpack, parts))
    raise Unstorable("no skeleton")


def _find_class(module: str, name: str) -> Any:
    """The named tuple of an imported module; None if there is none."""
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    named = isinstance(found, type) and issubclass(found, tuple) and hasattr(found, "_fields")
    return found if named else None
