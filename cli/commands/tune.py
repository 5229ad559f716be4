"""Options and help of `uncertain tune`.

See also: ../jobs/tune.py for its job.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ..app import command
from ..options import Seconds, argument, option
from . import shared

SEARCH, SCORE = "Search", "Score"


class SearchName(StrEnum):
    """How to search."""

    RANDOM = "random"
    HALVING = "halving"


class GoalName(StrEnum):
    """Score to improve."""

    GAIN = "gain"
    REGRET = "regret"
    JOINT = "joint"


@command(
    "jobs.tune:tune",
    short="Tune each posterior's options with equal time budgets.",
    examples=(
        "uncertain tune location --posterior point,laplace,smc -o best.toml",
        "uncertain tune linear --posterior smc --rule thompson --budget 2m",
        "uncertain tune location --posterior smc --max-p99 500us --search halving",
    ),
)
@dataclass(frozen=True, kw_only=True)
class TuneOptions:
    """Tune each posterior's options with equal time budgets.

    The defaults are the first trial; random options follow, all on the same runs of the seed, none
    of which bench scores. The budget includes the compilation of each trial, but not of the judge;
    a trial that is unfinished at its end does not count. Ctrl-C keeps the results so far.
    """

    world: str = argument(metavar="WORLD", help="World or model, or FILE.py:OBJECT.")
    posterior: tuple[str, ...] = shared.posteriors(
        help="Posteriors, separated by commas; all that can handle the model if none. Options of a "
        "spec, such as smc:ess=0.5, are not tuned."
    )
    budget: Seconds = option(
        60.0, help="Wall-clock time of each posterior, compilation included.", metavar="TIME",
        group=SEARCH,
    )  # fmt: skip
    search: SearchName = option(
        SearchName.RANDOM, help="Random search; halving stops trials early that score worse on as "
        "many runs.", group=SEARCH,
    )  # fmt: skip
    goal: GoalName | None = option(
        None, "--for", help="Score to improve; gain where it can be judged, else regret.",
        group=SEARCH,
    )  # fmt: skip
    model: str | None = shared.model()
    particles: int | None = shared.particles()
    refine: int | None = shared.refine("Refine steps after each event; tuned if not given.")
    rule: str | None = shared.rule()
    proposer: str | None = shared.proposer()
    candidates: int | None = shared.candidates()
    explore: float | None = shared.explore()
    steps: int | None = shared.steps()
    seeds: int = shared.seeds(16, "Tuning runs of each trial; bench scores none of them.")
    seed: int = shared.seed()
    samples: int | None = option(
        None, help="Posterior draws of the ACE bound on information gain.", least=0, metavar="L",
        group=SCORE,
    )  # fmt: skip
    spce: int | None = option(
        None, help="With --samples 0: the sPCE bound instead, with L prior draws.", least=1,
        metavar="L", group=SCORE,
    )  # fmt: skip
    joint: int | None = option(
        None, help="With --for joint: observations predicted jointly; else 10.", least=1,
        metavar="TAU", group=SCORE,
    )  # fmt: skip
    max_p99: Seconds | None = option(
        None, help="Reject options whose live decide + learn p99 is longer.", metavar="2ms",
        group=SCORE,
    )  # fmt: skip
    output: str | None = option(
        None, "--output", "-o", help="Write the best options as an experiment for bench --config; "
        "- is standard output, in place of the rows.", metavar="FILE", group=shared.OUTPUT,
    )  # fmt: skip
