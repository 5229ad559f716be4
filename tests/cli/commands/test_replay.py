"""The body of `uncertain replay`: rows out, arms read off the log, one line for bad input."""

import json

import numpy as np
import pytest
from console import call, validate_rows
from msgspec.structs import replace
from uncertain.cli.commands.replay import ReplayOptions
from uncertain.cli.jobs.replay import replay
from uncertain.cli.tables.replay_rows import list_replay_remarks, replay_table
from uncertain.decide.judge.records.replay_record import (
    JointLoss,
    OrderSpread,
    ReplayRecord,
    TotalGain,
)
from uncertain.posteriors.errors import UsageError
from uncertain.posteriors.registry import fit_model_spec
from uncertain.streams.formats.ndjson import encode_line, event_fields
from uncertain.streams.formats.registry import open_log


def log(tmp_path, n=40):
    path = tmp_path / "log.ndjson"
    lines = [
        encode_line(event_fields(i, float(i), i % 3, 1 / 3, float(i % 3 == 1), x=[1.0, i % 2]))
        for i in range(n)
    ]
    path.write_bytes(b"".join(lines) + b'{"id":"ask","x":[1,0]}\n')
    return str(path)


def test_a_row_for_each_posterior(tmp_path, capfdbinary):
    export = tmp_path / "rows.ndjson"
    options = ReplayOptions(
        files=(log(tmp_path),), model="logistic", posterior="point:refine=2,laplace",
        rule="thompson", latency=5, export_json=str(export),
    )  # fmt: skip
    assert replay(options) == 0
    out = capfdbinary.readouterr().out
    assert out == export.read_bytes()
    validate_rows("replay", [json.loads(line) for line in out.splitlines()])
    point, laplace = (json.loads(line) for line in out.splitlines())
    assert point["model"] == "logistic:arms=3:features=2"
    assert (point["events"], point["refine"], laplace["refine"]) == (40, 2, 0)
    assert point["gain"]["total"] == 0 < laplace["gain"]["total"]
    assert laplace["left_out"] == {"requests without an action": 1}
    assert laplace["value"]["believe"] is False
    assert laplace["learn"]["n"] == 5
    assert laplace["joint"]["tau"] == 10


def test_a_row_for_each_half_life_and_other_orders(tmp_path, capfdbinary):
    options = ReplayOptions(
        files=(log(tmp_path),), model="linear", posterior="laplace,point:half_life=9", latency=0,
        half_life=(float("inf"), 5.0), orders=2,
    )  # fmt: skip
    assert replay(options) == 0
    rows = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert [row["posterior"] for row in rows] == [
        "laplace", "laplace:half_life=5", "point:half_life=9",
    ]  # fmt: skip
    assert [row["half_life"] for row in rows] == [None, 5, 9]
    validate_rows("replay", rows)
    plain, forgetful, point = (row["order"] for row in rows)
    assert max(plain["spread"], forgetful["spread"]) < 2e-5 < 5e-4 < point["spread"]
    assert (plain["orders"], plain["events"], plain["late"]) == (2, 40, None)
    assert rows[0]["nll"] != rows[1]["nll"]


def test_other_orders_are_a_column_and_a_remark():
    row = ReplayRecord(
        log="a.ndjson", model="linear", posterior="smc", rule=None, refine=1, half_life=None,
        events=40, nll=None, accuracy=None, joint=JointLoss(tau=10, nll=None, dyadic=None),
        gain=TotalGain(total=1.0, mean=0.1, se=0.1), reward=None, work=1.0, failures=0, alarm=None,
        value=None, order=None, learn=None, compile=0.0, seconds=1.0, left_out={}, config={},
        versions={}, device="", seed=0,
    )  # fmt: skip
    assert "order" not in [column.header for column in replay_table([row]).columns]
    order = OrderSpread(orders=4, events=40, spread=0.0312, chance=0.029, late=0.01)
    reordered = replace(row, order=order)
    grid = replay_table([row, reordered])
    assert grid.columns[-1].header == "order"
    assert list(grid.columns[-1].cells) == ["-", "0.03"]
    assert list(list_replay_remarks([reordered])) == [
        "a.ndjson smc: 4 other orders of 40 events give predictions that lie 0.031 nats apart, "
        "other seeds 0.029; the order of their times 0.01"
    ]


def test_what_is_given_is_kept(tmp_path):
    found = open_log(log(tmp_path))
    assert fit_model_spec("linear:arms=5", found.actions) == "linear:arms=5:features=2"
    assert fit_model_spec("mine.py:build", found.actions) == "mine.py:build"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"files": ()}, "needs a log"),
        ({"files": ("absent",)}, "no such file"),
        ({"posterior": "laplce"}, "laplace"),
        ({"posterior": "point:refine=-1"}, "refine=-1"),
        ({"model": "location"}, "name another --model"),
        ({"explore": 2.0}, "--explore"),
        ({"orders": -1}, "--orders"),
        ({"half_life": (-1.0,)}, "half_life=-1"),
        ({"export_json": "absent/rows"}, "cannot be written"),
    ],
)
def test_wrong_use_is_one_line(tmp_path, change, words):
    options = ReplayOptions(**({"files": (log(tmp_path),)} | change))
    with pytest.raises(UsageError) as caught:
        replay(options)
    assert words in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_estimates_follow_from_the_scores_of_events(tmp_path):
    """IPS, SNIPS and DR by their formulas over the exported columns, in two chunks."""
    lines = [
        {"id": i, "x": [1.0, i % 2], "action": i % 3, "propensity": 0.2 + 0.1 * (i % 3),
         "y": float(i % 3 == 1), "weight": 1 + (i + 1) % 3}
        for i in range(1_060)
    ]  # fmt: skip
    path, scores = tmp_path / "log.ndjson", tmp_path / "scores.ndjson"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    options = ("--model", "linear", "--posterior", "laplace,point", "--rule", "thompson")
    done = call("replay", path, *options, "--latency", 0, "--export-scores", scores)
    assert done.status == 0
    events = [json.loads(line) for line in scores.read_text().splitlines()]
    assert [e["event"] for e in events] == [*range(1, 1_061)] * 2
    for row in done.rows:
        mine = [e for e in events if e["posterior"] == row["posterior"]]
        names = ("weight", "reward", "propensity", "probability", "prediction", "expected", "nll")
        c, r, mu, pi, q, v, nll = (np.asarray([e[name] for e in mine]) for name in names)
        assert np.array_equal(mu, [line["propensity"] for line in lines])
        w = pi / mu
        ips, dr = (np.average(x, weights=c) for x in (w * r, v + w * (r - q)))
        snips = c @ (w * r) / (c @ w)
        found = [row["value"][name]["value"] for name in ("ips", "snips", "dr")]
        assert found == pytest.approx([ips, snips, dr], rel=1e-9)
        assert row["nll"]["mean"] == pytest.approx(np.average(nll, weights=c), rel=1e-6)
        # Negative control: without the weights of events the estimate is another.
        assert abs((w * r).mean() - ips) > 1e-3


def test_scores_and_rows_go_to_files_of_their_own(tmp_path):
    same = ("--export-json", "both.ndjson", "--export-scores", "both.ndjson")
    done = call("replay", log(tmp_path), *same)
    assert done.status == 2
    assert "--export-json writes there" in done.errors[-1]
    done = call("replay", log(tmp_path), "--latency", 0, "--export-scores", "-")
    assert done.status == 0
    # The scores alone, without what only a judged rule has; the request of the log is no event.
    assert [row["event"] for row in done.rows] == [*range(1, 41)]
    assert "probability" not in done.rows[0]
