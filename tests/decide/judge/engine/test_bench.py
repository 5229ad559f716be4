"""A small bench from end to end: its records, exports, gates, and what an interrupt leaves behind.

See also: tests/decide/judge/test_judge.py for the numbers.
"""

import copy
import csv
import io
import json
import math
import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import numpy as np
import pytest
from console import Result, call
from msgspec.structs import replace
from uncertain.cli.tables.bench_table import list_bench_remarks, render_bench_markdown
from uncertain.cli.tables.exports import encode_csv, encode_ndjson, flatten_record
from uncertain.cli.tables.frontier_plot import draw_frontier
from uncertain.decide.judge.engine import bench as benching
from uncertain.decide.judge.engine import worker_process
from uncertain.decide.judge.measures.build_record import mean_se, quantiles, ratio
from uncertain.decide.judge.measures.experiment import Experiment, Row
from uncertain.decide.judge.records.mark_frontier import mark_frontier
from uncertain.decide.judge.records.read_record import record_of, to_dict
from uncertain.decide.judge.records.record import (
    Gain,
    Mean,
    Quantiles,
    Record,
    Regret,
)
from uncertain.decide.judge.records.record_schema import record_schema
from uncertain.posteriors.errors import UsageError

EXPERIMENT = Experiment(
    world="finite",
    steps=4,
    seeds=4,
    live=1,
    workers=1,
    joint=2,
    fidelity=True,
    cells=[Row("exact"), Row("exact", rule="random")],
)
TINY = (
    "bench", "finite", "--posterior", "exact", "--steps", "4", "--seeds", "4", "--live", "1",
    "--workers", "1", "--no-plot",
)  # fmt: skip


@lru_cache(maxsize=1)
def measured() -> tuple[list[Record], list[int], list[float]]:
    """Records, how many there were each time a cell finished, and the progress reported."""
    sizes: list[int] = []
    shares: list[float] = []
    records = benching.run_bench(
        EXPERIMENT, lambda rows: sizes.append(len(rows)), lambda text, share: shares.append(share)
    )
    return records, sizes, shares


@pytest.fixture
def records() -> list[Record]:
    return copy.deepcopy(measured()[0])


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return json.loads((Path(__file__).parents[4] / "docs" / "record.schema.json").read_text())


def valid(row: Any, schema: dict[str, Any]) -> bool:
    return jsonschema.Draft202012Validator(schema).is_valid(json.loads(msgspec.json.encode(row)))


def test_every_field_is_there_and_as_documented(records, schema) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)
    for line in encode_ndjson(records).splitlines():
        jsonschema.Draft202012Validator(schema).validate(json.loads(line))
    row = records[0]
    assert set(row.__struct_fields__) == set(schema["properties"])
    assert (row.world, row.posterior, row.rule) == ("finite", "exact", "eig")
    assert (row.steps, row.seeds, row.decide.n) == (4, 4, 4)
    assert row.retraces == 0
    assert row.failures == 0
    for name in ("gain", "fidelity", "calibration", "joint", "regret", "total"):
        assert getattr(row, name) is not None, name
    assert row.gain.exact == row.gain.lower == row.gain.upper
    assert records[1].gain.above_random == Mean(0, 0)


def test_the_stored_schema_is_the_generated_one() -> None:
    stored = Path(__file__).parents[4] / "docs" / "record.schema.json"
    assert stored.read_bytes() == record_schema()


def test_older_records_are_read_with_defaults(records) -> None:
    whole = to_dict(records[0])
    older = {name: whole[name] for name in whole if name not in ("think", "alarm", "rungs")}
    older["gain"] = {"above_random": whole["gain"]["above_random"], "unheard_of": 1}
    read = record_of(older | {"file": "rows.ndjson"})
    assert (read.think, read.alarm, read.rungs) == (0, None, None)
    assert read.gain == Gain(above_random=records[0].gain.above_random)
    assert read.total == records[0].total


