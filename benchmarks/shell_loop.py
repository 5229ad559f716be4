"""A shell loop over particle counts: seconds a run, the first time round and later; and `--help`.

    python benchmarks/shell_loop.py [--rounds 4] [--out FILE.json]

Runs `uncertain bench location --posterior svgd --particles N --seeds 5 --steps 10` for N = 1, 2, 4
and 8 as a shell would, with a cache folder that is empty at first, and then the same again. Nothing
else should be running.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

COUNTS = (1, 2, 4, 8)
HELPS = 10
IMPORTED = """
import sys
sys.argv = ["uncertain", "--help"]
from uncertain.cli.main import main
try:
    main()
except SystemExit:
    print("jax" in sys.modules or "numpy" in sys.modules, file=sys.stderr)
"""


def seconds(words: list[str], cache: str) -> float:
    """How long a command takes."""
    environment = {**os.environ, "XDG_CACHE_HOME": cache}
    began = time.perf_counter()
    subprocess.run(words, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--out", help="a file for the figures as JSON")
    options = parser.parse_args()
    command = str(Path(sys.executable).with_name("uncertain"))
    found: dict[str, Any] = {"cores": os.cpu_count(), "rounds": []}
    with tempfile.TemporaryDirectory() as cache:
        for number in range(1, options.rounds + 1):
            spent = {
                count: seconds(
                    [
                        command, "bench", "location", "--posterior", "svgd", "--particles",
                        str(count), "--seeds", "5", "--steps", "10", "--export-json", "-",
                    ],
                    cache,
                )
                for count in COUNTS
            }  # fmt: skip
            found["rounds"].append(spent)
            row = "  ".join(f"S={count} {taken:.2f} s" for count, taken in spent.items())
            sys.stdout.write(f"round {number}: {row}\n")
            sys.stdout.flush()
        helps = sorted(seconds([command, "--help"], cache) for _ in range(HELPS))
    found["help"] = helps[len(helps) // 2]
    told = subprocess.run(
        [sys.executable, "-c", IMPORTED], capture_output=True, text=True, check=True
    )
    found["help imports jax or numpy"] = told.stderr.strip() == "True"
    sys.stdout.write(
        f"uncertain --help: {found['help']:.3f} s, median of {HELPS}; "
        f"imports jax or numpy: {found['help imports jax or numpy']}\n"
    )
    if options.out:
        Path(options.out).write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
