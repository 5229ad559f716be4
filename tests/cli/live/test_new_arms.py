"""`uncertain run --new-arms`: arms appear under new names, vanish, come back, and survive a resume.

See also: tests/streams/formats/test_arms.py for the slots themselves.
"""

from pathlib import Path

import pytest
from console import call, lines

FEW = ("run", "--model", "linear:arms=4:features=1", "--rule", "greedy", "--new-arms")
PAY = {"bad": -1.0, "good": 1.0, "late": 3.0, "last": 0.5}


def told(rows):
    """Replies without what the clock decides, and without refusals, which name their file."""
    kept = [row for row in rows if "error" not in row]
    return [{k: v for k, v in row.items() if k != "latency"} for row in kept]


def played(names, count, start=0):
    """Events in which each of the names in turn is chosen from all of them."""
    return [
        {"id": start + i, "x": [1.0], "actions": list(names), "action": names[i % len(names)],
         "y": PAY[names[i % len(names)]]}
        for i in range(count)
    ]  # fmt: skip


def test_an_arm_that_appears_is_learnt_and_one_that_vanished_is_remembered() -> None:
    asked = [{"id": f"ask{i}", "x": [1.0]} for i in range(4)]
    asked[1]["actions"] = ["bad", "late"]
    asked[2]["actions"] = ["good", "new"]
    given = lines(
        *played(["bad", "good"], 20), asked[0], *played(["late"], 20, 20), asked[1], asked[2],
        *played(["good"], 2, 40), asked[3],
    )  # fmt: skip
    result = call(*FEW, stdin=given)
    assert result.status == 0
    replies = {row["id"]: row for row in result.rows if str(row["id"]).startswith("ask")}
    assert [replies[f"ask{i}"]["action"] for i in range(4)] == ["good", "late", "good", "late"]
    # Only arms that were ever met are scored, in the order in which they were.
    assert [len(replies[f"ask{i}"]["scores"]) for i in range(4)] == [2, 2, 2, 4]
    # Nothing is known of a new arm: its mean over 128 draws of deviation 1.4, never the others'.
    assert abs(replies["ask2"]["scores"][1]) < 0.6
    assert "4 arms are known, in 4 places" in result.err


def test_names_met_in_turn_are_learnt_as_names_given_before() -> None:
    given = lines(*played(["bad", "good", "late"], 30), {"id": "ask", "x": [1.0]})
    known = call(*FEW[:2], "linear:arms=3:features=1", *FEW[3:5], "--arms", "bad,good,late",
                 stdin=given)  # fmt: skip
    met = call(*FEW[:2], "linear:arms=3:features=1", *FEW[3:], stdin=given)
    assert told(met.rows) == told(known.rows)


def test_a_name_too_many_is_refused_and_takes_no_place() -> None:
    # Two of its names had a place before the third had none.
    five = {"id": 90, "x": [1.0], "actions": ["bad", "3rd", "4th", "fifth", "6th"]}
    given = lines(*played(["bad", "good"], 4), five, *played(list(PAY), 4, 4))
    result = call(*FEW, "--on-error", "skip", stdin=given)
    assert result.status == 0
    assert "no place for an arm called 'fifth': all 4 are taken" in result.rows[4]["error"]
    assert [row["id"] for row in result.rows[5:] if "nll" in row] == [4, 5, 6, 7]
    assert call(*FEW, stdin=lines(five)).status == 2


def test_places_survive_a_resume(tmp_path: Path) -> None:
    given = [*played(["bad", "good"], 10), *played(["late"], 10, 10), {"id": "ask", "x": [1.0]}]
    names = [f"not taken in {i}" for i in range(5)]
    refused = {"id": 91, "x": [1.0], "actions": names}
    kept = [*given[:15], refused, *given[15:]]
    whole = call(*FEW, "--on-error", "skip", stdin=lines(*kept)).rows
    file, folder = tmp_path / "in.ndjson", tmp_path / "kept"
    options = (*FEW, str(file), "--on-error", "skip", "--checkpoint", str(folder))
    file.write_text(lines(*kept[:16]))
    first = call(*options).rows
    file.write_text(lines(*kept))
    second = call(*options, "--resume").rows
    assert told([*first, *second]) == told(whole)
    assert second[-1]["action"] == "late"
    other = call(*[word for word in options if word != "--new-arms"], "--resume")
    assert other.status == 2
    assert "new_arms" in other.err


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--model", "linear:arms=0:features=2", "--new-arms"], "has no arms"),
        (["--model", "linear:arms=2", "--arms", "a,b,c", "--new-arms"], "--arms names 3"),
        (["--model", "linear:arms=3", "--arms", "a,b"], "--arms names 2"),
    ],
)
def test_what_does_not_fit_is_one_line(options, problem) -> None:
    result = call("run", *options, stdin="")
    assert result.status == 2
    assert problem in result.err


def test_nothing_is_offered_before_any_arm_is_known() -> None:
    result = call(*FEW, stdin=lines({"id": 1, "x": [1.0]}))
    assert result.status == 2
    assert "no arm is known yet" in result.err