def test_a_number_that_is_null_is_read_as_nan_and_written_as_null(records) -> None:
    whole = to_dict(records[0])
    whole["gain"]["lower"] = {"mean": None, "se": None}
    read = record_of(whole)
    assert math.isnan(read.gain.lower.mean)
    assert math.isnan(read.gain.lower.se)
    assert to_dict(read) == whole


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"steps": "4"}, "rows:1: steps: expected int, got str"),
        ({"gain": {"lower": {"mean": "1"}}}, "rows:1: gain.lower.mean: expected float, got str"),
        ({"total": {"p50": 1.0}}, "rows:1: total.p95: missing"),
        ({"schema": 2}, "rows:1: schema 2; this version reads schema 1"),
    ],
)
def test_a_record_with_a_wrong_type_names_its_field(records, change, error) -> None:
    with pytest.raises(UsageError) as found:
        record_of(to_dict(records[0]) | change, "rows:1")
    assert str(found.value).startswith(error)


def test_controls_the_schema_refuses(records, schema) -> None:
    row = to_dict(records[0])
    assert valid(row, schema)
    for change in (
        {"schema": 2},
        {"steps": "4"},
        {"refine": None},
        {"surprise": 1},
        {"gain": {"lower": 1}},
        {"decide": {**row["decide"], "n": 0.5}},
        {"missed": 2},
        {"calibration": {"slope": 1, "bias": 0, "se": 0}},
    ):
        assert not valid({**row, **change}, schema), change
    for name in row:
        assert not valid({k: v for k, v in row.items() if k != name}, schema), name
    # A number that is none is null in JSON, but a quantile always is one.
    assert valid({**row, "fidelity": to_dict(Mean())}, schema)
    assert not valid({**row, "decide": {**row["decide"], "p50": None}}, schema)


def test_several_taus_and_no_gain(schema) -> None:
    experiment = Experiment(
        world="finite", steps=3, seeds=3, live=0, workers=1, samples=0, joint=[1, 7], settle=2,
        cells=[Row("exact")],
    )  # fmt: skip
    cells = experiment.resolved()
    assert len(benching.cells_to_judge(cells)) == 2
    assert benching.cells_to_judge(cells, experiment.gain) == cells
    (row,) = benching.run_bench(experiment, lambda rows: None, lambda text, share: None)
    jsonschema.Draft202012Validator(schema).validate(json.loads(encode_ndjson([row])))
    assert row.gain is None
    assert row.calibration is None
    assert [made.tau for made in row.joint] == [1, 7]
    assert not valid(replace(row, joint=row.joint[:1]), schema)
    one = flatten_record(row)
    assert one["joint.1.tau"] == 7
    (line,) = csv.DictReader(io.StringIO(encode_csv([row]).decode()))
    assert float(line["joint.1.kl"]) == row.joint[1].kl
    text = render_bench_markdown([row, replace(row, joint=row.joint[0], steps=4)])
    header, _, shown = text.splitlines()[:3]
    assert "joint KL of 1 | joint KL of 7" in header
    assert "| T |" in header
    assert "gain" not in header
    assert f"{row.joint[1].kl:.2f} ±" in shown


def test_random_rows_have_a_name_where_nothing_else_is_shown(records) -> None:
    random = replace(records[0], rule="random", posterior="exact:grid=3")
    assert "exact:grid=3" in render_bench_markdown([random, random])
    beside = render_bench_markdown([records[0], random])
    assert "exact:grid=3" not in beside
    assert "(random)" in beside


def test_records_come_one_by_one_and_progress_goes_forward() -> None:
    _, sizes, shares = measured()
    assert sizes == [1, 2]
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_exports_hold_the_same_numbers(records) -> None:
    written = [json.loads(line) for line in encode_ndjson(records).splitlines()]
    assert written == [to_dict(row) for row in records]
    assert [record_of(row) for row in written] == records
    rows = list(csv.DictReader(io.StringIO(encode_csv(records).decode())))
    assert len(rows) == len(records)
    for row, record in zip(rows, records, strict=True):
        expected = {k: "" if v is None else str(v) for k, v in flatten_record(record).items()}
        assert row == expected
        assert float(row["gain.lower.mean"]) == record.gain.lower.mean
    lines = render_bench_markdown(records).splitlines()
    assert len(lines) == 2 + len(records)
    assert len({line.count("|") for line in lines}) == 1
    assert set(lines[1].replace("|", "").split()) == {"---"}


