"""The record of one log under one posterior, as `replay` writes it. Free of JAX.

Times in seconds, information in nats; None (null in JSON) where a measure was not asked for, does
not exist or is no number.

See also: ../measures/prequential.py for how it is filled.
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from .record import AtLeastZero, Mean, Number, Quantiles, ShareOrNaN


class JointLoss(Struct, kw_only=True):
    """Log losses of blocks of events predicted together, nats a block."""

    tau: Annotated[int, Meta(ge=1, description="Events of a block.")]
    nll: Annotated[Mean | None, Meta(description="Of the events as they came.")]
    dyadic: Annotated[Mean | None, Meta(description="Of as many draws from two of them.")]


class TotalGain(Struct, kw_only=True):
    """Information that the events gave about the model's unknowns, nats."""

    total: Annotated[Number, Meta(description="Sum over events.")]
    mean: Annotated[Number, Meta(description="An event.")]
    se: Annotated[Number, Meta(description="Standard error of the mean.")]


class LogAlarm(Struct, kw_only=True):
    """Bets against the model along the log."""

    log_e: Annotated[Number, Meta(description="Evidence against the model at the end, nats.")]
    highest: Annotated[Number, Meta(description="Highest evidence, nats.")]
    change: Annotated[Number, Meta(description="Evidence for a change, nats.")]
    at: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="Event, from 1, that raised the alarm; null if none did."),
    ]
    within: Annotated[
        tuple[ShareOrNaN, ShareOrNaN],
        Meta(description="Shares of observations in the central 50 and 90 % intervals."),
    ]
    n: Annotated[int, Meta(ge=0, description="Observations.")]
    leading: Annotated[
        str | None, Meta(description="Bet that has won most; null if all have lost.")
    ]


class Value(Struct, kw_only=True):
    """A value with its 95 % interval, in units of reward an event."""

    value: Annotated[Number, Meta(description="Estimate.")]
    se: Annotated[Number, Meta(description="Standard error.")]
    low: Annotated[
        float | None, Meta(description="Lower end; null if too few events make it a guess.")
    ]
    high: Annotated[float | None, Meta(description="Upper end; null where low is.")]


class OffPolicyValue(Struct, kw_only=True):
    """Estimates of what a decision of the judged rule is worth."""

    ips: Annotated[Value, Meta(description="Inverse propensity score.")]
    snips: Annotated[Value, Meta(description="Self-normalised inverse propensity score.")]
    dr: Annotated[Value | None, Meta(description="Doubly robust; null without reward predictions.")]
    logged: Annotated[Value, Meta(description="Mean reward of the log.")]
    weight: Annotated[
        Value, Meta(description="Mean importance weight; 1 in expectation if the log is right.")
    ]
    ess: Annotated[Number, Meta(description="Effective sample size of the weights.")]
    heaviest: Annotated[Number, Meta(description="Largest weight.")]
    believe: Annotated[bool, Meta(description="Whether the estimates can be believed.")]
    why: Annotated[str, Meta(description="Reason in one sentence.")]


class OrderSpread(Struct, kw_only=True):
    """How far beliefs that learnt the same events in other orders lie apart, nats."""

    orders: Annotated[int, Meta(ge=1, description="Random orders, beside the log's own.")]
    events: Annotated[int, Meta(ge=0, description="Events learnt in each order.")]
    spread: Annotated[Number, Meta(description="Of an event's log probability over orders.")]
    chance: Annotated[Number, Meta(description="The same over as many keys.")]
    late: Annotated[
        float | None,
        Meta(description="Between arrival and the order of times; null if they are the same."),
    ]


class ReplayRecord(Struct, kw_only=True):
    """One log learnt under one posterior.

    Times in seconds, information in nats; null where a measure was not asked for, does not exist
    or is no number.
    """

    schema: Annotated[int, Meta(description="Version of this format.")] = 1
    log: Annotated[str, Meta(description="File of the events.")]
    model: Annotated[str, Meta(description="Spec of the model, fitted to the log.")]
    posterior: Annotated[str, Meta(description="Spec of the posterior.")]
    rule: Annotated[str | None, Meta(description="Spec of the judged rule; null without one.")]
    refine: Annotated[int, Meta(ge=0, description="k, refine steps an event.")]
    half_life: Annotated[
        float | None, Meta(description="Seconds after which an event has half its weight.")
    ]
    events: Annotated[int, Meta(ge=1, description="Events learnt.")]
    nll: Annotated[Mean | None, Meta(description="Log loss of an event, nats.")]
    accuracy: Annotated[
        Mean | None, Meta(description="Share of events whose most probable outcome occurred.")
    ]
    joint: Annotated[JointLoss, Meta(description="Joint prediction.")]
    gain: Annotated[TotalGain, Meta(description="Information gained.")]
    reward: Annotated[Mean | None, Meta(description="Reward of an event that has one.")]
    work: Annotated[AtLeastZero, Meta(description="Evaluations an event.")]
    failures: Annotated[int, Meta(ge=0, description="Updates that were not healthy.")]
    alarm: Annotated[
        LogAlarm | None, Meta(description="Bets against the model; null without predictions.")
    ]
    value: Annotated[OffPolicyValue | None, Meta(description="Of the judged rule.")]
    order: Annotated[OrderSpread | None, Meta(description="Effect of the order of events.")]
    learn: Annotated[Quantiles | None, Meta(description="Seconds a live belief update.")]
    compile: Annotated[AtLeastZero, Meta(description="Seconds to compile.")]
    seconds: Annotated[AtLeastZero, Meta(description="Seconds of the replay.")]
    left_out: Annotated[
        dict[str, int], Meta(description="Number of lines left out, by the reason.")
    ]
    config: Annotated[dict[str, Any], Meta(description="Options of the command.")]
    versions: Annotated[
        dict[str, str], Meta(description="Versions of the packages that computed the record.")
    ]
    device: Annotated[str, Meta(description="Device of the replay.")]
    seed: Annotated[int, Meta(ge=0, description="Seed of all draws.")]
