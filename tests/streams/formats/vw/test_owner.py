"""What `convert` writes is read by Vowpal Wabbit itself: as many events, the same loss."""

from pathlib import Path

import pytest
from console import call, lines

vowpalwabbit = pytest.importorskip("vowpalwabbit", reason="pip install vowpalwabbit")

EVENTS = [
    {"id": i, "t": 60.0 * i, "x": [i / 7, 1 - i / 5], "action": ("red", "green", "blue")[i % 3],
     "propensity": (0.5, 0.25, 0.25)[i % 3], "y": float(i % 4 == 0)}
    for i in range(24)
]  # fmt: skip
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
