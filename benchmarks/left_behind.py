"""In how many runs of hmc a chain is left behind, with and without bringing it back.

    python benchmarks/left_behind.py

A hundred made-up events that tell five weights to 1e-4, chains that begin a thousand times further
out, and noise that begins fifty times too wide, as in posteriordb's sblrc. One chain of 32 that is
left behind moves a run's mean by hundreds of posterior deviations; ten count.
"""

import math

import jax
import numpy as np
from uncertain.decide.judge.parity.estimate import Effort, estimate_moments
from uncertain.posteriors.methods import hmc
from uncertain.posteriors.targets.base import Data
from uncertain.posteriors.targets.blr import LinearRegression

RUNS, SEEDS, OFF = 96, (0, 1), 1e-3


def left_behind(target: LinearRegression, seed: int) -> int:
    """Of RUNS runs."""
    found = estimate_moments(target, "hmc", Effort(runs=RUNS, seed=seed), np.zeros(6))
    return int((np.abs(found.first[:, :5] - 1).max(1) > OFF).sum())


def main() -> None:
    """Both ways, seed by seed."""
    jax.config.update("jax_enable_x64", True)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 5)) * 1000
    target = LinearRegression(Data({"X": x, "y": x @ np.ones(5) + rng.normal(size=100)}))
    for lost in (math.inf, hmc.LOST):
        hmc.LOST = lost
        counts = [left_behind(target, seed) for seed in SEEDS]
        total = RUNS * len(SEEDS)
        print(f"LOST = {lost:g}: {sum(counts)} of {total} runs, by seed {counts}", flush=True)


if __name__ == "__main__":
    main()
