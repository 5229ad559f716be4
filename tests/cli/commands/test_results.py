"""Showing, exporting and comparing results, from stores and from NDJSON; the gate's exit code.

See also: test_sweep.py for computing them, tests/decide/judge/measures/test_paired.py for
intervals.
"""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from console import Result, call
from uncertain.cli.tables.results import list_columns
from uncertain.decide.judge.engine.result_index import CELLS
from uncertain.decide.judge.measures.build_record import build_record
from uncertain.decide.judge.measures.experiment import Cell
from uncertain.decide.judge.measures.latency import Timing
from uncertain.streams.storage.results import Store

SEEDS, LIVE, STEPS = 12, 4, 5
SIZES = (8, 32, None)


def cell(size: int | None, **changes: Any) -> Cell:
    named = "exact" if size is None else "smc:ess=0.5"
    given = {"world": "finite", "model": "finite", "posterior": named, "rule": "eig",
             "proposer": None, "particles": size, "refine": 0, "candidates": 32, "explore": 0.0,
             "steps": STEPS, "seed": 0, "seeds": SEEDS}  # fmt: skip
    return Cell(**{**given, **changes})


def filled(place: Path, gain: float = 0.0, slower: float = 1.0, **changes: Any) -> str:
    """A store of three made-up cells; all gains differ by the run, the same in every store."""
    store = Store(str(place))
    for number, size in enumerate(SIZES):
        draws = np.random.default_rng(number)
        one = cell(size, **changes)
        lower = 1.0 + number + gain + draws.normal(size=SEEDS)
        seconds = slower * 1e-4 * (1 + number) * draws.uniform(1, 2, (2, LIVE, STEPS))
        runs = {"lower": lower, "upper": lower + 0.1, "work": np.ones(SEEDS),
                "failures": np.zeros(SEEDS, int)}  # fmt: skip
        timing = Timing(seconds[0].ravel(), seconds[1].ravel(), np.zeros(0), 1.0, 0)
        made = build_record(one, runs, {"lower": np.zeros(SEEDS)}, timing, None, (), 1)
        arrays = {"lower": lower, "decide": seconds[0], "learn": seconds[1]}
        store.commit(CELLS, {"cell": str(one), "gain": gain}, made, arrays)
    return str(place)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return filled(tmp_path_factory.mktemp("results") / "store")


def one_line(result: Result, *words: str) -> None:
    assert result.status == 2
    assert len(result.errors) == 1, result.err
    for word in words:
        assert word in result.err


def sizes(result: Result) -> list[Any]:
    return [row["particles"] for row in result.rows]


def test_all_rows_in_an_order_of_their_own(store: str) -> None:
    shown = call("show", store)
    assert sizes(shown) == [None, 8, 32]
    assert all(row["gain"]["lower"]["se"] > 0 for row in shown.rows)
    # All are on the frontier: what gains more also takes longer.
    assert all(row["frontier"] for row in shown.rows)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("posterior=smc", [8, 32]),
        ("posterior=smc:ess=0.5", [8, 32]),
        ("posterior!=smc", [None]),
        ("posterior=smc,particles>=32", [32]),
        ("particles<32", [8]),
        ("particles=none", [None]),
        ("particles!=none", [8, 32]),
        ("gain.lower.mean>1e9", []),
        ("frontier=false", [None, 8, 32]),
    ],
)
def test_conditions(store: str, condition: str, expected: list[Any]) -> None:
    assert sizes(call("show", store, "--where", condition)) == expected


def test_order(store: str) -> None:
    assert sizes(call("show", store, "--sort", "-gain.lower.mean")) == [None, 32, 8]
    assert sizes(call("show", store, "--sort", "particles")) == [8, 32, None]
    assert sizes(call("show", store, "--sort", "-particles")) == [32, 8, None]
    assert sizes(call("show", store, "--sort", "posterior,-total.p99")) == [None, 32, 8]


def test_the_frontier_is_that_of_the_rows_shown(tmp_path: Path) -> None:
    place = filled(tmp_path / "store")
    filled(tmp_path / "store", gain=-5.0, slower=2.0, seed=1)
    every = call("show", place).rows
    assert [row["seed"] for row in every if row["frontier"]] == [0, 0, 0]
    assert all(row["frontier"] for row in call("show", place, "--where", "seed=1").rows)


def test_columns_and_formats_hold_the_same(store: str, tmp_path: Path) -> None:
    rows = call("show", store).rows
    table = pq.read_table(io_file(store, tmp_path / "rows.parquet"))
    assert table["gain.lower.mean"].to_pylist() == [row["gain"]["lower"]["mean"] for row in rows]
    assert table["particles"].to_pylist() == [None, 8, 32]
    lines = list(csv.DictReader(io.StringIO(io_file(store, tmp_path / "rows.csv").read_text())))
    assert list(lines[0]) == table.column_names
    assert [line["particles"] for line in lines] == ["", "8", "32"]
    ndjson = io_file(store, tmp_path / "rows.ndjson").read_text()
    assert [json.loads(line) for line in ndjson.splitlines()] == rows
    some = ("--columns", "particles,gain.lower.mean")
    assert [list(row) for row in call("show", store, *some).rows] == [
        ["particles", "gain.lower.mean"]
    ] * 3
    page = call("show", store, *some, "--format", "markdown").out.splitlines()
    assert page[0] == "| particles | gain.lower.mean |"
    assert page[2].startswith("| – | ")
    assert "★" in call("show", store, "--format", "markdown").out
    plain = call("show", store, *some, "--format", "table").out.split()
    assert plain[:2] == ["particles", "gain.lower.mean"]
    shown = call("show", store, terminal=True)
    assert "★" in shown.out
    assert shown.err.startswith(f"finite, {STEPS} steps, {SEEDS} runs each")


