"""Differences between two results of one configuration, with 95% intervals.

Not here: which results belong together, or which difference is too large.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtri, stdtrit

LEVEL = 0.95
DRAWS = 1000
"""Bootstrap resamples behind an interval of a ratio."""
BLOCK = 4_000_000
"""Numbers resampled at once, so that memory does not grow with them."""


@dataclass(frozen=True)
class Change:
    """before, after: the two values. value: their difference, or after / before.

    low, high: its 95% interval, None where one run or missing data leaves it unknown. paired:
    whether run was set against run.
    """

    before: float
    after: float
    value: float
    low: float | None
    high: float | None
    paired: bool


def difference(before: Any, after: Any) -> Change:
    """Mean of after - before, run by run, with Student's interval. before, after: `[N]`."""
    a, b = np.asarray(before, float), np.asarray(after, float)
    gap = b - a
    mean = float(gap.mean())
    if len(gap) < 2:
        return Change(float(a.mean()), float(b.mean()), mean, None, None, True)
    reach = stdtrit(len(gap) - 1, (1 + LEVEL) / 2) * gap.std(ddof=1) / np.sqrt(len(gap))
    return Change(
        float(a.mean()), float(b.mean()), mean, float(mean - reach), float(mean + reach), True
    )


def apart(before: dict[str, float], after: dict[str, float]) -> Change:
    """The same from two means and their standard errors, as if of independent runs."""
    gap = after["mean"] - before["mean"]
    reach = float(ndtri((1 + LEVEL) / 2) * np.hypot(before["se"], after["se"]))
    # A standard error of 0 is that of a single run as well.
    known = reach > 0
    return Change(
        before["mean"], after["mean"], gap, gap - reach if known else None,
        gap + reach if known else None, False,
    )  # fmt: skip


def quantile_ratio(before: Any, after: Any, share: float) -> Change:
    """after / before of a quantile, with a percentile bootstrap interval over whole runs.

    before, after: `[N, T]` seconds, one row a run. Runs rather than events are drawn: events of
    one run share its warmth and whatever else the machine was doing.
    """
    a, b = np.asarray(before, float), np.asarray(after, float)
    first, second = float(np.quantile(a, share)), float(np.quantile(b, share))
    low = high = None
    if len(a) > 1 and len(b) > 1:
        draws = np.random.default_rng(0)
        ratios = _quantiles(draws, b, share) / _quantiles(draws, a, share)
        low, high = (float(np.quantile(ratios, q)) for q in ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return Change(first, second, second / first, low, high, False)


def _quantiles(draws: np.random.Generator, times: np.ndarray, share: float) -> np.ndarray:
    """`[DRAWS]` quantiles of resampled runs."""
    picked = draws.integers(0, len(times), (DRAWS, len(times)))
    blocks = np.array_split(picked, min(DRAWS, -(-DRAWS * times.size // BLOCK)))
    return np.concatenate(
        [np.quantile(times[block].reshape(len(block), -1), share, axis=1) for block in blocks]
    )
