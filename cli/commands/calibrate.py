"""Options and help of `uncertain calibrate`.

See also: ../jobs/calibrate.py for its job.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..app import command
from ..options import argument, option
from . import shared

RANKS = "Ranks"


@command(
    "jobs.calibrate:calibrate",
    short="Simulation-based calibration of each posterior.",
    examples=(
        "uncertain calibrate linear --posterior point,laplace,hmc",
        "uncertain calibrate location --posterior smc --particles 512 --runs 2048",
        "uncertain calibrate logistic --posterior mine.py:build --gate -o ranks.svg",
    ),
)
@dataclass(frozen=True, kw_only=True)
class CalibrateOptions:
    """Simulation-based calibration: rank simulated truths among posterior draws.

    If a posterior is right, the truth is one more draw from it: its rank is uniform, for every
    unknown and for the log likelihood of the data. Ranks are tested by chi-square. Actions are
    random unless --rule names a rule.
    """

    world: str = argument(metavar="WORLD", help="World or model, or FILE.py:OBJECT.")
    posterior: tuple[str, ...] = shared.posteriors()
    runs: int = option(
        1024, help="Simulated truths of each posterior.", least=1, metavar="N", group=RANKS
    )
    draws: int = option(
        15, help="Posterior draws among which each truth is ranked.", least=1, metavar="L",
        group=RANKS,
    )  # fmt: skip
    bins: int = option(
        16, help="Bins of the rank histogram; must divide L + 1.", least=2, metavar="B",
        group=RANKS,
    )  # fmt: skip
    thin: int = option(
        10, help="Refine steps between draws of a posterior that holds fewer than L.", least=0,
        metavar="N", group=RANKS,
    )  # fmt: skip
    settle: int = option(
        0, help="Refine steps after the last event.", least=0, metavar="N", group=RANKS
    )
    level: float = option(
        1e-4, help="Probability that a right posterior fails the test, over all its unknowns.",
        least=0.0, most=1.0, metavar="P", group=RANKS,
    )  # fmt: skip
    steps: int = shared.steps(10, "Events before ranking.")
    model: str | None = shared.model()
    particles: int | None = shared.particles()
    refine: int | None = shared.refine()
    rule: str = shared.rule("random")
    proposer: str | None = shared.proposer()
    candidates: int | None = shared.candidates()
    seed: int = shared.seed()
    output: str | None = option(
        None, "--output", "-o", help="Also draw the ranks, as .svg or .png.", metavar="FILE",
        group=shared.OUTPUT,
    )  # fmt: skip
    gate: bool = option(
        False, help="Exit 1 if any posterior is not calibrated.", group=shared.OUTPUT
    )
