"""Options and help of `uncertain simulate`.

See also: ../jobs/simulate.py for its job.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..app import command
from ..options import argument, option
from . import shared


@command(
    "jobs.simulate:simulate",
    short="Simulate a world and write a log.",
    examples=(
        "uncertain simulate linear --steps 10000 -o log.ndjson.gz",
        "uncertain simulate location --rule eig --posterior smc --steps 30",
        "uncertain simulate examples/dose.py:Dose --seeds 3 -o dose-{run}.ndjson",
    ),
)
@dataclass(frozen=True, kw_only=True)
class SimulateOptions:
    """Simulate a world and write a log of complete events, with propensities.

    The agent uses the world's own model and acts at random unless --model and --rule are given.
    """

    world: str = argument(metavar="WORLD", help="World or model, or FILE.py:OBJECT.")
    steps: int = shared.steps(1000, "Events to write.")
    output: str = option(
        "-", "--output", "-o", help="Output file; - is standard output, .gz compresses, {run} "
        "numbers several.", metavar="FILE", group=shared.OUTPUT,
    )  # fmt: skip
    model: str | None = shared.model()
    posterior: str | None = shared.posterior(
        help=f"Posterior; the cheapest that can handle the model if none: {shared.SPEC}."
    )
    rule: str = shared.rule("random")
    particles: int | None = shared.particles()
    refine: int | None = shared.refine()
    proposer: str | None = shared.proposer()
    candidates: int = shared.candidates(32)
    explore: float = shared.explore(0.0)
    seeds: int = shared.seeds(1, "Runs, each with its own truth and log.")
    seed: int = shared.seed()
