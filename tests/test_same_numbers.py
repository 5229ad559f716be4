"""What is found between the outputs of two revisions: digits, rows and fields, but not times."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import same_numbers  # a script, not a package
from same_numbers import LEFT_OUT, compared

ROW = {"posterior": "smc", "gain": {"lower": {"mean": 0.1 + 0.2}, "exact": None}, "steps": [1, 2]}
TEXT = json.dumps(ROW) + "\n" + json.dumps({**ROW, "posterior": "hmc"}) + "\n"


def test_the_same_text_has_no_differences() -> None:
    assert compared(TEXT, TEXT) == []
    assert compared("", "") == []


def test_a_changed_last_digit_is_found() -> None:
    after = TEXT.replace("0.30000000000000004", "0.30000000000000003", 1)
    # Both are the same double: it is the text that counts.
    place = "line 1.gain.lower.mean"
    assert compared(TEXT, after) == [(place, "0.30000000000000004", "0.30000000000000003")]
    assert compared("NaN", "NaN") == []
    assert compared("0.0", "-0.0") == [("line 1", "0.0", "-0.0")]


def test_a_missing_row_is_found() -> None:
    first, second = TEXT.splitlines()
    assert compared(TEXT, first) == [("line 2", "something", "nothing")]
    assert compared(second, TEXT)[-1] == ("line 2", "nothing", "something")
    assert compared(TEXT, "") != []


def test_a_missing_field_is_found_and_so_is_one_more() -> None:
    less = json.dumps({**ROW, "gain": {"lower": {"mean": 0.1 + 0.2}}})
    assert compared(json.dumps(ROW), less) == [("line 1.gain.exact", "null", "nothing")]
    assert compared(less, json.dumps(ROW)) == [("line 1.gain.exact", "nothing", "null")]
    shorter = json.dumps({**ROW, "steps": [1]})
    assert compared(json.dumps(ROW), shorter) == [("line 1.steps[1]", "2", "nothing")]


@pytest.mark.parametrize("values", [(1, 1.0), (1, "1"), (0, False), (0, None), ([], {}), (1, True)])
def test_what_only_looks_alike_is_found(values: tuple[object, object]) -> None:
    one, other = (json.dumps({"n": value}) for value in values)
    assert len(compared(one, other)) == 1


def test_the_order_of_fields_and_times_are_not_compared() -> None:
    one = {"a": 1, "latency": {"decide": 0.1}, "total": {"p50": 1}}
    other = {"total": None, "latency": {"decide": 0.2}, "a": 1}
    assert compared(json.dumps(one), json.dumps(other)) == []
    assert all(LEFT_OUT.values())
    # A total that is no time is compared.
    nested = [json.dumps({"gain": {"total": value}}) for value in (1, 2)]
    assert compared(*nested) == [("line 1.gain.total", "1", "2")]


def test_lines_that_are_no_json_are_compared_as_text() -> None:
    assert compared("id,y\na,0.10\n", "id,y\na,0.1\n") == [("line 2", '"a,0.10"', '"a,0.1"')]


def test_every_command_has_a_name_of_its_own_and_what_needs_data_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = Path(same_numbers.__file__).with_suffix(".toml").read_text()
    whole, less = (
        same_numbers.steps_of(text, place, tmp_path) for place in (tmp_path, tmp_path / "none")
    )
    names = [name for part in whole.values() for group in part for name in group]
    assert len(set(names)) == len(names) > 10
    assert not any("{" in s["command"] for part in whole.values() for g in part for s in g.values())
    left = set(names) - {name for part in less.values() for group in part for name in group}
    assert left == {"people.ndjson"}
    assert "people.ndjson: skipped" in capsys.readouterr().out
