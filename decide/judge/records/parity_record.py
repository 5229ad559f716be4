"""The record of one posterior on one target under `parity`. Free of JAX.

Differences are in standard deviations of the reference; null without a reference, and where a
number is not finite.

See also: ../parity/moments.py for the rule of agreement.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from .record import AtLeastZero, Share


class ParityRecord(Struct, kw_only=True):
    """Moments of a posterior on a target, beside those of its reference.

    Numbers of the comparison are null without a reference, and where they are not finite.
    """

    schema: Annotated[int, Meta(description="Version of this format.")] = 1
    target: Annotated[str, Meta(description="Name of the target in its collection.")]
    model: Annotated[str, Meta(description="Class of its model.")]
    posterior: Annotated[str, Meta(description="Spec of the posterior.")]
    particles: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="S, draws of the belief; null if the posterior sets their number."),
    ]
    refine: Annotated[int, Meta(ge=0, description="Refine steps after the last event.")]
    warm: Annotated[
        int, Meta(ge=0, description="Refine steps whenever the number of events has doubled.")
    ]
    runs: Annotated[int, Meta(ge=2, description="Independent runs.")]
    seed: Annotated[int, Meta(ge=0, description="Seed of all runs.")]
    unknowns: Annotated[int, Meta(ge=1, description="Unconstrained coordinates.")]
    events: Annotated[int, Meta(ge=1, description="Events of the data.")]
    whole: Annotated[bool, Meta(description="The likelihood is a single event.")]
    reference: Annotated[
        str,
        Meta(
            description="draws or moments of the collection, the method of the judge's own draws, "
            "or none."
        ),
    ]
    why: Annotated[
        str | None, Meta(description="Reason not to use the judge's own draws; null if none.")
    ]
    stein: Annotated[
        AtLeastZero | None,
        Meta(
            description="Largest deviation of the reference draws from Stein's identities, in "
            "standard errors; null without draws, or if it is not finite."
        ),
    ]
    worst: Annotated[
        AtLeastZero | None, Meta(description="Largest difference of a mean, in sd.")
    ]  # fmt: skip
    worst_of: Annotated[str | None, Meta(description="The quantity with that difference.")]
    median: Annotated[
        AtLeastZero | None, Meta(description="Median difference of a mean, in sd.")
    ]  # fmt: skip
    sd_ratio: Annotated[
        AtLeastZero | None,
        Meta(description="Ratio of standard deviations that is furthest from 1."),
    ]
    noise: Annotated[
        AtLeastZero | None,
        Meta(description="Largest standard error of a mean or standard deviation, in sd."),
    ]
    z: Annotated[
        AtLeastZero | None,
        Meta(description="Largest difference of a mean or mean square, in standard errors."),
    ]
    limit: Annotated[AtLeastZero | None, Meta(description="Bound that z must stay below.")]
    false_alarm: Annotated[
        Share, Meta(description="Probability that a right posterior exceeds the limit.")
    ]
    passed: Annotated[
        bool | None,
        Meta(description="z is below the limit, noise small enough, and everything finite."),
    ]
    diverged: Annotated[
        Share | UnsetType | None,
        Meta(
            description="Share of runs whose mean is more than 3 sd off, or not finite; null "
            "without a reference; left out in records of earlier versions."
        ),
    ] = UNSET
    mean: Annotated[
        dict[str, float | None],
        Meta(description="Mean of each quantity over runs; null if not finite."),
    ]
    work: Annotated[
        AtLeastZero, Meta(description="Evaluations of one event's likelihood, a run.")
    ]  # fmt: skip
    refines: Annotated[int, Meta(ge=0, description="Refine steps a run.")]
    unhealthy: Annotated[
        Share,
        Meta(
            description="Share of unhealthy steps among those that count, or of runs that "
            "diverged where that is larger."
        ),
    ]
    seconds: Annotated[AtLeastZero, Meta(description="Seconds a run.")]
    compile: Annotated[AtLeastZero, Meta(description="Seconds to compile.")]
    x64: Annotated[bool, Meta(description="Numbers are in double precision.")]
    versions: Annotated[
        dict[str, str], Meta(description="Versions of the packages that computed the record.")
    ]
    device: Annotated[str, Meta(description="Kind of device.")]
    host: Annotated[str, Meta(description="Name of the machine.")]
