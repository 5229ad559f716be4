"""`--posterior auto`: chosen by the deadline from real and made records, told, and kept on resume.

See also: tests/decide/judge/measures/test_frontier.py for the choice itself.
"""

import json
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from console import call, lines
from uncertain.cli.live.auto_posterior import SHIPPED
from uncertain.decide.judge.measures.frontier import WantedSpecs, comparable_options
from uncertain.decide.judge.records.read_record import record_of

RUN = ("run", "--model", "finite", "--rule", "eig", "--posterior", "auto")
ASK = lines({"id": 1}, {"id": 2})


def record(posterior: str, p99: float, gain: float, **changes: Any) -> dict[str, Any]:
    made = {
        "world": "finite", "model": "finite", "posterior": posterior, "rule": "eig",
        "particles": None, "refine": 0, "steps": 20, "seeds": 8,
        "total": {**dict.fromkeys(("p50", "p95", "p99", "max"), p99), "n": 1},
        "gain": {"above_random": {"mean": gain, "se": 0.1}}, "config": {"proposer": None},
    }  # fmt: skip
    return made | changes


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """Exact belief is worth more, and was slower, than a few particles."""
    file = tmp_path / "records.ndjson"
    one = {"particles": 4, "refine": 0}
    file.write_text(lines(record("exact", 20.0, 3.0), record("smc", 0.1, 1.0, **one)))
    return file


def test_the_deadline_decides(records: Path) -> None:
    for deadline, posterior in (("60s", "exact"), ("10s", "smc")):
        result = call(*RUN, "--deadline", deadline, "--frontier", records, stdin=ASK)
        assert result.status == 0, result.err
        assert {row["posterior"] for row in result.rows} == {posterior}
        first = result.errors[0]
        assert f"auto: {posterior}" in first
        assert "nats above random in 20 steps of finite" in first
        assert str(records) in first
    assert result.rows[0]["draws"] == 4


def test_a_resumed_run_keeps_what_was_chosen(records: Path, tmp_path: Path) -> None:
    ask = (*RUN, "--deadline", "10s", "--frontier", records, "--checkpoint", tmp_path / "kept")
    first = call(*ask, stdin=ASK)
    assert first.rows[0]["posterior"] == "smc"
    # By these exact belief would be taken now.
    records.write_text(lines(record("exact", 0.1, 3.0)))
    second = call(*ask, "--resume", stdin=ASK + lines({"id": 3}))
    assert second.status == 0, second.err
    assert "auto: smc S=4 k=0, as chosen when the run began" in second.err
    assert second.rows[-1]["posterior"] == "smc"
    # Negative control: a run that begins now takes it.
    anew = call(*RUN, "--deadline", "10s", "--frontier", records, stdin=ASK)
    assert anew.rows[0]["posterior"] == "exact"


def test_what_is_wrong_is_one_line(records: Path, tmp_path: Path) -> None:
    frontier = ("--frontier", records)
    due = ("--deadline", "5ms")
    for options, words in (
        (RUN, "add --deadline"),
        ((*RUN, *due, *frontier, "--rule", "thompson"), "they have rule eig: measure it with"),
        ((*RUN, *due, *frontier, "--model", "binomial"), "none of that model"),
        ((*RUN, *due, *frontier, "--particles", 3), "chooses S and k itself"),
        ((*RUN, *due, "--posterior", "auto:x=1"), "auto takes no options"),
        ((*RUN, *due, "--posterior", "exact", *frontier), "leave it out"),
        ((*RUN, *due, "--frontier", tmp_path / "absent"), "absent"),
        (("bench", "finite", "--posterior", "auto"), "add --deadline"),
        (("bench", "finite", "--posterior", "auto", "--refine", 3, *due), "S and k itself"),
    ):
        result = call(*options)
        assert (result.status, len(result.errors)) == (2, 1), result.err
        assert words in result.err


@pytest.mark.nightly
def test_a_bench_measures_what_was_chosen(tmp_path: Path) -> None:
    """From records that a bench just made."""
    small = ("--seeds", 2, "--steps", 4, "--samples", 0, "--joint", 1, "--no-plot", "--spce", 8)
    file = tmp_path / "made.ndjson"
    measured = call("bench", "finite", "--posterior", "exact", "--live", 2, "--export-json", file,
                    *small)  # fmt: skip
    assert measured.status == 0, measured.err
    small = tuple(option for option in small if option not in ("--joint", 1))
    bench = ("bench", "finite", "--posterior", "auto", "--deadline", "10s", "--frontier", file)
    result = call(*bench, *small, "--rule", "eig")
    assert result.status == 0, result.err
    (row,) = result.rows
    assert (row["posterior"], row["config"]["posterior"]) == ("exact", "exact")
    assert row["deadline"] == 10.0
    assert "auto: exact k=0" in result.err


def test_records_that_come_along_can_be_chosen_from() -> None:
    text = (resources.files("uncertain.configs") / SHIPPED).read_text()
    rows = [record_of(json.loads(line)) for line in text.splitlines()]
    for model, rule in (("location", "eig"), ("drifting", "thompson"), ("number-game", "eig")):
        options = comparable_options(rows, WantedSpecs(model, rule))
        assert len(options) > 1
        assert all(option.p99 > 0 for option in options)
        assert len({(option.world, option.steps) for option in options}) == 1
