"""The record of one posterior under `calibrate`: ranks of the truth and the verdict on them.

Free of JAX.

See also: ../measures/rank_calibration.py for the arithmetic.
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from .record import AtLeastZero, Share


class RankedQuantity(Struct):
    """Ranks of the truth in one quantity."""

    name: Annotated[str, Meta(description="An unknown, or log likelihood.")]
    p: Annotated[
        Share, Meta(description="Probability of counts as uneven as these if ranks are uniform.")
    ]
    counts: Annotated[list[int], Meta(description="Runs in each bin.")]
    off: Annotated[
        float, Meta(description="Mean rank above the middle, in standard errors.")
    ]  # fmt: skip
    wide: Annotated[
        float | None,
        Meta(
            description="Mean squared distance from the middle above its expectation, in standard "
            "errors; null among a single draw."
        ),
    ]
    shape: Annotated[
        str | None,
        Meta(description="How the ranks deviate, in words; null if nothing stands out."),
    ]


class CalibrationRecord(Struct, kw_only=True):
    """Simulation-based calibration of a posterior in a world."""

    schema: Annotated[int, Meta(description="Version of this format.")] = 1
    world: Annotated[str, Meta(description="Spec of the simulated truth.")]
    model: Annotated[str, Meta(description="Spec of the agent's model.")]
    posterior: Annotated[str, Meta(description="Spec of the posterior.")]
    rule: Annotated[str, Meta(description="Spec of the rule that chooses actions.")]
    particles: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="S, draws of the belief; null if the posterior sets their number."),
    ]
    refine: Annotated[int, Meta(ge=0, description="k, refine steps an event.")]
    steps: Annotated[int, Meta(ge=1, description="Events a run.")]
    runs: Annotated[int, Meta(ge=1, description="Simulated truths.")]
    draws: Annotated[int, Meta(ge=1, description="L, draws among which each truth is ranked.")]
    bins: Annotated[
        int, Meta(ge=2, description="Bins of a rank histogram; their number divides L + 1.")
    ]
    thin: Annotated[
        int,
        Meta(ge=0, description="Refine steps between two looks at a belief of fewer than L draws."),
    ]
    settle: Annotated[int, Meta(ge=0, description="Refine steps after the last event.")]
    level: Annotated[
        Share,
        Meta(description="Probability that a right posterior fails, over all its quantities."),
    ]
    calibrated: Annotated[
        bool, Meta(description="p is at least the level, and draws do not equal the truth.")
    ]
    p: Annotated[
        Share, Meta(description="Smallest p of the quantities, times their number; at most 1.")
    ]
    shape: Annotated[
        str | None,
        Meta(
            description="How the belief deviates, in words; null if it is calibrated or nothing "
            "stands out."
        ),
    ]
    unknown: Annotated[RankedQuantity, Meta(description="The unknown with the smallest p.")]
    likelihood: Annotated[
        RankedQuantity, Meta(description="The log likelihood of the whole history.")
    ]
    quantities: Annotated[
        list[RankedQuantity], Meta(description="All that was ranked, the log likelihood last.")
    ]
    ties: Annotated[
        Share,
        Meta(description="Share of draws of continuous unknowns that equal the truth."),
    ]
    failures: Annotated[int, Meta(ge=0, description="Runs whose belief was not healthy.")]
    seconds: Annotated[AtLeastZero, Meta(description="Time it took, compiling included.")]
    config: Annotated[dict[str, Any], Meta(description="The resolved cell.")]
    versions: Annotated[
        dict[str, str], Meta(description="Versions of the packages that computed the record.")
    ]
    device: Annotated[str, Meta(description="Kind of device.")]
    host: Annotated[str, Meta(description="Name of the machine.")]
    seed: Annotated[int, Meta(ge=0, description="Seed of all runs.")]
