"""Lines of many streams: native NDJSON with one more field, whose value is a stream's key.

The field has a name of the user's own. A key is a text of 1 to 200 characters or a whole number of
64 bits; 1 and "1" are two streams. Not here: the other fields (ndjson.py), or what becomes of a
stream (decide/loop/many.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import msgspec

from ..posteriors.base import UsageError
from .ndjson import FIELDS, Line, decode, decoded, record
from .record import Record, Where

LONGEST = 200
"""Characters of a key, and of the name of its field."""
MOST = 2**63 - 1
Key = (
    Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST)]
    | Annotated[int, msgspec.Meta(ge=-MOST - 1, le=MOST)]
)
ANSWERED = (
    "scores", "gain", "posterior", "draws", "latency", "seed", "step", "ahead", "actions",
    "propensities", "realised_gain", "nll", "rung", "fallback", "refine", "deadline_met", "thought",
    "stop", "reason", "error", "repeated",
)  # fmt: skip
"""Fields of replies, which have the key's field too."""


def check_field(field: str) -> None:
    """Raise UsageError where no field of that name can hold a key."""
    if not 0 < len(field) <= LONGEST:
        raise UsageError(f"--key-by {field!r:.40}: a field has a name of 1 to {LONGEST} characters")
    if field in FIELDS or field in ANSWERED:
        whose = "lines" if field in FIELDS else "replies"
        raise UsageError(
            f"--key-by {field}: {whose} have a field of this name already; call the key's another, "
            "such as user"
        )


def decoder(field: str | None) -> Callable[[bytes, Where], Record]:
    """`ndjson.decode`, of lines with the key in that field if there is one. Raises as `check_field`
    does."""
    if field is None:
        return decode
    check_field(field)
    kind: Any = msgspec.defstruct(
        "Keyed", [("key", Key, msgspec.field(name=field))], bases=(Line,), kw_only=True,
        forbid_unknown_fields=True, gc=False,
    )  # fmt: skip
    known: Any = msgspec.json.Decoder(kind)

    def keyed(line: bytes, where: Where) -> Record:
        found: Any = decoded(known, line, where, kind)
        made = record(found, where)
        made.key = found.key
        return made

    return keyed


def key_of(line: bytes, field: str) -> str | int | None:
    """The key of a line that is wrong otherwise, as far as it can be told."""
    try:
        found = msgspec.json.decode(line, type=dict[str, msgspec.Raw]).get(field)
        return None if found is None else msgspec.json.decode(found, type=Key)
    except Exception:  # whatever is wrong with it, it has no key that can be read
        return None


__all__ = ["check_field", "decoder", "key_of"]
