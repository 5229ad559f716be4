"""Small inputs with one fault each: refused in one line, or handled as they should be.

The kind of each fault has tests of its own elsewhere; here each is met as a user would meet it.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from console import call, lines

LINEAR = ("--model", "linear:arms=3:features=2", "--posterior", "laplace", "--rule", "greedy")
NATIVE = "id,t,x.0,action,propensity,y"


def put(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_huge_feature_is_refused_and_the_belief_is_as_before(tmp_path: Path) -> None:
    asked = {"id": 2, "x": [1, 1]}
    poison = lines({"id": 1, "x": [1e20, 0.2], "action": 1, "y": 1}, asked)
    skipped = call("run", *LINEAR, "--on-error", "skip", stdin=poison)
    plain = call("run", *LINEAR, stdin=lines(asked))
    assert skipped.rows[-1]["scores"] == plain.rows[-1]["scores"]
    stopped = call("run", *LINEAR, stdin=poison)
    assert stopped.status == 2
    assert ":1: x: too large" in stopped.err


def test_a_unix_time_is_learnt_as_in_double_precision() -> None:
    """One event, then a decision far from it, where the exact answer is known by hand."""
    x = np.asarray([1.7e9, 0.2])
    told = lines({"id": 1, "x": x.tolist(), "action": 1, "y": 1}, {"id": 2, "x": [1, 1]})
    found = call("run", *LINEAR, stdin=told)
    mean = x / (1 + x @ x)  # prior and noise of variance 1
    # A score is a mean of 128 draws of standard deviation 1: 4.4 errors, a false alarm in 10^5.
    assert found.rows[-1]["scores"][1] == pytest.approx(mean.sum(), abs=4.4 / np.sqrt(128))


BOUNDED = """
from dataclasses import dataclass
import jax.numpy as jnp
from uncertain.posteriors import Model, Vector, dist

@dataclass(frozen=True)
class Bounded(Model):
    actions = Vector(1, 0.1, 10.0)
    def prior(self):
        return {"rate": dist.Normal(1.0, 1.0)}
    def predict(self, params, stats, action):
        return dist.Normal(jnp.log(params["rate"]) * action[0], 0.5)
