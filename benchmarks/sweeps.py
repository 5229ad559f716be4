"""Sweeps interrupted, run eight at a time, and by one worker against two: what is kept, and when.

    python benchmarks/sweeps.py [--cells 200] [--shapes 20] [--runs 2500] [--out FILE.json]

(a) A whole sweep; (b) the same interrupted five times, twice by SIGINT and three times by SIGKILL,
each at a random moment after its first cell, and then finished: both stores must hold the same
cells with the same records but for times; (c) eight processes with a share each in one store:
nothing lost or torn, each cell once; (d) one local worker against two, each with a cold cache of
compiled programs. One worker compiles with all cores, so the fewer runs a cell has, the less there
is to gain by a second. All start the command itself; `--part` runs but one of them after (a). Not
here: sweeps on Ray.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from uncertain.decide.judge.engine.result_index import CELLS
from uncertain.streams.storage.results import Store

TIMES = {"decide", "learn", "total", "compile", "host", "threads"}
"""Of a record, what depends on when and where it was made."""
CLOSE = 1e-4
"""Relative difference of numbers: the last sweep's groups, and so its programs, are others."""
PROCESSES = 8
SIGNALS = (signal.SIGINT, signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGKILL)
EVENTS = 4
"""Steps from which grids count up."""
COMMAND = """
import signal
from uncertain.cli.main import main

# What is started in the background of a shell is deaf to it.
signal.signal(signal.SIGINT, signal.default_int_handler)
main()
"""