def io_file(store: str, file: Path) -> Path:
    assert call("show", store, "-o", file).out == ""
    return file


def test_what_is_null_here_and_has_parts_there_is_only_its_parts() -> None:
    rows = [{"a": None, "b": 2}, {"a": {"c": 1}, "b": {"c": 1}}]
    assert list_columns(rows) == ["b", "a.c", "b.c"]


def test_damaged_cells_are_told_of(tmp_path: Path) -> None:
    place = filled(tmp_path / "store")
    file = next(Path(place).rglob("record.json"))
    file.write_bytes(file.read_bytes()[:-1])
    shown = call("show", place)
    assert len(shown.rows) == 2
    assert "left out 1 damaged" in shown.err


def test_wrong_use_of_show(store: str, tmp_path: Path) -> None:
    one_line(call("show", tmp_path), "no finished cell", "uncertain sweep")
    one_line(call("show", tmp_path / "missing"), "missing")
    one_line(call("show", store, "--where", "particls>2"), '"particles"')
    one_line(call("show", store, "--where", "particles~2"), "column=value")
    one_line(call("show", store, "--where", "particles>many"), "many")
    one_line(call("show", store, "--where", "world>a"), "use = or !=")
    one_line(call("show", store, "--sort", "gain.lowr.mean"), '"gain.lower.mean"')
    one_line(call("show", store, "--columns", "p99"), "total.p99")
    one_line(call("show", store, "-o", tmp_path / "no" / "rows.csv"), "cannot be written")
    (tmp_path / "rows.ndjson").write_text('{"a": 1}\n')
    one_line(call("show", tmp_path / "rows.ndjson"), "rows.ndjson:1", "no result")
    one_line(call("show", "-", "--sort", "world"), "-: no result")


@pytest.fixture(scope="module")
def worse(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same cells, each run gaining 0.3 nats less, all times 1.5 times as long."""
    return filled(tmp_path_factory.mktemp("results") / "worse", gain=-0.3, slower=1.5)


def test_stores_are_compared_run_by_run(store: str, worse: str) -> None:
    rows = call("compare", store, worse).rows
    assert [row["config"]["particles"] for row in rows] == [None, 8, 32]
    for row in rows:
        gain = row["gain"]
        assert gain["paired"]
        # Every run differs by as much, so the interval is a point however wide the gains are.
        assert [gain[k] for k in ("value", "low", "high")] == pytest.approx([-0.3] * 3)
        for name in ("p50", "p99"):
            assert row[name]["value"] == pytest.approx(1.5)
            assert row[name]["low"] < 1.5 < row[name]["high"]


def test_exports_are_compared_by_their_errors(store: str, worse: str, tmp_path: Path) -> None:
    file = io_file(store, tmp_path / "rows.ndjson")
    for row in call("compare", file, worse).rows:
        gain = row["gain"]
        assert not gain["paired"]
        assert gain["value"] == pytest.approx(-0.3)
        assert gain["low"] < -0.5 < 0 < gain["high"]
        assert row["p99"]["value"] == pytest.approx(1.5)
        assert row["p99"]["low"] is None


@pytest.mark.parametrize(
    ("limits", "status"),
    [
        ("gain=0.29", 1),
        ("gain=0.31", 0),
        ("gain=1%", 1),
        ("gain=90%", 0),
        ("p99=49%", 1),
        ("p99=51%", 0),
        ("p50=1us", 1),
        ("p50=1s", 0),
        ("gain=0.31,p99=51%", 0),
        ("gain=0.31,p99=49%", 1),
    ],
)
def test_the_gate(store: str, worse: str, limits: str, status: int) -> None:
    result = call("compare", store, worse, "--max-regression", limits)
    assert result.status == status
    assert (" worse by " in result.err) == (status == 1)
    # What got better passes whatever the limit.
    assert call("compare", worse, store, "--max-regression", limits).status == 0


def test_a_table_for_people(store: str, worse: str) -> None:
    shown = call("compare", store, worse, terminal=True)
    assert shown.out.count("-0.30") == 3 * 3
    assert "particles" in shown.out
    assert "candidates" not in shown.out


def test_only_the_same_configurations_are_compared(store: str, tmp_path: Path) -> None:
    other = filled(tmp_path / "other", seed=1)
    one_line(call("compare", store, other), "no cell in common", "seed")
    filled(tmp_path / "other")
    both = call("compare", store, other)
    assert len(both.rows) == 3
    assert f"3 cells are only in {other}" in both.err


def without_gain(store: str) -> Iterator[str]:
    for row in call("show", store).rows:
        yield json.dumps({**row, "gain": None}) + "\n"


def test_wrong_use_of_compare(store: str, tmp_path: Path) -> None:
    for text in ("gain", "p98=1%", "gain=x", "gain=-1", "p99=-1%", "p99=soon", "gain=nan"):
        one_line(call("compare", store, store, "--max-regression", text), text.partition("=")[2])
    file = tmp_path / "rows.ndjson"
    file.write_text("".join(without_gain(store)))
    assert call("compare", store, file).rows[0]["gain"] is None
    result = call("compare", store, file, "--max-regression", "gain=1")
    assert result.status == 2
    assert "no matched cell has a gain" in result.err
