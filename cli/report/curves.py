"""Summaries of a store's arrays: quantiles of latency, gain over time, binned calibration.

See also: runs.py for their charts.
"""

from __future__ import annotations

import numpy as np

from ...posteriors.units import MS_PER_S
from .cell import Cell
from .parts import Points

QUANTILES = {"lowest": 0.01, "lower": 0.25, "middle": 0.5, "upper": 0.75, "highest": 0.99}
TIMES = 100
"""Largest number of points of a curve."""
MARKS = 6
"""Number of points of a curve with a shape on them."""
BINS = 8
"""Largest number of bins of predicted gain."""
LEAST = 4
"""Smallest number of decisions in a bin."""


def latency_quantiles(cell: Cell, arrays: dict[str, np.ndarray]) -> Points:
    """Return quantiles of decide and of learn, in ms.

    cell: with its names.
    arrays: `decide` and `learn` in seconds, of timed runs.
    """
    made = []
    for part in ("decide", "learn"):
        times = MS_PER_S * arrays[part].ravel()
        found = {name: float(np.quantile(times, q)) for name, q in QUANTILES.items()}
        texts = {f"{name}_text": f"{value:.3g} ms" for name, value in found.items()}
        longest = float(times.max())
        made.append(
            cell.tip | found | texts
            | {"part": part, "longest": longest, "longest_text": f"{longest:.3g} ms"}
        )  # fmt: skip
    return made


def gain_over_time(cell: Cell, realised: np.ndarray) -> Points:
    """Return mean and standard error over runs of the gain so far, in nats.

    cell: with its names.
    realised: `[runs, steps]`, nats a step.
    """
    so_far = realised.cumsum(1)
    mean = so_far.mean(0)
    se = so_far.std(0, ddof=1) / np.sqrt(len(so_far)) if len(so_far) > 1 else 0 * mean
    steps = np.unique(np.linspace(0, len(mean) - 1, TIMES).round().astype(int))
    marked = set(steps[:: max(len(steps) // MARKS, 1)].tolist()) | {len(mean) - 1}
    return [
        _brief(cell) | {
            "step": int(step) + 1, "y": float(mean[step]), "low": float(mean[step] - se[step]),
            "high": float(mean[step] + se[step]), "mark": int(step) in marked,
            "value": f"{mean[step]:.3g} ± {se[step]:.2g}",
        }
        for step in steps
        if np.isfinite(mean[step] + se[step])
    ]  # fmt: skip


def _brief(cell: Cell) -> dict[str, str]:
    """Return the part of the tooltip that points of a curve need."""
    return {name: cell.tip[name] for name in ("cell", "series", "posterior", "rule")}


def bin_gains(cell: Cell, arrays: dict[str, np.ndarray]) -> Points:
    """Return mean realised against mean predicted gain, in bins of equal numbers of decisions.

    cell: with its names.
    arrays: `predicted` and `realised`, nats a decision.
    Returns: points; none if all predictions are equal.
    """
    predicted, realised = (np.asarray(arrays[n], float).ravel() for n in ("predicted", "realised"))
    there = np.isfinite(predicted) & np.isfinite(realised)
    predicted, realised = predicted[there], realised[there]
    # A point estimate, or a rule that scores something else, predicts no gain at all.
    if not len(predicted) or np.ptp(predicted) == 0:
        return []
    order = np.argsort(predicted, kind="stable")
    count = max(min(BINS, len(order) // LEAST), 1)
    made = []
    for part in np.array_split(order, count):
        mean = realised[part].mean()
        se = realised[part].std(ddof=1) / np.sqrt(len(part)) if len(part) > 1 else 0.0
        made.append(_brief(cell) | {
            "x": float(predicted[part].mean()), "y": float(mean), "low": float(mean - se),
            "high": float(mean + se), "value": f"{mean:.3g} ± {se:.2g}",
            "predicted": f"{predicted[part].mean():.3g}", "decisions": str(len(part)),
        })  # fmt: skip
    return made