def made_up(world: str, p99: float, gain: float, steps: int = 3) -> Record:
    return Record(
        world=world,
        model=world,
        posterior="exact",
        rule="eig",
        steps=steps,
        seeds=1,
        total=Quantiles(p99, p99, p99, p99, 1),
        gain=Gain(above_random=Mean(gain, 0.1)),
        config={},
    )


def test_the_frontier() -> None:
    rows = [
        made_up("a", 1.0, 1.0),
        made_up("a", 2.0, 3.0),
        made_up("a", 3.0, 2.0),  # slower than the second and gains less
        made_up("a", 2.0, 2.5),  # as fast as the second and gains less
        made_up("a", 2.0, 3.0),  # the second again
        made_up("b", 9.0, 0.5),  # another world
        made_up("a", 9.0, 0.5, steps=9),  # longer runs
        replace(made_up("a", 0.1, 9.0), total=None),
        replace(made_up("a", 0.1, 9.0), gain=None),
    ]
    mark_frontier(rows)
    assert [r.frontier for r in rows] == [
        True, True, False, False, True, True, True, False, False,
    ]  # fmt: skip


def lost(world: str, p99: float, regret: float) -> Record:
    row = made_up(world, p99, 0.0)
    return replace(row, gain=None, regret=Regret(regret, 0.1))


def test_the_frontier_of_regret() -> None:
    rows = [
        lost("a", 1.0, 9.0),
        lost("a", 2.0, 5.0),
        lost("a", 3.0, 6.0),  # slower than the second and regrets more
        lost("b", 9.0, 99.0),  # another world
        made_up("a", 9.0, 0.5),  # its gain was measured: nothing to compare it with
    ]
    mark_frontier(rows)
    assert [r.frontier for r in rows] == [True, True, False, True, True]


def test_a_row_whose_gain_is_no_number_is_not_plotted() -> None:
    rows = [made_up("a", 1.0, 1.0), made_up("a", 2.0, 3.0), made_up("a", 3.0, math.nan)]
    assert draw_frontier(rows) == draw_frontier(rows[:2]) != ""


@lru_cache(maxsize=1)
def paid() -> list[Record]:
    """Records of a world that pays and whose truth is no model."""
    experiment = Experiment(
        world="wheel:delta=0.5",
        model="linear",
        rule="thompson",
        steps=12,
        seeds=4,
        live=1,
        workers=1,
        cells=[Row("laplace", particles=2), Row("point", refine=1)],
    )
    return benching.run_bench(experiment, lambda rows: None, lambda text, share: None)


def test_rewards_of_a_world_that_pays(schema) -> None:
    for row in paid():
        jsonschema.Draft202012Validator(schema).validate(json.loads(encode_ndjson([row])))
        assert row.gain is None
        assert row.model == "linear:arms=5:features=2"
        assert row.reward.mean > 0
        assert row.regret.percent_se > 0
        # 12 pulls of which 10 are the opening: what cannot be avoided is all but all of it.
        assert 50 < row.regret.percent_of_uniform < 150
    assert any(row.frontier for row in paid())


def test_a_table_of_regret_has_no_column_of_gain() -> None:
    text = render_bench_markdown(paid())
    assert "gain" not in text
    header = [cell.strip() for cell in text.splitlines()[0].split("|")]
    for name in ("reward", "regret", "regret, % of uniform"):
        assert name in header
    assert "±" in text.splitlines()[2].split("|")[header.index("regret, % of uniform")]
    assert "regrets less" in " ".join(list_bench_remarks(paid()))
    assert "regret, % of uniform (capital: on the frontier)" in draw_frontier(paid())


def test_reductions() -> None:
    assert mean_se([1, 3]) == Mean(2, 1)
    assert mean_se([5]) == Mean(5, 0)
    assert ratio([1, 3], [2, 6]) == Mean(0.5, 0)
    assert quantiles(np.array([])) is None
    found = quantiles(np.arange(1, 102) / 1e3)
    assert to_dict(found) == pytest.approx(
        {"p50": 0.051, "p95": 0.096, "p99": 0.1, "max": 0.101, "n": 101}
    )


