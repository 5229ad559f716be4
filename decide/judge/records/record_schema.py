"""JSON schemas of the records that commands write, generated from their fields.

`python -m uncertain.decide.judge.records.record_schema docs` writes them to a folder.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec
from msgspec import UNSET, inspect, structs

from .calibration_record import CalibrationRecord
from .parity_record import ParityRecord
from .people_record import PeopleRow
from .record import NULLABLE, Record
from .replay_record import ReplayRecord
from .tuning_record import TuningRecord

SCHEMAS: dict[str, tuple[Any, str]] = {
    "record": (Record, "A result record of `uncertain bench`"),
    "calibration": (CalibrationRecord, "A record of `uncertain calibrate`"),
    "parity": (ParityRecord, "A record of `uncertain parity`"),
    "replay": (ReplayRecord, "A record of `uncertain replay`"),
    "tuning": (TuningRecord, "A record of `uncertain tune`"),
    "people": (PeopleRow, "A record of `uncertain people`"),
}
"""Type of a record, or union of types, and title, by the name of the schema's file."""


def record_schema(name: str = "record") -> bytes:
    """Return the schema of records as this version writes them.

    Every field is required, except those that are left out where they are UNSET.

    name: one of SCHEMAS.
    Returns: indented JSON that ends with a newline.
    """
    kind, title = SCHEMAS[name]
    kinds = get_args(kind) or (kind,)
    refs, parts = msgspec.json.schema_components(kinds, ref_template="#/$defs/{name}")
    tops = [parts[one.__name__]["properties"] for one in kinds]
    version = tops[0]["schema"]["default"]
    for fields in tops:
        fields["schema"] = {"const": version, "description": fields["schema"]["description"]}
    left_out = set(_left_out(inspect.multi_type_info(kinds)))
    for part in parts.values():
        _describe_written(part, left_out)
    _allow_null(parts)
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"uncertain/{name}/{version}",
        **(parts.pop(kind.__name__) if len(kinds) == 1 else {"anyOf": refs}),
        "title": title,
        "$defs": parts,
    }
    return msgspec.json.format(msgspec.json.encode(whole), indent=2) + b"\n"


def _left_out(kind: Any) -> Iterator[tuple[str, str]]:
    """Yield struct and field of all fields within a type that are left out where they are UNSET."""
    if isinstance(kind, inspect.StructType):
        for field in structs.fields(kind.cls):
            if field.default is UNSET:
                yield kind.cls.__name__, field.encode_name
    if isinstance(kind, msgspec.Struct):
        kind = tuple(structs.asdict(kind).values())
    for part in kind if isinstance(kind, tuple) else ():
        yield from _left_out(part)


def _allow_null(part: Any) -> None:
    """Let numbers that are marked be null: msgspec writes the type of the field over any other."""
    if isinstance(part, dict):
        if part.pop(NULLABLE, False):
            part["type"] = [part["type"], "null"]
        part = list(part.values())
    for one in part if isinstance(part, list) else ():
        _allow_null(one)


def _describe_written(part: dict[str, Any], left_out: set[tuple[str, str]]) -> None:
    """Make fields required and others refused: defaults are for reading older records."""
    part["description"] = " ".join(part["description"].split())
    part["required"] = [x for x in part["properties"] if (part["title"], x) not in left_out]
    part["additionalProperties"] = False
    for one in part["properties"].values():
        one.pop("default", None)
        # Versions of msgspec list null in other places.
        one.get("anyOf", []).sort(key=lambda choice: choice.get("type") == "null")


if __name__ == "__main__":
    for name in SCHEMAS:
        (Path(sys.argv[1]) / f"{name}.schema.json").write_bytes(record_schema(name))
