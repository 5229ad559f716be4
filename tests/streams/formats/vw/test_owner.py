"""What `convert` writes is read by Vowpal Wabbit itself: as many events, the same loss."""

import gzip
import os
from pathlib import Path

import pytest
from console import call, lines

vowpalwabbit = pytest.importorskip("vowpalwabbit", reason="pip install vowpalwabbit")

EVENTS = [
    {"id": i, "t": 60.0 * i, "x": [i / 7, 1 - i / 5], "action": ("red", "green", "blue")[i % 3],
     "propensity": (0.5, 0.25, 0.25)[i % 3], "y": float(i % 4 == 0)}
    for i in range(24)
]  # fmt: skip
CATS = "--cats 4 --min_value 0 --max_value 100 --bandwidth 1"
ROUNDING = 1e-5
"""Vowpal Wabbit sums in single precision."""


def read_by_owner(arguments: str) -> tuple[float, float]:
    """Examples with a label, and the sum of their losses while the model is that of the start."""
    workspace = vowpalwabbit.Workspace(f"--quiet --learning_rate 0 {arguments}")
    try:
        return workspace.get_weighted_examples(), workspace.get_sum_loss()
    finally:
        workspace.finish()


def first_arm_value(first: str) -> float:
    """Sum of the costs over propensity of events whose arm is listed first: with weights of zero
    Vowpal Wabbit plays the first action."""
    return sum(-e["y"] / e["propensity"] for e in EVENTS if e["action"] == first)


def written(tmp_path: Path, ending: str) -> tuple[Path, str]:
    (tmp_path / "log.ndjson").write_text(lines(*EVENTS))
    out = tmp_path / f"log.{ending}"
    result = call("convert", tmp_path / "log.ndjson", out)
    assert result.status == 0, result.err
    return out, "red"


def test_dsjson(tmp_path: Path) -> None:
    out, first = written(tmp_path, "dsjson")
    events, loss = read_by_owner(f"--cb_adf --dsjson -d {out}")
    assert events == len(EVENTS)
    assert loss == pytest.approx(first_arm_value(first), rel=ROUNDING)


def test_text(tmp_path: Path) -> None:
    out, first = written(tmp_path, "vw")
    several = "shared" in out.read_text()
    events, loss = read_by_owner(f"{'--cb_adf' if several else '--cb 3'} -d {out}")
    assert events == len(EVENTS)
    assert loss == pytest.approx(first_arm_value(first), rel=ROUNDING)


def test_lines_without_the_list_of_actions_are_no_events_to_it(tmp_path: Path) -> None:
    """Negative control: dsjson without `a`, as it was written once, is read as empty."""
    out, _ = written(tmp_path, "dsjson")
    bare = tmp_path / "bare.dsjson"
    bare.write_text(out.read_text().replace('"a":[', '"z":['))
    assert read_by_owner(f"--cb_adf --dsjson -d {bare}") == (0, 0)


DATA = os.environ.get("UNCERTAIN_DATA")
GIVEN = [
    ("dsjson_cb.json", "--cb_adf --dsjson", "dsjson", "--cb_adf --dsjson", 23),
    ("dsjson_cb.json", "--cb_adf --dsjson", "vw", "--cb_adf", 23),
    ("cb_test256.json", "--cb_adf --json", "dsjson", "--cb_adf --dsjson", 260),
    ("cb_test256.json", "--cb_adf --json", "vw", "--cb_adf", 260),
    ("igl.dsjson", "--cb_adf --dsjson", "dsjson", "--cb_adf --dsjson", 200),
    ("igl.dsjson", "--cb_adf --dsjson", "vw", "--cb_adf", 200),
    ("rcv1_raw_cb_small.vw", "--cb 2", "vw", "--cb 2", 1000),
    ("rcv1_raw_cb_small.vw", "--cb 2", "dsjson", "--cb_adf --dsjson", 1000),
    ("cats_room_temp.json", CATS + " --dsjson", "dsjson", CATS + " --dsjson", 100),
    ("cats_room_temp.json", CATS + " --dsjson", "vw", CATS, 100),
]


@pytest.mark.skipif(DATA is None, reason="needs UNCERTAIN_DATA, a folder of data sets")
@pytest.mark.parametrize(("name", "first", "ending", "second", "count"), GIVEN)
def test_files_of_its_own(
    tmp_path: Path, name: str, first: str, ending: str, second: str, count: int
) -> None:
    """As many events and the same loss before and after, of files that others wrote."""
    kept = tmp_path / name
    kept.write_bytes(gzip.decompress(Path(f"{DATA}/vw_cb/{name}.gz").read_bytes()))
    out = tmp_path / f"out.{ending}"
    result = call("convert", kept, out)
    assert result.status == 0, result.err
    before, after = read_by_owner(f"{first} -d {kept}"), read_by_owner(f"{second} -d {out}")
    assert before[0] == after[0] == count
    assert after[1] == pytest.approx(before[1], rel=1e-6)


def test_a_label_for_evaluation_is_refused_by_name(tmp_path: Path) -> None:
    """`--cb 2 --eval`: the first word is the action of the policy that is evaluated."""
    path = tmp_path / "eval.vw"
    path.write_text("1:1:0.5 | a b\n2 2:0:0.5 | a\n")
    result = call("validate", path)
    assert result.status == 1
    assert "action 2 twice" in result.out
    assert "--cb --eval" in result.out
