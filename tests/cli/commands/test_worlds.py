"""`simulate` writes logs that other commands read; `list` shows what there is."""

import gzip
import json

import pytest
from console import call
from uncertain.cli.jobs.list import KINDS
from uncertain.decide.rules.registry import PROPOSERS, RULES
from uncertain.posteriors.registry import MODELS, POSTERIORS
from uncertain.streams.formats.registry import FORMATS
from uncertain.streams.worlds.registry import WORLDS

NEEDY = {"bif", "labelled"}
"""Worlds that are nothing without a file."""


@pytest.mark.parametrize("world", [*MODELS, *(name for name in WORLDS if name not in NEEDY)])
def test_every_world_makes_events(world) -> None:
    result = call("simulate", world, "--steps", 3, "--candidates", 4)
    assert result.status == 0, result.err
    assert [row["t"] for row in result.rows] == [0, 1, 2]
    for row in result.rows:
        assert {"id", "action", "propensity", "y"} <= set(row)
        assert 0 < row["propensity"] <= 1
        if "actions" in row:
            assert row["action"] in row["actions"]


def test_a_log_is_reproducible_and_told_from_its_reward(tmp_path) -> None:
    options = ("simulate", "linear", "--steps", 20, "--seed", 5)
    first, again, other = call(*options), call(*options), call(*options[:-1], 6)
    assert first.out == again.out != other.out
    assert all(row["r"] == row["y"] for row in first.rows)


def test_several_runs_have_a_file_each(tmp_path) -> None:
    name = tmp_path / "log-{run}.ndjson.gz"
    assert call("simulate", "linear", "--steps", 4, "--seeds", 2, "-o", name).status == 0
    packed = [(tmp_path / f"log-{i}.ndjson.gz").read_bytes() for i in range(2)]
    logs = [gzip.decompress(one) for one in packed]
    assert logs[0] != logs[1]
    assert len(logs[1].splitlines()) == 4


def test_a_model_of_ones_own_from_log_to_judgement(tmp_path, examples) -> None:
    dose, log = examples / "dose.py:Dose", tmp_path / "log.ndjson"
    options = ("--steps", 30, "--candidates", 3, "-o", log)
    assert call("simulate", dose, *options).status == 0
    assert json.loads(log.read_text().splitlines()[0])["y"] in (0, 1)
    replayed = call("replay", log, "--model", dose, "--rule", "thompson", "--latency", 0)
    assert replayed.status == 0, replayed.err
    assert replayed.rows[0]["events"] == 30
    assert replayed.rows[0]["value"]["dr"] is not None


def test_what_is_listed() -> None:
    rows = call("list").rows
    assert {row["kind"] for row in rows} <= set(KINDS)
    named = {(row["kind"], row["name"]) for row in rows}
    for kind, registry in (
        ("posteriors", POSTERIORS), ("models", MODELS), ("worlds", {**MODELS, **WORLDS}),
        ("rules", RULES), ("proposers", PROPOSERS), ("formats", FORMATS),
    ):  # fmt: skip
        assert {(kind, name) for name in registry} <= named
    assert all(row["what"] for row in rows)
    assert {row["kind"] for row in call("list", "rules").rows} == {"rules"}
    eig = next(row for row in rows if row["name"] == "eig")
    assert eig["options"]["about"] == "all"
    wheel = next(row for row in rows if row["name"] == "wheel")
    assert wheel["options"] == {"delta": 0.95, "noise": 0.05}


def test_a_table_on_a_terminal() -> None:
    result = call("list", "models", terminal=True)
    assert result.status == 0
    assert "location" in result.out
    assert not result.out.lstrip().startswith("{")
