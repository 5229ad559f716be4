"""Test whether the model is misspecified: an e-process of bets against its predictions.

Each observation enters as its probability integral transform (pit.py), uniform on [0, 1] if the
model is right and the belief exact. Under this null each bet is fair: it multiplies its stake by a
density on [0, 1] that was chosen before the observation, so the wealth is a non-negative martingale
with mean 1. Densities are constant on bins, so the odds are fair to the last bit. Three figures:

* `log_e`: log wealth of an initial stake of 1, spread over the bets below and their start times. An
  e-process: the probability that it ever reaches 1/alpha is at most alpha (anytime-valid).
* `highest`: the running maximum of `log_e`, which raises the alarm. Not itself an e-value.
* `change`: log wealth of the same bets with a new stake of 1 before each observation. It reacts
  faster to a change late in a stream, but reaches 1/alpha in every stream; under the null the mean
  time to that is at least 1/alpha observations. Not an e-process.

See also: predictive.py for the predictions, cli/live/alarm.py for the warning.
Sources: Ville (1939); Ramdas et al. (2023), e-processes; Shin, Ramdas and Rinaldo (2024),
e-detectors (`change` is their e-SR).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import ndtr

from ....posteriors.base import Array

ALPHA = 1e-4
"""Default probability of a false alarm over a whole run."""
EDGES = np.arange(-4.0, 4.01, 0.25)
"""Ends of the bins, in standard deviations of a normal prediction."""
PERSISTENCE = 0.75
"""Stake on an error having the sign of the previous error."""
GROUPS = (-1.25, -0.75, -0.25, 0.0, 0.25, 0.75, 1.25)
"""Ends of the bins of the histogram of past PITs, in standard deviations."""
PSEUDO = 8.0
"""Uniform observations that the histogram starts with."""
KEEP = 1 - 1 / 500
"""Share of the histogram's counts that remains after each observation."""
INTERVALS = (0.5, 0.9)
"""Central intervals whose coverage is counted."""


class Normal(NamedTuple):
    """A fixed density: the PIT of a normal observation with an error in location or scale.

    mean, deviation: of the observation, in standard deviations of the prediction.
    """

    mean: float
    deviation: float


class Bin(NamedTuple):
    """The bin of one observation.

    side: `[]` mean of 2u - 1 in the bin.
    share: `[]` probability of the bin's group under the null.
    group: `[G]` one-hot.
    """

    side: Array
    share: Array
    group: Array


class EProcess(NamedTuple):
    """State of the bets.

    stakes: `[2, K]` log wealth of each bet, for `log_e` and for `change`.
    counts: `[G]` histogram of past PITs.
    side: `[]` of the last observation, in [-1, 1].
    log_e, highest, change: `[]` nats.
    n: `[]` int32 observations.
    within: `[2]` int32 observations in each central interval.
    """

    stakes: Array
    counts: Array
    side: Array
    log_e: Array
    highest: Array
    change: Array
    n: Array
    within: Array


def _same_side(process: EProcess, cell: Bin) -> Array:
    """Density of an error that tends to have the sign of the previous one."""
    return 1 + PERSISTENCE * process.side * cell.side


def _histogram(process: EProcess, cell: Bin) -> Array:
    """Density of the histogram of past PITs."""
    seen = jnp.sum(process.counts * cell.group) + PSEUDO * cell.share
    return seen / (jnp.sum(process.counts) + PSEUDO) / cell.share


class Bet(NamedTuple):
    """A bet against the model.

    name: the fault that it detects, as in replies and reports.
    density: the density of the PIT that it bets on, fixed or learnt from past observations.
    advice: remedies to try if it wins.
    """

    name: str
    density: Normal | Callable[[EProcess, Bin], Array]
    advice: str


_NARROW = (
    "a larger noise or scale of --model, unknowns that move, more --particles or another "
    "--posterior"
)
_WIDE = "a smaller noise or scale of --model"
_BIASED = "an intercept, a wider prior, unknowns that move"
BETS = (
    Bet("intervals far too narrow", Normal(0.0, 2.0), _NARROW),
    Bet("intervals too narrow", Normal(0.0, 1.25), _NARROW),
    Bet("intervals too wide", Normal(0.0, 0.8), _WIDE),
    Bet("intervals far too wide", Normal(0.0, 0.5), _WIDE),
    Bet("predictions far too low", Normal(1.0, 1.0), _BIASED),
    Bet("predictions too low", Normal(0.25, 1.0), _BIASED),
    Bet("predictions too high", Normal(-0.25, 1.0), _BIASED),
    Bet("predictions far too high", Normal(-1.0, 1.0), _BIASED),
    Bet(
        "errors alike one after the other", _same_side,
        "unknowns that move, or features that say what the errors share",
    ),
    Bet("another shape", _histogram, "another outcome or link of --model, features it lacks"),
)  # fmt: skip
"""All bets, those of a fixed density first; the stake is spread evenly over them."""


def _mass(mean: float, deviation: float) -> np.ndarray:
    """Probability `[BINS]` of each bin under a normal observation."""
    ends = np.concatenate([[-np.inf], (EDGES - mean) / deviation, [np.inf]])
    # By the nearer tail, so that the upper bins are as exact as the lower.
    return np.where(ends[1:] <= 0, np.diff(ndtr(ends)), -np.diff(ndtr(-ends)))


