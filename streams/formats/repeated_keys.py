"""Refusal of a line in which an object has a key twice: of its two values one would be lost.

See also: ndjson.py for decoding, json_errors.py for the reader of a suspicious line.
"""

from __future__ import annotations

from typing import Any

import msgspec

from .json_errors import Pairs, check_json, join_path
from .record import Candidate, Where

NESTING = (str, list, Candidate)
"""Types of values whose text may have colons."""


def refuse_repeated_keys(fields: msgspec.Struct, line: bytes, where: Where) -> None:
    """Refuse a decoded line that has a key twice.

    A decoder takes one of the two values and says nothing. Counting colons costs a microsecond;
    only a line with another number of them than its fields explain is read again.

    fields: the decoded line.
    line: its bytes.
    where: place of the line.

    Raises: LineError naming the key.
    """
    # The weight has a value where none is given.
    if line.count(b":") == _count_colons(fields) - (b'"weight"' not in line):
        return
    # A field is null, or text has an odd form, or a key is there twice.
    queue: list[tuple[str, Any]] = [("", check_json(line.decode()).value)]
    while queue:
        path, value = queue.pop()
        if isinstance(value, Pairs):
            keys = [key for key, _ in value]
            if len(set(keys)) < len(keys):
                twice = next(key for place, key in enumerate(keys) if key in keys[:place])
                raise where.error(join_path(path, twice), "given twice", "keep one of them")
            queue += [(join_path(path, key), inner) for key, inner in value]
        elif isinstance(value, list):
            queue += [(f"{path}[{place}]", inner) for place, inner in enumerate(value)]


def _count_colons(value: Any) -> int:
    """Count the colons in the text of a value: one a field that is given, and those in strings."""
    if isinstance(value, str):
        return value.count(":")
    if isinstance(value, msgspec.Struct):
        given = [v for v in msgspec.structs.astuple(value) if v is not None]
        inside = sum(_count_colons(v) for v in given if type(v) in NESTING)
        return len(given) - (msgspec.UNSET in given) + inside
    if isinstance(value, list) and value and type(value[0]) in NESTING:
        return sum(_count_colons(v) for v in value)
    return 0
