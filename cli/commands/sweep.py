"""Options and help of `uncertain sweep`.

See also: ../jobs/sweep.py for its job.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ..app import command
from ..options import argument, option
from .experiment import ExperimentOptions

SWEEP = "Sweep"


class EngineName(StrEnum):
    """Where cells are computed."""

    LOCAL = "local"
    RAY = "ray"


def read_shard(text: str) -> tuple[int, int]:
    """Read `2/8` as (2, 8).

    text: as typed.
    Raises: ValueError if it is no part of a whole.
    """
    part, _, parts = text.partition("/")
    if not (part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
        raise ValueError("write I/N with I from 1 to N, such as 1/4")
    return int(part), int(parts)


@command(
    "jobs.sweep:sweep",
    short="Run a grid of cells into a store, resumable and in parallel.",
    examples=(
        "uncertain sweep location --posterior smc --particles 8,32 --out results",
        "uncertain sweep experiment.toml --out results --dry-run",
        "for i in 1 2; do uncertain sweep grid.toml --out results --shard $i/2 & done",
    ),
)
@dataclass(frozen=True, kw_only=True)
class SweepOptions(ExperimentOptions):
    """Run every cell of a grid and store each as soon as it is finished.

    Run it again to resume: finished cells are skipped, damaged or half-written ones computed again.
    Any number of processes may share a store. A cell counts as finished while everything that
    determines its result is the same: its configuration, how it is judged, package versions, your
    own files that it names, the kind of device. A cell that fails is reported and stops no other;
    the exit code is then 1, and the next sweep tries it again.
    """

    source: str = argument(
        metavar="CONFIG|WORLD",
        help="Experiment as TOML (a file, or a built-in one by name), or a world.",
    )
    out: str = option(
        help="Store of finished cells: a folder, or a URL such as s3://bucket/prefix.",
        metavar="STORE", group=SWEEP,
    )  # fmt: skip
    shard: tuple[int, int] | None = option(
        None, help="Compute only part I of N equal parts of the grid.", metavar="I/N",
        read=read_shard, group=SWEEP,
    )  # fmt: skip
    dry_run: bool = option(
        False, help="Show the grid, which cells are finished and the expected time, and exit.",
        group=SWEEP,
    )  # fmt: skip
    engine: EngineName = option(
        EngineName.LOCAL, help="Compute cells in processes of this machine or in workers of Ray.",
        group=SWEEP,
    )  # fmt: skip
    address: str | None = option(
        None, help="Address of a Ray cluster; without it Ray starts here with --workers workers.",
        metavar="HOST:PORT", group=SWEEP,
    )  # fmt: skip
    gpus_per_cell: float | None = option(
        None, help="GPUs that Ray assigns to each cell, or a fraction of one; else 0.", least=0.0,
        metavar="FRACTION", group=SWEEP,
    )  # fmt: skip
