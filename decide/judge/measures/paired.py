"""Differences between two results of one configuration, with 95 % intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtri, stdtrit

from ..records.record import Mean

LEVEL = 0.95
DRAWS = 1000
"""Bootstrap resamples behind an interval of a ratio."""
BLOCK = 4_000_000
"""Numbers resampled at once, so that memory does not grow with them."""


@dataclass(frozen=True)
class Change:
    """Change of a measure between two results."""

    before: float
    """Value of the first result."""
    after: float
    """Value of the second result."""
    value: float
    """Their difference, or after / before."""
    low: float | None
    """Lower end of the 95 % interval; None if one run or missing data leave it unknown."""
    high: float | None
    """Upper end."""
    paired: bool
    """Whether runs were compared one by one."""


def paired_change(before: Any, after: Any) -> Change:
    """Compare two means run by run, with Student's interval.

    before: `[N]`, one a run.
    after: `[N]`, of the same runs.
    Returns: the mean of after - before.
    """
    a, b = np.asarray(before, float), np.asarray(after, float)
    gap = b - a
    mean = float(gap.mean())
    if len(gap) < 2:
        return Change(float(a.mean()), float(b.mean()), mean, None, None, True)
    reach = stdtrit(len(gap) - 1, (1 + LEVEL) / 2) * gap.std(ddof=1) / np.sqrt(len(gap))
    return Change(
        float(a.mean()), float(b.mean()), mean, float(mean - reach), float(mean + reach), True
    )


def unpaired_change(before: Mean, after: Mean) -> Change:
    """Compare two means by their standard errors, as of independent runs.

    before: mean and standard error.
    after: mean and standard error.
    Returns: after - before; no interval if both standard errors are 0, as of single runs.
    """
    gap = after.mean - before.mean
    reach = float(ndtri((1 + LEVEL) / 2) * np.hypot(before.se, after.se))
    # A standard error of 0 is that of a single run as well.
    known = reach > 0
    return Change(
        before.mean, after.mean, gap, gap - reach if known else None,
        gap + reach if known else None, False,
    )  # fmt: skip


def quantile_ratio(before: Any, after: Any, share: float) -> Change:
    """Compare a quantile, with a percentile bootstrap interval over whole runs.

    Runs are resampled, not events: events of one run share the state of the machine.

    before: `[N, T]` seconds, one row a run.
    after: `[N, T]` seconds.
    share: the quantile, from 0 to 1.
    Returns: after / before.
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