_BOUNDS = ndtr(EDGES)
_WIDTHS = _mass(0.0, 1.0)
_TABLE = np.log([_mass(*bet.density) / _WIDTHS for bet in BETS if isinstance(bet.density, Normal)])
# Of the observations in a bin, the mean of 2u - 1.
_SIDES = np.concatenate([[0.0], _BOUNDS]) + np.concatenate([_BOUNDS, [1.0]]) - 1
_GROUP = np.searchsorted(GROUPS, np.append(EDGES, np.inf) - 0.125)
_SHARES = np.bincount(_GROUP, _WIDTHS)
# One row per bin, for a single lookup: log densities, side, share of its group, its group.
_ROWS = np.column_stack([_TABLE.T, _SIDES, _SHARES[_GROUP], np.eye(len(_SHARES))[_GROUP]])


class Evidence(NamedTuple):
    """Summary of an e-process.

    log_e, highest, change: nats, as above.
    within: `[2]` coverage of each central interval, NaN before any observation.
    n: observations.
    leading: index in `BETS` of the bet that has won most.
    """

    log_e: Any
    highest: Any
    change: Any
    within: Any
    n: Any
    leading: Any


def initial_e_process() -> EProcess:
    """Build the state before any observation."""
    zero = jnp.zeros(())
    return EProcess(
        jnp.full((2, len(BETS)), -jnp.inf), jnp.zeros(len(_SHARES)), zero, zero, zero,
        jnp.full((), -jnp.inf), jnp.zeros((), jnp.int32), jnp.zeros(len(INTERVALS), jnp.int32),
    )  # fmt: skip


def update_e_process(process: EProcess, pit: Array) -> EProcess:
    """Settle every bet on one more observation.

    process: the state before it.
    pit: `[]` in [0, 1]; NaN (there was no prediction) changes nothing.

    Returns: the state after it.
    """
    real = process.stakes.dtype
    index = jnp.sum(pit >= jnp.asarray(_BOUNDS, real), dtype=jnp.int32)
    row = jnp.asarray(_ROWS, real)[index]
    fixed, (side, share), group = jnp.split(row, [len(_TABLE), len(_TABLE) + 2])
    cell = Bin(side, share, group)
    densities = [bet.density for bet in BETS if not isinstance(bet.density, Normal)]
    learnt = jnp.stack([density(process, cell) for density in densities])
    odds = jnp.concatenate([fixed, jnp.log(learnt)])
    n = (process.n + 1).astype(real)
    # The stake on beginning with observation n is 1 / (n (n + 1)), so 1 / (n + 1) is left.
    left = -jnp.log1p(n)
    begins = jnp.stack([left - jnp.log(n), jnp.zeros((), real)]) - float(np.log(len(BETS)))
    stakes = jnp.logaddexp(process.stakes, begins[:, None]) + odds[None, :]
    won, change = jax.nn.logsumexp(stakes, axis=1)
    log_e = jnp.logaddexp(won, left)
    inside = jnp.abs(2 * pit - 1) < jnp.asarray(INTERVALS, real)
    after = EProcess(
        stakes, KEEP * process.counts + group, side, log_e,
        jnp.maximum(process.highest, log_e), change, process.n + 1,
        process.within + inside.astype(jnp.int32),
    )  # fmt: skip
    return jax.tree.map(lambda new, old: jnp.where(jnp.isnan(pit), old, new), after, process)


def read_evidence(process: EProcess) -> Evidence:
    """Summarise an e-process.

    process: its state.

    Returns: the summary.
    """
    leading = jnp.argmax(process.stakes[0]).astype(jnp.int32)
    within = process.within / process.n.astype(process.stakes.dtype)
    return Evidence(process.log_e, process.highest, process.change, within, process.n, leading)


@jax.jit
def scan_pits(process: EProcess, pits: Array, weight: Array) -> tuple[EProcess, Evidence]:
    """Update an e-process along a sequence of observations.

    process: the state before the first.
    pits: `[T]`.
    weight: `[T]`; an observation of weight 0 is skipped.

    Returns: the state after the last; the evidence after each, `[T, ...]`.
    """

    def update(process: EProcess, item: tuple[Array, Array]) -> tuple[EProcess, Evidence]:
        pit, weight = item
        process = update_e_process(process, jnp.where(weight > 0, pit, jnp.nan))
        return process, read_evidence(process)

    return jax.lax.scan(update, process, (pits, weight))


@jax.jit
def scan_runs(pits: Array) -> Evidence:
    """Follow an e-process from its beginning in each of several runs.

    pits: `[N, T]`.

    Returns: the evidence `[N, T, ...]`.
    """
    ones = jnp.ones_like(pits)
    return jax.vmap(lambda run, weight: scan_pits(initial_e_process(), run, weight)[1])(pits, ones)


def first_crossing(highest: Any, alpha: float = ALPHA) -> np.ndarray:
    """Find the observation at which the alarm was raised.

    highest: `[..., T]` running maximum of `log_e`, nats.
    alpha: probability of a false alarm.

    Returns: its number `[...]`, counted from 1; 0 where 1/alpha was never reached.
    """
    over = np.asarray(highest) >= -np.log(alpha)
    return np.where(over.any(-1), over.argmax(-1) + 1, 0)


def leading_fault(log_e: float, leading: float) -> str | None:
    """Name the fault that the leading bet detects.

    log_e: nats.
    leading: index in `BETS`.

    Returns: the name of the bet; None while the bets together have lost.
    """
    return BETS[int(leading)].name if log_e > 0 else None


def advice_on(fault: str | None) -> str | None:
    """Find the remedies to try for a fault.

    fault: name of a bet.

    Returns: its advice; None for no bet.
    """
    return next((bet.advice for bet in BETS if bet.name == fault), None)


__all__ = [
    "ALPHA", "BETS", "Bet", "EProcess", "Evidence", "advice_on", "first_crossing",
    "initial_e_process", "leading_fault", "read_evidence", "scan_pits", "scan_runs",
    "update_e_process",
]  # fmt: skip
