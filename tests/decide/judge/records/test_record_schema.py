"""Schemas in `docs/`: as generated, met by published rows, and refusing others.

See also: tests/decide/judge/engine/test_bench.py for records of a bench.
"""

import csv
import io
import json
from pathlib import Path

import jsonschema
import msgspec
import pytest
from console import stored_schema, validate_rows
from uncertain.cli.tables.exports import encode_csv, encode_ndjson
from uncertain.decide.judge.records.calibration_record import CalibrationRecord, RankedQuantity
from uncertain.decide.judge.records.parity_record import ParityRecord
from uncertain.decide.judge.records.people_record import ObserverRecord, PeopleRecord
from uncertain.decide.judge.records.record_schema import SCHEMAS, record_schema

DOCS = Path(__file__).parents[4] / "docs"
PUBLISHED = {
    "posteriordb": "parity",
    "inference-gym": "parity",
    "people-bandits": "people",
    "people-clicks": "people",
    "people-interventions": "people",
    "people-search": "people",
}
"""Files of results, and the schema of their rows."""


def published(file: str) -> list[msgspec.Struct]:
    """Rows of a file of results, decoded strictly."""
    found = []
    for line in (DOCS / f"results/{file}.ndjson").read_bytes().splitlines():
        row = json.loads(line)
        observer = row.get("who") == "published observer"
        kind = ParityRecord if "target" in row else ObserverRecord if observer else PeopleRecord
        found.append(msgspec.json.decode(line, type=kind))
    return found


def calibration() -> CalibrationRecord:
    """A row of ranks among a single draw: their spread has no standard error."""
    unknown = RankedQuantity("u", 0.5, [80, 80], -0.1, float("nan"), None)
    return CalibrationRecord(
        world="w", model="w", posterior="exact", rule="random", particles=None, refine=0, steps=3,
        runs=160, draws=1, bins=2, thin=10, settle=0, level=1e-4, calibrated=True, p=1.0,
        shape=None, unknown=unknown, likelihood=unknown, quantities=[unknown, unknown], ties=0.0,
        failures=0, seconds=1.0, config={}, versions={}, device="cpu", host="h", seed=0,
    )  # fmt: skip


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_stored_schema_is_the_generated_one(name: str) -> None:
    assert (DOCS / f"{name}.schema.json").read_bytes() == record_schema(name)
    jsonschema.Draft202012Validator.check_schema(json.loads(record_schema(name)))


@pytest.mark.parametrize("file", PUBLISHED)
def test_published_rows_are_written_as_they_were(file: str) -> None:
    text = (DOCS / f"results/{file}.ndjson").read_bytes()
    assert encode_ndjson(published(file)) == text
    validate_rows(PUBLISHED[file], [json.loads(line) for line in text.splitlines()])


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("calibration", calibration()),
        ("parity", published("posteriordb")[0]),
        ("people", published("people-clicks")[0]),
        ("people", published("people-clicks")[-1]),
    ],
)
def test_controls_the_schema_refuses(name: str, kept: msgspec.Struct) -> None:
    schema, row = stored_schema(name), json.loads(msgspec.json.encode(kept))
    assert schema.is_valid(row)
    for change in ({"schema": 2}, {"surprise": 1}, {"seed": "1"}, {"versions": None}):
        assert not schema.is_valid({**row, **change}), change
    for field in row:
        assert not schema.is_valid({x: v for x, v in row.items() if x != field}), field


def test_what_is_no_number_is_null_in_json_and_stays_in_csv() -> None:
    row = published("posteriordb")[0]
    assert isinstance(row, ParityRecord)
    row.worst, row.z, row.mean = float("nan"), float("inf"), {"mu": float("nan")}
    written = json.loads(encode_ndjson([row]))
    assert (written["worst"], written["z"], written["mean"]) == (None, None, {"mu": None})
    validate_rows("parity", [written])
    (line,) = csv.DictReader(io.StringIO(encode_csv([row]).decode()))
    assert (line["worst"], line["z"], line["mean.mu"]) == ("nan", "inf", "nan")
