"""Reduce the runs of one cell to its result record: means, errors and quantiles.

See also: ../records/record.py for the fields.
"""

from __future__ import annotations

import platform
from dataclasses import asdict
from typing import Any

import numpy as np

from ...loop.core.agent import half_life_of
from ..records.machine import device_kind, package_versions
from ..records.record import (
    Calibration,
    Gain,
    JointPrediction,
    Mean,
    Quantiles,
    Record,
    Regret,
    Slope,
)
from .alarm_rates import summarise_alarms
from .experiment import Cell
from .latency import Timing


def mean_se(values: Any) -> Mean:
    """Return the mean over runs and its standard error.

    values: `[N]`, one a run.
    Returns: mean and standard error, 0 for a single run.
    """
    v = np.asarray(values, float)
    se = v.std(ddof=1) / np.sqrt(len(v)) if len(v) > 1 else 0.0
    return Mean(float(v.mean()), float(se))


def quantiles(seconds: np.ndarray) -> Quantiles | None:
    """Return quantiles of a latency.

    seconds: `[n]`.
    Returns: p50, p95, p99, max and count; None without values.
    """
    if not len(seconds):
        return None
    p50, p95, p99 = (float(np.quantile(seconds, q)) for q in (0.5, 0.95, 0.99))
    return Quantiles(p50, p95, p99, float(seconds.max()), len(seconds))


def ratio(top: Any, bottom: Any) -> Mean:
    """Return sum(top) / sum(bottom) over runs, with its delta-method standard error.

    top: `[N]`, one a run.
    bottom: `[N]`, one a run.
    Returns: the ratio, NaN if the bottom sums to 0.
    """
    t, b = np.asarray(top, float), np.asarray(bottom, float)
    value = t.sum() / b.sum() if b.sum() else float("nan")
    if len(t) < 2 or not b.sum():
        return Mean(float(value), 0.0)
    spread = (t - value * b).std(ddof=1) / np.sqrt(len(t))
    return Mean(float(value), float(spread / abs(b.mean())))


def fit_slope(predicted: Any, realised: Any) -> Slope:
    """Compare realised with predicted gain, errors clustered by run.

    A calibrated belief has slope 1 and bias 0.

    predicted: `[N, T]` nats, one a decision.
    realised: `[N, T]` nats, one a decision.
    Returns: slope through the origin, bias in nats a decision, and its standard error.
    """
    p, r = np.asarray(predicted, float), np.asarray(realised, float)
    gap = (r - p).mean(1)
    square = float(np.sum(p * p))
    slope = float(np.sum(p * r) / square) if square > 0 else None
    return Slope(slope, float(gap.mean()), mean_se(gap).se)


def build_record(
    cell: Cell,
    runs: dict[str, Any],
    baseline: dict[str, Any] | None,
    timing: Timing | None,
    spce: int | None,
    taus: tuple[int, ...],
    workers: int,
) -> Record:
    """Build the record of a cell.

    cell: the cell.
    runs: its measures by name, as `measure_quality` returns them.
    baseline: the same of random actions; None if nothing is compared with them.
    timing: of its live runs; None without.
    spce: L of sPCE; None if it was not asked for.
    taus: numbers of observations predicted jointly.
    workers: worker processes of the quality runs.
    Returns: the record, not yet on the frontier.
    """
    return Record(
        world=cell.world,
        model=cell.model,
        posterior=cell.posterior,
        rule=cell.rule,
        particles=cell.particles,
        refine=cell.refine,
        think=cell.think,
        half_life=half_life_of(cell.posterior),
        steps=cell.steps,
        seeds=cell.seeds,
        decide=quantiles(timing.decide) if timing else None,
        learn=quantiles(timing.learn) if timing else None,
        total=quantiles(timing.decide + timing.learn) if timing else None,
        thought=quantiles(timing.think) if timing else None,
        compile=timing.compile if timing else None,
        retraces=timing.retraces if timing else None,
        work=float(np.mean(runs["work"])),
        gain=_gain(runs, baseline, spce) if "lower" in runs else None,
        fidelity=ratio(runs["bought"], runs["best"]) if "best" in runs else None,
        calibration=_calibration(runs),
        joint=_joint(taus, runs.get("joint")),
        regret=_regret(runs) if "regret" in runs else None,
        reward=mean_se(runs["reward"]) if "reward" in runs else None,
        alarm=summarise_alarms(runs),
        failures=int(np.sum(runs["failures"])),
        config=asdict(cell),
        versions=package_versions(),
        device=device_kind(),
        host=platform.node(),
        threads=workers,
        seed=cell.seed,
    )


def _gain(runs: dict[str, Any], baseline: dict[str, Any] | None, spce: int | None) -> Gain:
    """Bounds on the gain, and the gain above random actions."""
    lower, above = mean_se(runs["lower"]), None
    if baseline is not None and "lower" in baseline:
        above = mean_se(np.asarray(runs["lower"]) - np.asarray(baseline["lower"]))
    return Gain(
        lower=lower,
        upper=mean_se(runs["upper"]),
        exact=lower if "exact" in runs else None,
        ess=float(np.median(runs["ess"])) if "ess" in runs else None,
        spce=mean_se(runs["spce"]) if "spce" in runs else None,
        snmc=mean_se(runs["snmc"]) if "snmc" in runs else None,
        cap=float(np.log(spce + 1)) if spce and "spce" in runs else None,
        above_random=above,
    )


def _calibration(runs: dict[str, Any]) -> Calibration | None:
    """Realised against predicted gain, of chosen actions and of probes."""
    if "realised" not in runs or "predicted" not in runs:
        return None
    chosen = fit_slope(runs["predicted"], runs["realised"])
    probe = fit_slope(runs["probe_predicted"], runs["probe_realised"])
    return Calibration(chosen.slope, chosen.bias, chosen.se, probe)


def _joint(
    taus: tuple[int, ...], divergence: Any
) -> JointPrediction | list[JointPrediction] | None:
    """Joint prediction of `[N, taus]` nats: one, or a list for several taus."""
    if divergence is None:
        return None
    predictions = []
    for column, tau in enumerate(taus):
        kl = mean_se(divergence[:, column])
        predictions.append(JointPrediction(tau, kl.mean, kl.se))
    return predictions[0] if len(predictions) == 1 else predictions


def _regret(runs: dict[str, Any]) -> Regret:
    """Regret, and its share of that of uniformly random actions."""
    total, share = mean_se(runs["regret"]), ratio(runs["regret"], runs["uniform"])
    return Regret(total.mean, total.se, 100 * share.mean, 100 * share.se)
