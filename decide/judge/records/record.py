"""The result record of one cell, as `bench` and `sweep` write it.

Times in seconds, information in nats; None (null in JSON) where a measure was not asked for or does
not exist. A number that is NaN is null in JSON, too, and is read back as NaN. Free of JAX.

See also: ../measures/build_record.py for the arithmetic, read_record.py for stored records.
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct, field

SCHEMA = 1
"""Version of the record; a change of a field's meaning raises it."""

BASELINE = "random"
"""Rule with which every cell is compared."""
NaN = float("nan")
NULLABLE = "nullable"
"""Marks a number that may be null, for the schema."""
_NULLABLE: dict[str, Any] = {NULLABLE: True}
Number = Annotated[float, Meta(extra_json_schema=_NULLABLE)]
"""NaN is null in JSON, and would not pass a bound."""
Error = Annotated[float, Meta(extra_json_schema=_NULLABLE | {"minimum": 0})]
ShareOrNaN = Annotated[float, Meta(extra_json_schema=_NULLABLE | {"minimum": 0, "maximum": 1})]
AtLeastZero = Annotated[float, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
Seconds = Annotated[float, Meta(gt=0)]


class Mean(Struct):
    """A mean, over runs unless the field says otherwise, with its standard error."""

    mean: Annotated[Number, Meta(description="Mean; null if it is not a number.")] = NaN
    se: Annotated[Error, Meta(description="Standard error of the mean; 0 for a single one.")] = NaN


class Quantiles(Struct):
    """Quantiles of a latency, in seconds."""

    p50: Annotated[Seconds, Meta(description="Median.")]
    p95: Annotated[Seconds, Meta(description="95th percentile.")]
    p99: Annotated[Seconds, Meta(description="99th percentile.")]
    max: Annotated[Seconds, Meta(description="Largest value.")]
    n: Annotated[int, Meta(ge=1, description="Number of calls.")]


class Gain(Struct):
    """Total information gained about the truth, in nats."""

    lower: Annotated[Mean, Meta(description="Lower bound (ACE), or the exact gain.")] = field(
        default_factory=Mean
    )
    upper: Annotated[Mean, Meta(description="Upper bound (VNMC), or the exact gain.")] = field(
        default_factory=Mean
    )
    exact: Annotated[Mean | None, Meta(description="Exact gain; null if it is only bounded.")] = (
        None
    )
    ess: Annotated[
        AtLeastZero | None,
        Meta(description="Median effective sample size of the bounds; null if exact."),
    ] = None
    spce: Annotated[
        Mean | None, Meta(description="Sequential prior contrastive estimate (lower bound).")
    ] = None
    snmc: Annotated[
        Mean | None, Meta(description="Sequential nested Monte Carlo estimate (upper bound).")
    ] = None
    cap: Annotated[
        AtLeastZero | None, Meta(description="log(L + 1), which sPCE cannot exceed.")
    ] = None
    above_random: Annotated[
        Mean | None,
        Meta(description="Lower bound minus that of random actions, run by run."),
    ] = None


class Slope(Struct):
    """Realised against predicted gain."""

    slope: Annotated[
        float | None,
        Meta(description="Of realised on predicted gain, through the origin; 1 if calibrated."),
    ]
    bias: Annotated[Number, Meta(description="Mean of realised - predicted gain, nats a decision.")]
    se: Annotated[Error, Meta(description="Standard error of the bias, clustered by run.")]


class Calibration(Slope):
    """Realised against predicted gain of chosen actions, and of candidates taken at random."""

    probe: Annotated[Slope, Meta(description="The same of candidates taken at random.")]


class JointPrediction(Struct):
    """Divergence of the belief's joint prediction of tau observations from the truth's."""

    tau: Annotated[int, Meta(ge=1, description="Observations predicted together.")]
    kl: Annotated[Number, Meta(description="Nats a block of tau observations.")]
    se: Annotated[Error, Meta(description="Standard error of kl.")]


class Regret(Struct):
    """Total regret of a run, in units of reward."""

    mean: Annotated[Number, Meta(description="Over runs; null if it is not a number.")]
    se: Annotated[Error, Meta(description="Standard error of the mean.")]
    percent_of_uniform: Annotated[
        Number, Meta(description="Percent of the regret of uniformly random actions.")
    ] = NaN
    percent_se: Annotated[
        Error | None, Meta(description="Standard error of percent_of_uniform, by the delta method.")
    ] = None


class Alarm(Struct):
    """Results of the bets against the model, which raise an alarm when the model is wrong."""

    alpha: Annotated[
        float,
        Meta(description="False-alarm probability of a run of any length with an exact belief."),
    ]
    share: Annotated[Share, Meta(description="Share of runs whose evidence reached 1 / alpha.")]
    delay: Annotated[
        Annotated[float, Meta(ge=1)] | None,
        Meta(description="Median over those runs of the event, from 1, that raised the alarm."),
    ] = None
    log_e: Annotated[Number, Meta(description="Median over runs of the final log e-value.")] = NaN
    within_50: Annotated[
        ShareOrNaN,
        Meta(description="Share of observations in the central 50 % predictive interval."),
    ] = NaN
    within_90: Annotated[
        ShareOrNaN,
        Meta(description="Share of observations in the central 90 % predictive interval."),
    ] = NaN


class RungShare(Struct):
    """How often decisions under a deadline used one rung of the ladder of cheaper calls."""

    number: Annotated[int, Meta(ge=0, description="0 uses all draws and candidates.")]
    draws: Annotated[int, Meta(ge=0, description="Draws of the belief used.")]
    candidates: Annotated[int, Meta(ge=1, description="Candidates scored.")]
    share: Annotated[Share, Meta(description="Share of decisions.")]


class Apart(Struct):
    """Steps of judged runs, taken again from the same state by the live calls that are timed."""

    step: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(
            description="Events learnt before the first step that parts by more than rounding "
            "explains; null if live and judged runs are the same."
        ),
    ]
    share: Annotated[Share, Meta(description="Share of the steps that part.")]
    compared: Annotated[int, Meta(ge=1, description="Steps compared.")]


