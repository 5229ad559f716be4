"""Simulation-based calibration: whether the truth ranks like one more draw of a backend's belief.

If a belief is the posterior, the truth is one more draw from it: its rank among L draws is uniform
on 0..L. So is the rank of any function of unknowns and data, such as the log likelihood, which
detects a belief that ignores the data.
Sources: Talts, Betancourt, Simpson, Vehtari and Gelman (2018); Modrák et al. (2023) for functions
of the data; Säilynoja, Bürkner and Vehtari (2022) for the shapes of rank histograms.

See also: rank_runs.py for the ranks, build_record.py for predicted against realised gain.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import NamedTuple

import numpy as np
from scipy.special import gammaincc

from ..records.calibration_record import CalibrationRecord, RankedQuantity
from ..records.machine import device_kind, package_versions
from .experiment import Cell
from .rank_runs import LIKELIHOOD, Ranks, RankSettings, rank_runs

NOTICEABLE = 4.0
"""Standard errors from which a shape is called by its name."""
TIED = 1e-3
"""Share of draws of continuous unknowns that may equal the truth: rounding to single precision
makes far fewer. Copies of the truth tie with it, and ties broken at random are even."""


class RankVerdict(NamedTuple):
    """Test of the ranks of one quantity."""

    counts: np.ndarray
    """Runs a bin, `[k]`."""
    p: float
    """Probability of counts as uneven as these if ranks are uniform."""
    off: float
    """Mean rank above the middle, in standard errors."""
    wide: float
    """Mean squared distance from the middle above its expectation, in standard errors."""

    def shape(self, likelihood: bool = False) -> str:
        """Describe how the ranks deviate, in a word or two.

        likelihood: whether these are ranks of a log likelihood, whose low draws fit the data less
            well than the truth does.
        Returns: the description, empty if nothing stands out.
        """
        if max(abs(self.off), abs(self.wide)) < NOTICEABLE:
            return ""
        if likelihood and abs(self.off) >= NOTICEABLE:
            return "learns too little" if self.off > 0 else "fits too closely"
        if abs(self.off) > abs(self.wide):
            return "draws too low" if self.off > 0 else "draws too high"
        return "too sure" if self.wide > 0 else "too unsure"


def judge_ranks(ranks: np.ndarray, draws: int, bins: int) -> RankVerdict:
    """Test whether ranks are uniform, by Pearson's chi-square on equal bins.

    The chi-square approximation is close from five expected runs a bin on.

    ranks: `[N]`, each in 0..draws.
    draws: L.
    bins: their number divides draws + 1.
    Returns: counts, p-value, and two deviations in standard errors.
    """
    places = draws + 1
    counts = np.bincount(ranks * bins // places, minlength=bins)
    runs = len(ranks)
    expected = runs / bins
    statistic = float(np.square(counts - expected).sum() / expected)
    p = float(gammaincc((bins - 1) / 2, statistic / 2))
    every = np.arange(places) - draws / 2
    apart = np.asarray(ranks, float) - draws / 2
    square = np.square(every)
    off = apart.mean() / np.sqrt(square.mean() / runs)
    # Of one draw both ranks are equally far from the middle: nothing can be too wide.
    spread = square.std() / np.sqrt(runs)
    wide = (np.square(apart).mean() - square.mean()) / spread if spread else 0.0
    return RankVerdict(counts, p, float(off), float(wide))


def build_calibration_record(
    cell: Cell, found: Ranks, asked: RankSettings, seconds: float
) -> CalibrationRecord:
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
        rows.append(
            RankedQuantity(
                name=name,
                p=made.p,
                counts=made.counts.tolist(),
                off=made.off,
                wide=made.wide,
                shape=made.shape(name == LIKELIHOOD) or None,
            )
        )
    *unknown, likelihood = rows
    least = min(rows, key=lambda row: row.p)
    p = min(1.0, len(rows) * least.p)
    tied = found.ties > TIED
    return CalibrationRecord(
        world=cell.world,
        model=cell.model,
        posterior=cell.posterior,
        rule=cell.rule,
        particles=cell.particles,
        refine=cell.refine,
        steps=cell.steps,
        runs=cell.seeds,
        **asdict(asked),
        calibrated=p >= asked.level and not tied,
        p=p,
        shape="draws equal the truth" if tied else least.shape if p < asked.level else None,
        unknown=min(unknown, key=lambda row: row.p),
        likelihood=likelihood,
        quantities=rows,
        ties=found.ties,
        failures=found.failures,
        seconds=seconds,
        config=asdict(cell),
        versions=package_versions(),
        device=device_kind(),
        host=platform.node(),
        seed=cell.seed,
    )


def calibrate_cell(
    cell: Cell, asked: RankSettings, tick: Callable[[float], None] = lambda share: None
) -> CalibrationRecord:
    """Test the calibration of a cell.

    cell: specs and sizes.
    asked: settings of the test.
    tick: called with the share that is finished.
    Returns: its record; seconds include compiling.
    """
    began = time.perf_counter()
    found = rank_runs(cell, asked, tick)
    return build_calibration_record(cell, found, asked, time.perf_counter() - began)
