"""A deadline has JAX on one thread: small calls then never wait for a busy core.

See also: benchmarks/deadlines.py for the effect on latency.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from console import lines

COUNTED = """
import os
from pathlib import Path
from uncertain.cli.live import run
from uncertain.cli.main import main

def counting(server, *rest, inner=run.serve):
    inner(server, *rest)
    tasks = Path("/proc/self/task").iterdir()
    names = [(task / "comm").read_text() for task in tasks]
    print("threads", sum("XLAEigen" in name for name in names), flush=True)

run.serve = counting
main()
"""

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(
        not Path("/proc/self/task").is_dir() or len(os.sched_getaffinity(0)) < 2,
        reason="threads are counted on Linux, where there is more than one core",
    ),
]


def threads(*options: str) -> int:
    """XLA's threads in a run that answered a line."""
    words = ["run", "--model", "linear:arms=2:features=1", "--no-cache", *options]
    done = subprocess.run(
        [sys.executable, "-c", COUNTED, *words], input=lines({"id": 1, "x": [1.0]}),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return int(done.stdout.splitlines()[-1].split()[1])


def test_a_deadline_has_one_thread() -> None:
    assert threads("--deadline", "50ms") == 1
    # Negative control.
    assert threads() == len(os.sched_getaffinity(0))
