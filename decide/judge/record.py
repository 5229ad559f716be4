"""The result record: one cell's runs reduced to means, errors and quantiles.

Seconds and nats; `docs/record.schema.json` describes it. Not here: how it is shown.
"""

from __future__ import annotations

import platform
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import numpy as np

from ..loop.building import half_life_of
from .doubt import doubt
from .experiment import Cell
from .latency import Timing

SCHEMA = 1
PACKAGES = ("uncertain", "jax", "jaxlib", "numpy", "numpyro", "optax")


def mean_se(values: Any) -> dict[str, float]:
    """Mean over runs and its standard error (0 for a single run)."""
    v = np.asarray(values, float)
    se = v.std(ddof=1) / np.sqrt(len(v)) if len(v) > 1 else 0.0
    return {"mean": float(v.mean()), "se": float(se)}


def quantiles(seconds: np.ndarray) -> dict[str, float | int] | None:
    """p50, p95, p99, max and count of a latency."""
    if not len(seconds):
        return None
    p50, p95, p99 = (float(np.quantile(seconds, q)) for q in (0.5, 0.95, 0.99))
    return {"p50": p50, "p95": p95, "p99": p99, "max": float(seconds.max()), "n": len(seconds)}


def ratio(top: Any, bottom: Any) -> dict[str, float]:
    """sum(top) / sum(bottom) over runs, with its delta-method standard error."""
    t, b = np.asarray(top, float), np.asarray(bottom, float)
    value = t.sum() / b.sum() if b.sum() else float("nan")
    if len(t) < 2 or not b.sum():
        return {"mean": float(value), "se": 0.0}
    spread = (t - value * b).std(ddof=1) / np.sqrt(len(t))
    return {"mean": float(value), "se": float(spread / abs(b.mean()))}


def calibration(predicted: Any, realised: Any) -> dict[str, Any]:
    """How realised gain follows predicted gain, errors clustered by run.

    slope: of realised on predicted through the origin; bias: mean of realised - predicted, nats
    a decision; se: of the bias. A calibrated belief has slope 1 and bias 0.
    """
    p, r = np.asarray(predicted, float), np.asarray(realised, float)
    gap = (r - p).mean(1)
    square = float(np.sum(p * p))
    slope = float(np.sum(p * r) / square) if square > 0 else None
    return {"slope": slope, "bias": float(gap.mean()), "se": mean_se(gap)["se"]}


def joint(taus: tuple[int, ...], divergence: Any) -> dict[str, Any] | list[dict[str, Any]] | None:
    """Joint prediction of `[N, taus]` nats: one object, or a list of them for several taus."""
    if divergence is None:
        return None
    found = []
    for column, tau in enumerate(taus):
        made = mean_se(divergence[:, column])
        found.append({"tau": tau, "kl": made["mean"], "se": made["se"]})
    return found[0] if len(found) == 1 else found


def record(
    cell: Cell,
    runs: dict[str, Any],
    baseline: dict[str, Any] | None,
    timing: Timing | None,
    spce: int | None,
    taus: tuple[int, ...],
    workers: int,
) -> dict[str, Any]:
    """The record of a cell from its runs, those of random actions, and its timing."""
    import jax

    exact = "exact" in runs
    gain: dict[str, Any] | None = None
    if "lower" in runs:
        gain = {
            "lower": mean_se(runs["lower"]),
            "upper": mean_se(runs["upper"]),
            "exact": mean_se(runs["lower"]) if exact else None,
            "ess": float(np.median(runs["ess"])) if "ess" in runs else None,
            "spce": mean_se(runs["spce"]) if "spce" in runs else None,
            "snmc": mean_se(runs["snmc"]) if "snmc" in runs else None,
            "cap": float(np.log(spce + 1)) if spce and "spce" in runs else None,
            "above_random": (
                mean_se(np.asarray(runs["lower"]) - np.asarray(baseline["lower"]))
                if baseline is not None and "lower" in baseline
                else None
            ),
        }
    calibrated = None
    if "realised" in runs and "predicted" in runs:
        calibrated = calibration(runs["predicted"], runs["realised"])
        calibrated["probe"] = calibration(runs["probe_predicted"], runs["probe_realised"])
    lost = None
    if "regret" in runs:
        share = ratio(runs["regret"], runs["uniform"])
        lost = {
            **mean_se(runs["regret"]),
            "percent_of_uniform": 100 * share["mean"],
            "percent_se": 100 * share["se"],
        }
    return {
        "schema": SCHEMA,
        "world": cell.world,
        "model": cell.model,
        "posterior": cell.posterior,
        "rule": cell.rule,
        "particles": cell.particles,
        "refine": cell.refine,
        "think": cell.think,
        "half_life": half_life_of(cell.posterior),
        "steps": cell.steps,
        "seeds": cell.seeds,
        "decide": quantiles(timing.decide) if timing else None,
        "learn": quantiles(timing.learn) if timing else None,
        "total": quantiles(timing.decide + timing.learn) if timing else None,
        "thought": quantiles(timing.think) if timing else None,
        "compile": timing.compile if timing else None,
        "retraces": timing.retraces if timing else None,
        "deadline": None,
        "rate": None,
        "missed": None,
        "fallback": None,
        "rungs": None,
        "slices": None,
        "work": float(np.mean(runs["work"])),
        "gain": gain,
        "fidelity": ratio(runs["bought"], runs["best"]) if "best" in runs else None,
        "calibration": calibrated,
        "joint": joint(taus, runs.get("joint")),
        "regret": lost,
        "reward": mean_se(runs["reward"]) if "reward" in runs else None,
        "alarm": doubt(runs),
        "frontier": False,
        "failures": int(np.sum(runs["failures"])),
        "config": asdict(cell),
        "versions": {name: version(name) for name in PACKAGES}
        | {"python": platform.python_version()},
        "device": str(jax.devices()[0].device_kind),
        "host": platform.node(),
        "threads": workers,
        "seed": cell.seed,
    }


def mark_frontier(records: list[dict[str, Any]]) -> None:
    """Set `frontier` where no other record of the same world has more of what counts in less time.

    Time is decide + learn at p99. What counts is the gain above random actions, or little regret
    where no gain was measured.
    """
    points = []
    for index, row in enumerate(records):
        value = worth(row)
        if value is not None and row["total"]:
            kind = row["world"], row["steps"], bool(row["gain"])
            points.append((index, kind, row["total"]["p99"], value))
    for index, kind, time, value in points:
        records[index]["frontier"] = not any(
            k == kind and t <= time and v >= value and (t < time or v > value)
            for _, k, t, v in points
        )


def worth(row: dict[str, Any]) -> float | None:
    """What a record is compared by, more being better; None where nothing was measured."""
    if row["gain"]:
        above = row["gain"]["above_random"]
        return above["mean"] if above else None
    lost = row.get("regret")
    return -lost["mean"] if lost else None
