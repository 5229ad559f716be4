"""`uncertain calibrate` from end to end: rows, table, picture, gate, and what it refuses.

See also: tests/statistical/test_calibration.py for whether verdicts are right.
"""

from pathlib import Path

import pytest
from console import call, validate_rows
from uncertain.cli.tables.calibrate_table import draw_histogram

SMALL = ("calibrate", "linear:arms=0:features=1", "--runs", "160", "--steps", "3")


def test_rows_gate_and_picture(tmp_path: Path) -> None:
    file = tmp_path / "ranks.svg"
    result = call(*SMALL, "--posterior", "laplace,point", "--gate", "-o", file)
    right, wrong = result.rows
    assert result.status == 1, result.err
    validate_rows("calibration", result.rows)
    assert (right["posterior"], right["calibrated"], right["shape"]) == ("laplace", True, None)
    assert (wrong["posterior"], wrong["calibrated"]) == ("point", False)
    assert (right["runs"], right["draws"], right["bins"], right["thin"]) == (160, 15, 16, 10)
    assert [one["name"] for one in right["quantities"]] == ["weights", "log likelihood"]
    assert right["quantities"] == [right["unknown"], right["likelihood"]]
    assert all(sum(one["counts"]) == 160 for one in right["quantities"])
    assert any("point: not calibrated" in line for line in result.errors)
    assert not any("laplace: not calibrated" in line for line in result.errors)
    assert "rank of the truth among 15 draws in 16 bins" in " ".join(result.err.split())
    text = file.read_text()
    assert text.startswith("<svg")
    assert "point, k = 5: not calibrated" in text


def test_table_on_a_terminal() -> None:
    shown = call(*SMALL, "--posterior", "laplace", terminal=True)
    assert shown.status == 0, shown.err
    row = call(*SMALL, "--posterior", "laplace").rows[0]
    assert "calibrated" in shown.out
    # The same runs again; those of another seed are others.
    assert draw_histogram(row["likelihood"]["counts"]) in shown.out
    other = call(*SMALL, "--posterior", "laplace", "--seed", "1").rows[0]
    assert other["quantities"] != row["quantities"]


def test_histogram_in_text() -> None:
    assert draw_histogram([10, 10, 10, 10]) == "▄▄▄▄"
    assert draw_histogram([0, 40, 0, 0]) == " █  "
    assert draw_histogram([1, 19, 10, 10]) == "▁█▄▄"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("linear", "--posterior", "exact"), "posterior exact"),
        (("linear", "--posterior", "laplce"), 'did you mean "laplace"'),
        (("linear", "--bins", "10"), "do not divide the 16 ranks"),
        (("linear", "--runs", "20"), "16 bins need 80 at least"),
        (("wheel", "--posterior", "laplace"), "has no truth that could be ranked"),
        (("linear", "--model", "logistic:features=2", "--posterior", "laplace"), "other unknowns"),
        (("linear", "-o", "ranks.gif"), "ends in none of .png, .svg"),
        (("linear", "-o", "nowhere/ranks.svg"), "cannot be written"),
    ],
)
def test_wrong_use_is_one_line(words: tuple[str, ...], says: str) -> None:
    result = call("calibrate", *words)
    assert result.status == 2
    (line,) = result.errors
    assert says in line
