"""The record of the search of one posterior's options, as `tune` writes it. Free of JAX.

See also: ../tuning/build_tuning_record.py for how it is filled.
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from .record import AtLeastZero, Mean


class TunedLatency(Struct, kw_only=True):
    """Latency at p99 of a decision with its update, seconds; null if it was not measured."""

    default: Annotated[float | None, Meta(description="Of the default options.")]
    best: Annotated[float | None, Meta(description="Of the best options.")]


class TuningRecord(Struct, kw_only=True):
    """Best options of a posterior within a budget of time; null where no trial qualified."""

    schema: Annotated[int, Meta(description="Version of this format.")] = 1
    world: Annotated[str, Meta(description="Spec of the simulated truth.")]
    model: Annotated[str, Meta(description="Spec of the agent's model.")]
    posterior: Annotated[str, Meta(description="Spec of the posterior as it was given.")]
    rule: Annotated[str, Meta(description="Spec of the rule that chooses actions.")]
    goal: Annotated[str, Meta(description="Measure by which trials are compared.")]
    default_spec: Annotated[str, Meta(description="Spec with the default options.")]
    spec: Annotated[str | None, Meta(description="Spec with the best options.")]
    particles: Annotated[int | None, Meta(description="S of the best options.")]
    refine: Annotated[int, Meta(ge=0, description="k of the best options.")]
    default: Annotated[
        Mean | None, Meta(description="Score of the defaults; null unless all runs ended.")
    ]
    best: Annotated[Mean | None, Meta(description="Score of the best options.")]
    improvement: Annotated[
        Mean | None, Meta(description="Best less default, run by run; positive if better.")
    ]
    p99: Annotated[TunedLatency, Meta(description="Latency, if it is bounded.")]
    max_p99: Annotated[float | None, Meta(description="Largest p99 allowed, seconds.")]
    trials: Annotated[int, Meta(ge=0, description="Trials within the budget.")]
    pruned: Annotated[int, Meta(ge=0, description="Trials that were stopped early.")]
    slow: Annotated[int, Meta(ge=0, description="Trials slower than max_p99.")]
    failed: Annotated[int, Meta(ge=0, description="Trials refused, or without a finite score.")]
    late: Annotated[int, Meta(ge=0, description="Trials that ended after the budget.")]
    seconds: Annotated[AtLeastZero, Meta(description="Seconds spent.")]
    budget: Annotated[float, Meta(gt=0, description="Seconds allowed.")]
    interrupted: Annotated[bool, Meta(description="Whether it ended before its budget.")]
    search: Annotated[str, Meta(description="Kind of search.")]
    searched: Annotated[list[str], Meta(description="Options that were searched.")]
    steps: Annotated[int, Meta(ge=1, description="Events a run.")]
    first: Annotated[int, Meta(ge=0, description="Number of the first run.")]
    seeds: Annotated[int, Meta(ge=1, description="Runs a trial.")]
    seed: Annotated[int, Meta(ge=0, description="Seed of all runs.")]
    config: Annotated[dict[str, Any], Meta(description="Options of the command.")]
    versions: Annotated[
        dict[str, str], Meta(description="Versions of the packages that computed the record.")
    ]
    device: Annotated[str, Meta(description="Kind of device.")]
    host: Annotated[str, Meta(description="Name of the machine.")]
