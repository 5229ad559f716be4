"""Options of an experiment, which `bench` and `sweep` share.

An option with a `key` of "setting" replaces that key of the experiment's TOML, one with "grid" a
list of its grid.

See also: ../jobs/experiment_options.py for making the experiment.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..options import HalfLife, Seconds, option
from . import shared

JUDGE = "Measurement"


@dataclass(frozen=True, kw_only=True)
class ExperimentOptions:
    """Options of an experiment; None, () or False if not given."""

    model: str | None = shared.model()
    posterior: tuple[str, ...] = shared.posteriors(
        help="Posteriors, separated by commas; all that can handle the model if none. auto is the "
        "best measured one for --deadline."
    )
    particles: tuple[int, ...] = shared.particles_grid()
    refine: tuple[int, ...] = shared.refine_grid()
    think: tuple[int, ...] = option(
        (), help="Refine steps between events, outside the timed calls; a row for each number.",
        least=0, metavar="K,K", group=shared.MODEL, key="grid",
    )  # fmt: skip
    half_life: tuple[HalfLife, ...] = shared.half_lives()
    attend: tuple[str, ...] = option(
        (), help="Draws of the belief that a decision looks at, of all that are kept; a row each.",
        metavar="K,all", group=shared.MODEL, key="grid",
    )  # fmt: skip
    rule: tuple[str, ...] = shared.rules()
    proposer: str | None = shared.proposer()
    candidates: int | None = shared.candidates()
    explore: float | None = shared.explore()
    steps: int | None = shared.steps()
    seeds: int | None = shared.seeds()
    seed: int | None = shared.seed(None)
    live: int | None = option(
        None, help="Timed live runs of each cell.", least=0, metavar="N", group=JUDGE,
        key="setting",
    )  # fmt: skip
    samples: int | None = option(
        None, help="Posterior draws of the ACE and VNMC bounds on information gain.", least=0,
        metavar="L", group=JUDGE, key="setting",
    )  # fmt: skip
    spce: int | None = option(
        None, help="Also the sPCE and sNMC bounds, with L prior draws.", least=1, metavar="L",
        group=JUDGE, key="setting",
    )  # fmt: skip
    joint: tuple[int, ...] = option(
        (), help="Also the log score of TAU observations predicted jointly; a column for each.",
        least=1, metavar="TAU,TAU", group=JUDGE, key="setting",
    )  # fmt: skip
    settle: int | None = option(
        None, help="Refine steps after the last event, before the final belief is judged.",
        least=0, metavar="N", group=JUDGE, key="setting",
    )  # fmt: skip
    fidelity: bool = option(
        False, help="Also compare choices with those of a reference posterior on one history.",
        group=JUDGE, key="setting",
    )  # fmt: skip
    workers: int | None = option(
        None, help="Worker processes that compute gain; 0 is one a core, or none for few events.",
        least=0, metavar="N", group=JUDGE, key="setting",
    )  # fmt: skip
    deadline: Seconds | None = option(
        None, help="Deadline of a live decision: fewer draws and candidates if the full decision "
        "would be late.", metavar="2ms", group="Deadline", key="setting",
    )  # fmt: skip
    rate: float | None = option(
        None, help="Events a second under a deadline; without it each follows the last at once.",
        least=1e-3, metavar="HZ", group="Deadline", key="setting",
    )  # fmt: skip
