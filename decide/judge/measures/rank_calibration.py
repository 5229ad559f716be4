"""Simulation-based calibration: whether the truth ranks like one more draw of a backend's belief.

See also: rank_runs.py for the ranks, ranks.py for their test, build_record.py for predicted against
realised gain.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from ..records.machine import device_kind, package_versions
from .experiment import Cell
from .rank_runs import LIKELIHOOD, Ranks, RankSettings, rank_runs
from .ranks import judge_ranks

SCHEMA = 1
TIED = 1e-3
"""Share of draws of continuous unknowns that may equal the truth: rounding to single precision
makes far fewer. Copies of the truth tie with it, and ties broken at random are even."""


def build_calibration_record(
    cell: Cell, found: Ranks, asked: RankSettings, seconds: float
) -> dict[str, Any]:
    """Build the record of a cell.

    cell: specs and sizes.
    found: ranks of its runs.
    asked: settings of the test.
    seconds: time it took.
    Returns: the verdict with everything that it is based on.
    """
    rows = []
    for column, name in enumerate(found.names):
        made = judge_ranks(found.ranks[:, column], asked.draws, asked.bins)
        counts = [int(n) for n in made.counts]
        rows.append(
            {"name": name, "p": made.p, "counts": counts, "off": made.off, "wide": made.wide}
            | {"shape": made.shape(name == LIKELIHOOD) or None}
        )
    *unknown, likelihood = rows
    least = min(rows, key=lambda row: row["p"])
    p = min(1.0, len(rows) * least["p"])
    tied = found.ties > TIED
    return {
        "schema": SCHEMA,
        "world": cell.world,
        "model": cell.model,
        "posterior": cell.posterior,
        "rule": cell.rule,
        "particles": cell.particles,
        "refine": cell.refine,
        "steps": cell.steps,
        "runs": cell.seeds,
        **asdict(asked),
        "calibrated": p >= asked.level and not tied,
        "p": p,
        "shape": "draws equal the truth" if tied else least["shape"] if p < asked.level else None,
        "unknown": min(unknown, key=lambda row: row["p"]),
        "likelihood": likelihood,
        "quantities": rows,
        "ties": found.ties,
        "failures": found.failures,
        "seconds": seconds,
        "config": asdict(cell),
        "versions": package_versions(),
        "device": device_kind(),
        "host": platform.node(),
        "seed": cell.seed,
    }


def calibrate_cell(
    cell: Cell, asked: RankSettings, tick: Callable[[float], None] = lambda share: None
) -> dict[str, Any]:
    """Test the calibration of a cell.

    cell: specs and sizes.
    asked: settings of the test.
    tick: called with the share that is finished.
    Returns: its record; seconds include compiling.
    """
    began = time.perf_counter()
    found = rank_runs(cell, asked, tick)
    return build_calibration_record(cell, found, asked, time.perf_counter() - began)
