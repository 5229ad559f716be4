"""`uncertain people`: rows, table and picture of made-up studies; one line for wrong use.

See also: tests/decide/judge/people/test_bandit_choices.py for the numbers.
"""

import json

import msgspec
import pytest
from console import call, validate_rows
from uncertain.cli.jobs.people import space_evenly
from uncertain.cli.tables.people_table import people_columns, render_people_markdown
from uncertain.decide.judge.records.people_record import PeopleRecord
from uncertain.decide.judge.records.record import Mean

HEAD = "subject,block,trial,mu1,mu2,choice,reward,RT\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> str:
    place = tmp_path_factory.mktemp("study")
    rows = [
        f"{who},{block},{t},5,-5,{1 + (t * who) % 2},{5 if (t * who) % 2 == 0 else -5},500\n"
        for who in (1, 2, 3)
        for block in (1, 2)
        for t in (1, 2, 3)
    ]
    (place / "data2_two_stochastic_arms.csv").write_text(HEAD + "".join(rows))
    return str(place)


@pytest.fixture(scope="module")
def done(folder: str, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    result = call(
        "people", "bandits", folder, "--rule", "eig,greedy", "--export-json", out / "rows.ndjson",
        "--export-markdown", out / "table.md", "--picture", out / "picture.svg", "--seed", "3",
    )  # fmt: skip
    return result, out


def test_a_row_for_people_and_each_rule(done) -> None:
    result, out = done
    assert result.status == 0, result.err
    validate_rows("people", result.rows)
    assert [row["who"] for row in result.rows] == ["people", "eig", "greedy"]
    assert [json.loads(x) for x in (out / "rows.ndjson").read_text().splitlines()] == result.rows
    people, eig, greedy = result.rows
    assert (people["people"], people["choices"], people["seed"]) == (3, 18, 3)
    assert people["gain"]["mean"] < people["best"]["mean"]
    assert eig["share"]["mean"] == pytest.approx(1)
    # Ten apart and a noise of one: greed is soon right, and information pays nothing.
    assert greedy["regret"]["mean"] < eig["regret"]["mean"]
    assert people["models"] == ["linear:arms=2:features=0:scale=8.1:noise=1.04"]
    assert people["versions"]["jax"]


def test_a_table_and_a_picture_of_the_same(done) -> None:
    result, out = done
    text = (out / "table.md").read_text()
    rows = [msgspec.convert(row, PeopleRecord) for row in result.rows]
    assert render_people_markdown(rows, (1.0, "nats")) == text
    assert f"{result.rows[0]['gain']['mean']:.3f}" in text
    drawn = (out / "picture.svg").read_text()
    for words in ("People beside rules: bandits", "greedy", "gain, nats", "regret, % of choosing"):
        assert words in drawn


def test_the_same_seed_says_the_same(done, folder: str) -> None:
    result, _ = done
    again = call("people", "bandits", folder, "--rule", "eig,greedy", "--seed", "3")
    assert again.rows == result.rows


def test_nats_are_shown_in_the_authors_bits() -> None:
    measure = Mean(0.693147, 0.0693147)
    row = PeopleRecord(
        study="s", group="g", who="people", people=2, problems=2, choices=4, gain=measure,
        best=measure, share=Mean(1.0, 0.0), random=measure, learnt=measure, regret=None,
        by_turn=[], config={}, seed=0, versions={},
    )  # fmt: skip
    shown = {name: text(row) for name, text in people_columns([row], (0.693147, "bits"))}
    assert shown["gain, nats"] == "0.693 ± 0.069"
    assert shown["gain, bits"] == "1.000 ± 0.100"
    assert shown["learnt, bits"] == "1.00 ± 0.10"
    assert "regret, %" not in shown


def test_people_are_taken_evenly() -> None:
    everyone = [str(i) for i in range(10) for _ in range(3)]
    assert space_evenly(everyone, 5) == {"0", "2", "4", "6", "8"}
    assert space_evenly(everyone, 99) == set(everyone)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["bandit", "FOLDER"], 'no study "bandit"; did you mean "bandits"'),
        (["bandits", "absent"], "no such folder"),
        (["clicks", "FOLDER"], "no graphs.npz"),
        (["clicks", "FOLDER", "--rule", "eig"], "leave --rule out"),
        (["bandits", "FOLDER", "--rule", "egi"], "eig"),
        (["bandits", "FOLDER", "--picture", "chart.pdf"], "name a file .svg or .png"),
        (["bandits", "FOLDER", "--export-json", "absent/rows"], "cannot be written"),
    ],
)
def test_wrong_use_is_one_line(folder: str, words: list[str], says: str) -> None:
    result = call("people", *(folder if word == "FOLDER" else word for word in words))
    assert result.status == 2
    assert len(result.errors) == 1
    assert says in result.err