"""
"""A rate of any sign, whose logarithm is no number for half of them."""


@pytest.mark.parametrize("command", ["run", "replay"])
def test_a_density_that_is_no_number_is_said_at_once(tmp_path: Path, command: str) -> None:
    model = f"{put(tmp_path, 'bounded.py', BOUNDED)}:Bounded"
    events = [{"id": i, "action": [1.0 + i], "y": -1.0} for i in range(5)]
    path = put(tmp_path, "log.ndjson", lines(*events))
    options = ("--rule", "eig", "--candidates", 4) if command == "run" else ("--latency", 0)
    found = call(command, path, "--model", model, "--posterior", "smc:particles=16", *options)
    assert found.status == 2
    assert "density may be no number" in found.errors[-1]


def replayed(path: Path) -> dict[str, Any]:
    done = call("replay", path, "--posterior", "point", "--rule", "random", "--latency", 0)
    assert done.status == 0, done.err
    return done.rows[0]["value"]


def test_an_event_that_counts_three_times_is_three_events(tmp_path: Path) -> None:
    def event(number: int, action: str, y: float) -> dict[str, Any]:
        return {"id": number, "x": [1.0], "action": action, "propensity": 0.5, "y": y}

    counted, repeated = [], []
    for i in range(80):
        one = event(i, "ab"[i % 2], float(i % 4 == 0))
        counted.append({**one, "weight": 3 if i % 4 == 0 else 1})
        repeated += [event(1000 + 10 * i + k, one["action"], one["y"]) for k in range(3)][
            : counted[-1]["weight"]
        ]
    first = replayed(put(tmp_path, "counted.ndjson", lines(*counted)))
    second = replayed(put(tmp_path, "repeated.ndjson", lines(*repeated)))
    for name in ("ips", "snips"):
        assert first[name]["value"] == pytest.approx(second[name]["value"], rel=1e-12)
        assert first[name]["se"] == pytest.approx(second[name]["se"], rel=1e-12)
    assert first["ess"] == pytest.approx(second["ess"], rel=1e-12)


def test_a_propensity_below_single_precision_is_computed(tmp_path: Path) -> None:
    events = [
        {"id": i, "x": [1.0], "action": "ba"[i == 40], "propensity": 1e-46 if i == 40 else 0.5,
         "y": float(i % 2)}
        for i in range(60)
    ]  # fmt: skip
    path = put(tmp_path, "tiny.ndjson", lines(*events))
    assert call("validate", path).status == 0
    value = replayed(path)
    # One weight of 5e45 carries it all: an effective sample of one event, and no interval.
    assert value["ess"] == pytest.approx(1.0)
    assert value["snips"]["low"] is None


def test_a_label_as_text_is_read_as_its_owner_does(tmp_path: Path) -> None:
    row = {"age": 15, "_multi": [{"src": "tv"}, {"src": "web", "_label": "0:3:.3"}]}
    found = call("validate", put(tmp_path, "label.json", lines(row)))
    assert found.status == 0
    assert found.rows[0]["y"] == {"least": -3.0, "most": -3.0}
    assert found.rows[0]["propensity"]["least"] == pytest.approx(0.3)


def test_a_decision_that_is_given_up_is_never_learnt() -> None:
    told = lines({"id": 8, "x": [1, 1]}, {"id": 8, "y": None}, {"id": 8, "y": None})
    found = call("run", *LINEAR, stdin=told)
    assert [row.get("withdrawn") for row in found.rows] == [None, True, False]
    assert "0 events learnt" in found.err


@pytest.mark.parametrize(
    "text",
    [
        "id;t;x.0;action;propensity;y\n1;0,0;0,5;left;0,25;1\n2;0,5;0,7;right;0,75;0\n",
        NATIVE.replace(",", "\t") + "\n1\t0\t0.5\tleft\t0.25\t1\n2\t.5\t0.7\tright\t0.75\t0\n",
        f"sep=,\n{NATIVE}\n1,0.0,0.5,left,0.25,1\n2,0.5,0.7,right,0.75,0\n",
        f"{NATIVE},\n1,0.0,0.5,left,0.25,1,\n2,0.5,0.7,right,0.75,0,\n",
    ],
    ids=["semicolons", "tabs", "sep=", "a trailing comma"],
)
def test_csv_of_other_dialects_is_read(tmp_path: Path, text: str) -> None:
    found = call("validate", put(tmp_path, "log.csv", text))
    assert found.status == 0, found.err
    row = found.rows[0]
    assert row["events"] == 2
    assert row["names"] == ["left", "right"]
    assert row["propensity"]["least"] == 0.25


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("pandas.csv", f",{NATIVE}\n0,1,0,0.5,left,0.25,1\n", "column 1 has no name"),
        (
            "zero.dsjson",
            json.dumps(
                {"_label_cost": -1.0, "_label_probability": 0.5, "_label_Action": 0, "a": [0, 1],
                 "c": {"_multi": [{"b": {"f": "1"}}, {"b": {"f": "2"}}]}, "p": [0.5, 0.5]}
            ) + "\n",
            "_label_Action: 0, but actions are counted from 1",
        ),
        (
            "twice.ndjson",
            '{"id":1,"x":[1.0],"action":"a","action":"b","propensity":0.5,"y":1}\n',
            "action: given twice",
        ),
    ],
    ids=["an index without a name", "actions from 0", "a key twice"],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_by_line(
    tmp_path: Path, name: str, text: str, words: str
) -> None:
    found = call("validate", put(tmp_path, name, text))
    assert found.status == 1
    assert f"{name}:1: {words}" in found.err
