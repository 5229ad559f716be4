"""The JSON schema of result records, generated from their fields.

`python -m uncertain.decide.judge.records.record_schema > docs/record.schema.json` writes it.
"""

from __future__ import annotations

import sys
from typing import Any

import msgspec

from .record import SCHEMA, Record


def record_schema() -> bytes:
    """Return the schema of records as this version writes them: every field is required.

    Returns: indented JSON that ends with a newline.
    """
    _, parts = msgspec.json.schema_components([Record], ref_template="#/$defs/{name}")
    for part in parts.values():
        _describe_written(part)
    record = parts.pop("Record")
    record["properties"]["schema"] = {
        "const": SCHEMA,
        "description": record["properties"]["schema"]["description"],
    }
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"uncertain/record/{SCHEMA}",
        **record,
        "title": "A result record of `uncertain bench`",
        "$defs": parts,
    }
    return msgspec.json.format(msgspec.json.encode(whole), indent=2) + b"\n"


def _describe_written(part: dict[str, Any]) -> None:
    """Make all fields required and others refused: defaults are for reading older records."""
    part["description"] = " ".join(part["description"].split())
    part["required"] = list(part["properties"])
    part["additionalProperties"] = False
    for one in part["properties"].values():
        one.pop("default", None)
        # Versions of msgspec list null in other places.
        one.get("anyOf", []).sort(key=lambda choice: choice.get("type") == "null")


if __name__ == "__main__":
    sys.stdout.buffer.write(record_schema())