def test_gates_and_exports_on_the_command_line(tmp_path, schema) -> None:
    exports = [tmp_path / name for name in ("rows.json", "rows.csv", "rows.md")]
    options = ("--export-json", "--export-csv", "--export-markdown")
    pairs = [x for pair in zip(options, exports, strict=True) for x in pair]
    result = call(*TINY, *pairs, "--max-p99", "1ns", "--min-gain", "1000")
    assert result.status == 1
    assert any("p99" in line and "> 1e-06 ms" in line for line in result.errors)
    assert any("gain" in line and "< 1000 nats" in line for line in result.errors)
    (row,) = result.rows
    jsonschema.Draft202012Validator(schema).validate(row)
    assert json.loads(exports[0].read_text()) == row
    (line,) = csv.DictReader(io.StringIO(exports[1].read_text()))
    assert float(line["gain.exact.mean"]) == row["gain"]["exact"]["mean"]
    assert exports[2].read_text().startswith("| ")
    assert call(*TINY, "--max-p99", "600s", "--min-gain", "-5").status == 0
    assert call(*TINY, "--min-gain", "1000").status == 1
    shown = call(*TINY, "--export-json", "-")
    assert len(shown.rows) == 1


@pytest.fixture
def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: Any) -> Any:
        raise AssertionError("work began")

    monkeypatch.setattr(benching, "judge_all", refuse)


def one_line(result: Result, *words: str) -> None:
    assert result.status == 2
    assert len(result.errors) == 1, result.err
    for word in words:
        assert word in result.err


@pytest.mark.usefixtures("no_work")
def test_what_is_wrong_is_found_before_any_work(tmp_path) -> None:
    nowhere = tmp_path / "missing" / "rows.json"
    one_line(call(*TINY, "--export-json", nowhere), str(nowhere), "cannot be written")
    one_line(call("bench", "finite", "--posterior", "exactt"), '"exact"')
    one_line(call("bench", "finite", "--posterior", "exact,laplace"), "laplace", "Finite")
    one_line(call("bench", "finte"), '"finite"')
    one_line(call("bench", "location", "--rule", "greedy"), "greedy", "Location")


def test_an_interrupt_keeps_finished_rows(tmp_path, monkeypatch) -> None:
    from uncertain.cli.jobs import bench as command

    written = command.write_exports

    def interrupted(*given: Any) -> None:
        written(*given)
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "write_exports", interrupted)
    file = tmp_path / "rows.json"
    result = call(*TINY, "--rule", "eig,random", "--export-json", file)
    assert result.status not in (0, 1)
    assert "Traceback" not in result.err
    (line,) = file.read_text().splitlines()
    assert json.loads(line)["rule"] == "eig"


ITSELF = """
__import__("time").sleep(0.2) or (__import__("os").getpid(), {**__import__("os").environ})
"""


def test_every_worker_has_one_thread() -> None:
    seen: dict[int, dict[str, str]] = {}
    with worker_process.start_processes(2) as pool:
        # Which of them answers is chance, and one may be up long before the other.
        for _ in range(100):
            seen |= dict(pool.map(eval, [ITSELF.strip()] * 2))
            if len(seen) == 2:
                break
    assert len(seen) == 2
    for environment in seen.values():
        assert worker_process.ONE_THREAD.items() <= environment.items()
    assert not worker_process.ONE_THREAD.items() <= os.environ.items()


@pytest.mark.live
def test_two_workers_through_the_command_line(tmp_path, schema) -> None:
    file = tmp_path / "tiny.toml"
    file.write_text(
        'world = "finite"\nsteps = 3\nseeds = 4\nlive = 1\n[[cells]]\nposterior = "exact"\n'
    )
    done = subprocess.run(
        [
            sys.executable, "-c", "from uncertain.cli.main import main; main()",
            "bench", "--config", str(file), "--workers", "2", "--no-plot",
        ],
        env={**os.environ, "UNCERTAIN_NO_CACHE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout)
    jsonschema.Draft202012Validator(schema).validate(row)
    assert row["threads"] == 2
    alone = benching.run_bench(
        Experiment(world="finite", steps=3, seeds=4, live=0, workers=1, cells=[Row("exact")]),
        lambda rows: None,
        lambda text, share: None,
    )[0]
    assert row["gain"]["exact"] == pytest.approx(to_dict(alone)["gain"]["exact"], abs=1e-5)
    assert alone.decide is None
