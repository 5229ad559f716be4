"""Lines of many streams: native NDJSON with one more field, whose value is the stream's key.

The user names the field. A key is a text of 1 to 200 characters or a whole number of 64 bits; 1 and
"1" are two streams.
See also: ndjson.py for the other fields, ../../decide/loop/server/keyed_streams.py for the streams.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import msgspec

from ...posteriors.errors import UsageError
from .ndjson import FIELDS, LineFields, decode_fields, decode_line, make_record
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


def check_key_field(field: str) -> None:
    """Check that a field can hold keys.

    field: name of the field.
    Raises: UsageError if it cannot, as a field of lines or replies.
    """
    if not 0 < len(field) <= LONGEST:
        raise UsageError(f"--key-by {field!r:.40}: a field has a name of 1 to {LONGEST} characters")
    if field in FIELDS or field in ANSWERED:
        whose = "lines" if field in FIELDS else "replies"
        raise UsageError(
            f"--key-by {field}: {whose} have a field of this name already; call the key's another, "
            "such as user"
        )


def build_decoder(field: str | None) -> Callable[[bytes, Where], Record]:
    """Build the decoder of lines: `ndjson.decode_line`, with the key if there is a key field.

    field: name of the key field, or None.
    Raises: UsageError as `check_key_field` does.
    """
    if field is None:
        return decode_line
    check_key_field(field)
    kind: Any = msgspec.defstruct(
        "Keyed", [("key", Key, msgspec.field(name=field))], bases=(LineFields,), kw_only=True,
        forbid_unknown_fields=True, gc=False,
    )  # fmt: skip
    known: Any = msgspec.json.Decoder(kind)

    def keyed(line: bytes, where: Where) -> Record:
        found: Any = decode_fields(known, line, where, kind)
        made = make_record(found, where)
        made.key = found.key
        return made

    return keyed


def read_key(line: bytes, field: str) -> str | int | None:
    """Return the key of a line that is wrong otherwise; None if it cannot be read.

    line: bytes as received.
    field: name of the key field.
    """
    try:
        found = msgspec.json.decode(line, type=dict[str, msgspec.Raw]).get(field)
        return None if found is None else msgspec.json.decode(found, type=Key)
    except Exception:  # whatever is wrong with it, it has no key that can be read
        return None


__all__ = ["build_decoder", "check_key_field", "read_key"]