def experiment(cells: int, workers: int, shapes: int, runs: int) -> str:
    """As many cells as TOML: two rules in two worlds that are exact, some lengths of each, and
    ever more runs, so that one compiled program serves all cells that differ in nothing else."""
    worlds = ("finite", "exact"), ("linear:arms=3:features=2", "laplace")
    grid = [
        (world, posterior, rule, EVENTS + extra, runs * times)
        for times in range(1, -(-cells // shapes) + 1)
        for extra in range(shapes // 4)
        for world, posterior in worlds
        for rule in ("greedy", "random")
    ][:cells]
    rows = [
        f'[[cells]]\nworld = "{world}"\nmodel = "{world}"\nposterior = "{posterior}"\n'
        f'rule = "{rule}"\nsteps = {steps}\nseeds = {seeds}\n'
        for world, posterior, rule, steps, seeds in grid
    ]
    return f"live = 0\nsamples = 0\nworkers = {workers}\n" + "\n".join(rows)


class Sweeps:
    """Runs of `uncertain sweep` in a folder, each with its own store and, if told so, cache."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def start(
        self, config: Path, store: str, *more: str, cache: str = "cache"
    ) -> subprocess.Popen[bytes]:
        """One sweep; its standard error goes to a file beside the store."""
        environment = {**os.environ, "XDG_CACHE_HOME": str(self.folder / cache)}
        words = ["sweep", str(config), "--out", str(self.folder / store), *more]
        with (self.folder / f"{store}.err").open("ab") as told:
            return subprocess.Popen(
                [sys.executable, "-c", COMMAND, *words],
                env=environment,
                stderr=told,
            )

    def run(self, config: Path, store: str, *more: str, cache: str = "cache") -> float:
        """Seconds that a whole sweep takes."""
        began = time.perf_counter()
        status = self.start(config, store, *more, cache=cache).wait()
        if status:
            raise SystemExit(f"a sweep ended with {status}: {self.folder / store}.err says why")
        return time.perf_counter() - began

    def records(self, store: str) -> dict[str, dict[str, Any]]:
        """What a store holds whole, by key."""
        return {key: entry.record for key, entry in Store(str(self.folder / store)).entries(CELLS)}

    def attempts(self, store: str) -> dict[str, list[str]]:
        return Store(str(self.folder / store)).attempts(CELLS)


def alike(one: Any, two: Any) -> bool:
    """Whether two records say the same, times apart."""
    if isinstance(one, dict) and isinstance(two, dict):
        names = one.keys() - TIMES
        return names == two.keys() - TIMES and all(alike(one[n], two[n]) for n in names)
    if isinstance(one, float) and isinstance(two, float):
        return abs(one - two) <= CLOSE * max(1.0, abs(one))
    return one == two


def interrupted(sweeps: Sweeps, config: Path, whole: float, rng: random.Random) -> dict[str, Any]:
    """(b): how many cells each of the interrupted sweeps left finished, and the last one's end."""
    left, running = [], 0
    told = sweeps.folder / "interrupted.err"
    told.touch()
    for number in SIGNALS:
        size = told.stat().st_size
        process = sweeps.start(config, "interrupted")
        # Before its first cell is finished there is little that could be lost.
        while process.poll() is None and told.stat().st_size == size:
            time.sleep(0.05)
        time.sleep(rng.uniform(0.0, 0.15) * whole)
        running += process.poll() is None
        process.send_signal(number)
        process.wait()
        left.append(len(sweeps.records("interrupted")))
    sweeps.run(config, "interrupted")
    one, two = sweeps.records("whole"), sweeps.records("interrupted")
    return {
        "signals": [number.name for number in SIGNALS],
        "still at work": running,
        "finished after each": left,
        "cells": len(two),
        "same keys": one.keys() == two.keys(),
        "records that differ": sum(not alike(one[k], two[k]) for k in one.keys() & two.keys()),
        "lost by an interrupt": sum(b < a for a, b in pairwise(left)),
    }


def concurrent(sweeps: Sweeps, config: Path, cells: int) -> dict[str, Any]:
    """(c): eight processes, each with its share of the grid, in one store."""
    began = time.perf_counter()
    started = [
        sweeps.start(config, "shared", "--shard", f"{part}/{PROCESSES}", "--workers", "1")
        for part in range(1, PROCESSES + 1)
    ]
    statuses = [process.wait() for process in started]
    seconds = time.perf_counter() - began
    attempts, records, whole = (
        sweeps.attempts("shared"), sweeps.records("shared"), sweeps.records("whole"),
    )  # fmt: skip
    return {
        "processes": PROCESSES,
        "seconds": seconds,
        "failed": sum(bool(status) for status in statuses),
        "lost": cells - len(attempts),
        "torn": len(attempts) - len(records),
        "computed twice": sum(len(found) > 1 for found in attempts.values()),
        "records that differ": sum(not alike(whole.get(k), r) for k, r in records.items()),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cells", type=int, default=200)
    parser.add_argument("--shapes", type=int, default=20, help="of programs, a multiple of 4")
    parser.add_argument("--runs", type=int, default=2500, help="of the smallest cells")
    parser.add_argument("--folder", help="for stores and caches; a temporary one unless given")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of interrupts")
    parser.add_argument("--part", choices=("b", "c", "d"), help="only (a) and this")
    parser.add_argument("--out", help="a file for the figures as JSON")
    options = parser.parse_args()
    folder = Path(options.folder or tempfile.mkdtemp(prefix="sweeps-"))
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise SystemExit(f"{folder}: is not empty; choose another folder")
    sweeps, configs = Sweeps(folder), {}
    for workers in (1, 2):
        configs[workers] = folder / f"workers-{workers}.toml"
        configs[workers].write_text(
            experiment(options.cells, workers, options.shapes, options.runs)
        )
    found: dict[str, Any] = {
        "cells": options.cells,
        "shapes": options.shapes,
        "runs": options.runs,
        "cores": os.cpu_count(),
    }
    # Two workers' time is taken first, with nothing compiled, and is (a) as well.
    two = sweeps.run(configs[2], "whole", cache="cold-2")
    show("(a) a whole sweep", {"seconds": two, "cells": len(sweeps.records("whole"))})
    if options.part in (None, "d"):
        one = sweeps.run(configs[1], "alone", cache="cold-1")
        found["workers"] = {"one": one, "two": two, "ratio": one / two}
        show("(d) one worker against two", found["workers"])
    if options.part in (None, "b"):
        # Interrupts fall into sweeps that compile as they go, as they would for a user.
        rng = random.Random(options.seed)
        found["interrupted"] = interrupted(sweeps, configs[2], two, rng)
        show("(b) interrupted five times", found["interrupted"])
    if options.part in (None, "c"):
        found["concurrent"] = concurrent(sweeps, configs[2], options.cells)
        show("(c) eight processes, one store", found["concurrent"])
    if options.out:
        Path(options.out).write_text(json.dumps(found, indent=2) + "\n")


def show(title: str, figures: dict[str, Any]) -> None:
    """One part of the table."""
    sys.stdout.write(f"{title}\n")
    for name, value in figures.items():
        text = f"{value:.2f}" if isinstance(value, float) else str(value)
        sys.stdout.write(f"  {name:<22} {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
