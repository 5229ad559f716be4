"""`uncertain run --batch`: several actions a line, their observations together or one by one.

See also: tests/decide/rules/test_batches.py for the choice of a batch.
"""

import math

import pytest
from console import call, lines

ARMS = ("run", "--model", "linear:features=1", "--arms", "a,b,c,d", "--batch", 3)
EIG = (*ARMS, "--rule", "eig")


def test_a_batch_and_its_observations() -> None:
    given = lines({"id": 1, "x": [0.5]}, {"id": 1, "y": [1, 0, 1]}, {"id": 2, "x": [0.5]})
    result = call(*EIG, stdin=given)
    assert result.status == 0, result.err
    asked, learnt, later = result.rows
    assert "action" not in asked
    assert len(set(asked["actions"])) == 3
    assert set(asked["actions"]) < set("abcd")
    assert [len(row) for row in asked["scores"]] == [4, 4, 4]
    # Arms that share nothing: the joint gain is three times that of one.
    one = 0.5 * math.log(1 + 1.25 / 0.25)
    assert asked["gain"] == pytest.approx(3 * one, rel=1e-4)
    assert asked["propensities"] == pytest.approx([1 / 4, 1 / 3, 1 / 2])
    assert learnt["nll"] > 0
    assert learnt["realised_gain"] > 0
    # What was not asked is asked first now.
    assert later["actions"][0] == (set("abcd") - set(asked["actions"])).pop()
    assert (later["step"], later["ahead"]) == (3, 0)
    assert "2 decisions, 3 events learnt" in result.err


def test_a_batch_learns_what_its_events_one_by_one_do() -> None:
    first = call(*EIG, stdin=lines({"id": 1, "x": [0.5]})).rows[0]["actions"]
    together = lines({"id": 1, "x": [0.5]}, {"id": 1, "y": [1, 0, 1]}, {"id": 2, "x": [2]})
    events = ({"id": i, "x": [0.5], "action": a, "y": y} for i, (a, y) in
              enumerate(zip(first, (1, 0, 1), strict=True)))  # fmt: skip
    apart = lines({"id": 1, "x": [0.5]}, *events, {"id": 2, "x": [2]})
    many, single = call(*EIG, stdin=together).rows, call(*EIG, stdin=apart).rows
    assert many[-1]["scores"][0] == pytest.approx(single[-1]["scores"][0], rel=1e-5)
    for name in ("nll", "realised_gain"):
        assert many[1][name] == pytest.approx(sum(row[name] for row in single[1:4]), rel=1e-5)


def test_vectors_listed_or_made() -> None:
    ask = ("run", "--quiet", "--model", "location", "--posterior", "smc:particles=8")
    given = lines({"id": 1}, {"id": 2, "actions": [[0, 0], [1, 1], {"id": "far", "x": [3, 3]}]})
    result = call(*ask, "--rule", "random", "--batch", 2, "--candidates", 4, stdin=given)
    assert result.status == 0, result.err
    made, listed = result.rows
    assert [len(action) for action in made["actions"]] == [2, 2]
    assert made["actions"][0] != made["actions"][1]
    assert all(action in ([0, 0], [1, 1], "far") for action in listed["actions"])
    assert [len(row) for row in listed["scores"]] == [3, 3]


def test_a_budget_cuts_a_batch() -> None:
    given = lines({"id": 1, "x": [1]}, {"id": 1, "y": [1, 2, 3]}, {"id": 2, "x": [1]},
                  {"id": 2, "y": [1]}, {"id": 3, "x": [1]})  # fmt: skip
    result = call(*EIG, "--budget", 4, stdin=given)
    assert result.status == 0, result.err
    assert [len(row.get("actions", ())) for row in result.rows[::2]] == [3, 1, 0]
    assert result.rows[-1]["stop"]
    assert result.rows[-1]["actions"] == []
    costs = lines({"id": 1, "x": [1], "cost": [9, 1, 1, 9]})
    row = call(*EIG, "--budget", 2, stdin=costs).rows[0]
    assert set(row["actions"]) == {"b", "c"}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ({"id": 1, "y": 1}, "y: expected a list of 3, got one alone"),
        ({"id": 1, "y": [1, 2]}, "y: expected a list of 3, got 2"),
        ({"id": 2, "x": [1], "actions": ["a", "b"]}, "2 candidates for a batch of 3"),
    ],
)
def test_wrong_lines(line: dict, words: str) -> None:
    result = call(*EIG, "--quiet", stdin=lines({"id": 1, "x": [1]}, line))
    assert result.status == 2
    assert f"<stdin>:2: {words}" in result.err or words in result.err
    assert len(result.errors) == 1


def test_more_than_there_are() -> None:
    result = call("run", "--model", "linear:arms=2", "--batch", 3)
    assert result.status == 2
    assert "--batch 3: there are 2 arms" in result.err