class Record(Struct, kw_only=True):
    """One cell: a way of tracking uncertainty in a world.

    Times in seconds, information in nats; null where a measure was not asked for or does not exist.
    """

    schema: Annotated[int, Meta(description="Version of this format.")] = SCHEMA
    world: Annotated[str, Meta(description="Spec of the simulated truth.")]
    model: Annotated[str, Meta(description="Spec of the agent's model.")]
    posterior: Annotated[str, Meta(description="Spec of the posterior.")]
    rule: Annotated[str, Meta(description="Spec of the rule that chooses actions.")]
    particles: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="S, draws of the belief; null if the posterior sets their number."),
    ] = None
    refine: Annotated[int, Meta(ge=0, description="k, refine steps an event.")] = 0
    think: Annotated[
        int,
        Meta(ge=0, description="Refine steps between events, timed apart from decide and learn."),
    ] = 0
    half_life: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        Meta(description="Seconds after which an event has half its weight; null if never."),
    ] = None
    steps: Annotated[int, Meta(ge=1, description="Events a run.")]
    seeds: Annotated[int, Meta(ge=1, description="Runs.")]
    decide: Annotated[Quantiles | None, Meta(description="Seconds a decision.")] = None
    learn: Annotated[Quantiles | None, Meta(description="Seconds a belief update.")] = None
    total: Annotated[
        Quantiles | None, Meta(description="Seconds of decide + learn, event by event.")
    ] = None
    thought: Annotated[
        Quantiles | None, Meta(description="Seconds of the refine steps between two events.")
    ] = None
    compile: Annotated[
        AtLeastZero | None, Meta(description="Seconds to compile both live calls.")
    ] = None
    retraces: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(description="Compilations during timed runs; should be 0."),
    ] = None
    deadline: Annotated[float | None, Meta(description="Seconds allowed a decision.")] = None
    rate: Annotated[
        float | None,
        Meta(description="Events a second; null if each came when the last one was finished."),
    ] = None
    missed: Annotated[
        Share | None, Meta(description="Share of decisions later than the deadline.")
    ] = None
    fallback: Annotated[
        Share | None,
        Meta(description="Share of decisions for which no rung was expected to fit the deadline."),
    ] = None
    rungs: Annotated[
        list[RungShare] | None, Meta(description="Rungs of the ladder that decisions used.")
    ] = None
    slices: Annotated[
        AtLeastZero | None,
        Meta(description="Under a deadline, mean number of refine steps between two events."),
    ] = None
    work: Annotated[
        AtLeastZero | None, Meta(description="Gradient or likelihood evaluations an event.")
    ] = None
    gain: Annotated[
        Gain | None,
        Meta(description="Information gained about the truth; null if it cannot be measured."),
    ] = None
    fidelity: Annotated[
        Mean | None,
        Meta(description="Share of the best reference gain that the choices bought."),
    ] = None
    calibration: Annotated[
        Calibration | None, Meta(description="Realised against predicted gain.")
    ] = None
    joint: Annotated[
        JointPrediction | Annotated[list[JointPrediction], Meta(min_length=2)] | None,
        Meta(description="Joint prediction; a list if several taus were asked for, in order."),
    ] = None
    regret: Annotated[
        Regret | None, Meta(description="Regret of a run; null without a reward.")
    ] = None
    reward: Annotated[
        Mean | None,
        Meta(description="Total reward of a run; null if nothing is paid."),
    ] = None
    alarm: Annotated[
        Alarm | None,
        Meta(description="Bets against the model; null without predictions or under a deadline."),
    ] = None
    apart: Annotated[
        Apart | None,
        Meta(description="Whether live and judged runs are the same; null where not compared."),
    ] = None
    unmoved: Annotated[
        Share | None,
        Meta(
            description="Share of the events compared that left the belief as it was, bit by bit."
        ),
    ] = None
    frontier: Annotated[
        bool,
        Meta(
            description="No other record gains more above random (or regrets less, if no gain was "
            "measured) at a lower p99 of decide + learn. A record whose live runs are apart from "
            "its judged ones, or whose belief is left unmoved by a quarter of the events, is none."
        ),
    ] = False
    failures: Annotated[int, Meta(ge=0, description="Updates that were not healthy.")] = 0
    config: Annotated[dict[str, Any], Meta(description="The resolved cell.")]
    versions: Annotated[
        dict[str, str], Meta(description="Versions of the packages that computed the record.")
    ] = field(default_factory=dict)
    device: Annotated[str, Meta(description="Kind of device.")] = ""
    host: Annotated[str, Meta(description="Name of the machine.")] = ""
    threads: Annotated[int, Meta(ge=1, description="Worker processes of quality runs.")] = 1
    seed: Annotated[int, Meta(ge=0, description="Seed of all runs.")] = 0


def is_baseline(row: Record) -> bool:
    """Return whether a row has random actions, with which others are compared.

    row: the record.
    """
    return row.rule == BASELINE
