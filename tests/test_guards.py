"""Each guard is taken away in turn, and the test that is there for it fails.

See also: guards.py for the guards and their tests.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from guards import GUARDS, KEPT, OUTCOMES

pytestmark = pytest.mark.live

ROOT = Path(__file__).parents[1]


def outcomes(folder: Path, **variables: str) -> dict[str, set[str]]:
    """How the tests of each guard end, in a process of their own."""
    told = folder / "outcomes"
    command = (sys.executable, "-m", "pytest", "-n", "0", "-q", "-p", "guards", "-m", "not soak",
               "-p", "no:cacheprovider", *(test for test, _ in GUARDS.values()))  # fmt: skip
    python = os.pathsep.join((str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")))
    subprocess.run(
        command, cwd=ROOT, capture_output=True, timeout=600, check=False,
        env={**os.environ, "PYTHONPATH": python, OUTCOMES: str(told), **variables},
    )  # fmt: skip
    found: dict[str, set[str]] = {}
    for line in told.read_text().splitlines():
        row = json.loads(line)
        found.setdefault(row["guard"], set()).add(f"{row['when']} {row['outcome']}")
    return found


def test_what_a_guard_is_for_is_seen_where_it_is_gone(tmp_path: Path) -> None:
    found = outcomes(tmp_path)
    assert found.keys() == GUARDS.keys()
    assert [name for name, ends in found.items() if "call failed" not in ends] == []


def test_with_all_guards_all_tests_pass(tmp_path: Path) -> None:
    """Negative control: it is the guards that the failures are of."""
    found = outcomes(tmp_path, **{KEPT: "1"})
    assert found == {name: {"call passed"} for name in GUARDS}
