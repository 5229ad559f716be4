"""Is the model wrong? Bets against it, observation by observation, and how its intervals held.

Each observation comes as its place in its prediction (transform.py), uniform if the model is right
and the belief exact. Whoever bets that it is not, at fair odds, keeps what he has on average: the
stake is multiplied by a density on [0, 1] that was chosen beforehand. Three figures come of it:

* evidence (`log_e`): what a stake of 1 has become, spread over the bets below and over when they
  begin. An e-process: its mean is 1 at any stopping time, and the chance that it ever reaches
  1/alpha is at most alpha, however long the stream.
* `highest`: the most that it has been, which is what an alarm looks at. Not an e-value itself.
* `change`: the same bets, a new stake of 1 put down before each observation. It is sooner aware
  of a change after a long time, and reaches 1/alpha in the end whether or not there is one: the
  mean time to that is at least 1/alpha observations. Not an e-process.

Bets are constant on bins of [0, 1], so the odds are fair to the last bit. Not here: what a belief
predicts (foresight.py), or whom an alarm is told.
Sources: Ville (1939); Ramdas et al. (2023), e-processes; Shin, Ramdas and Rinaldo (2024),
e-detectors (`change` is their e-SR).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import ndtr

from ...posteriors.base import Array

ALPHA = 1e-4
"""The chance of ever raising a false alarm, unless told otherwise."""
EDGES = np.arange(-4.0, 4.01, 0.25)
"""Ends of the bins, in standard deviations of a normal prediction."""
NORMAL = (
    ((0.0, 2.0), "intervals far too narrow"),
    ((0.0, 1.25), "intervals too narrow"),
    ((0.0, 0.8), "intervals too wide"),
    ((0.0, 0.5), "intervals far too wide"),
    ((1.0, 1.0), "predictions far too low"),
    ((0.25, 1.0), "predictions too low"),
    ((-0.25, 1.0), "predictions too high"),
    ((-1.0, 1.0), "predictions far too high"),
)
"""Bets that observations lie (mean, standard deviation) off, in those of the prediction, and what
it says of the model if one of them wins."""
BETS = (
    *(says for _, says in NORMAL), "errors alike one after the other", "another shape",
)  # fmt: skip
PERSISTENCE = 0.75
"""How much is bet on an error being on the side of the one before."""
GROUPS = (-1.25, -0.75, -0.25, 0.0, 0.25, 0.75, 1.25)
"""Ends of the bins of a histogram of past places, which the last bet is made by."""
PSEUDO = 8.0
"""Uniform observations that the histogram starts with."""
KEEP = 1 - 1 / 500
"""Share of the histogram's counts that outlives each observation."""
INTERVALS = (0.5, 0.9)
"""Central intervals whose coverage is counted."""


def _mass(mean: float, deviation: float) -> np.ndarray:
    """Probability `[BINS]` of each bin under a normal observation."""
    ends = np.concatenate([[-np.inf], (EDGES - mean) / deviation, [np.inf]])
    # By the nearer tail, so that the upper bins are as exact as the lower.
    return np.where(ends[1:] <= 0, np.diff(ndtr(ends)), -np.diff(ndtr(-ends)))


_BOUNDS = ndtr(EDGES)
_WIDTHS = _mass(0.0, 1.0)
_TABLE = np.log([_mass(*off) / _WIDTHS for off, _ in NORMAL])
# Of the observations in a bin, the mean of 2u - 1.
_SIDES = np.concatenate([[0.0], _BOUNDS]) + np.concatenate([_BOUNDS, [1.0]]) - 1
_GROUP = np.searchsorted(GROUPS, np.append(EDGES, np.inf) - 0.125)
_SHARES = np.bincount(_GROUP, _WIDTHS)
# All that is looked up of a bin, in one row: log densities, side, share of its group, its group.
_ROWS = np.column_stack([_TABLE.T, _SIDES, _SHARES[_GROUP], np.eye(len(_SHARES))[_GROUP]])


class Alarm(NamedTuple):
    """stakes `[2, K]`: log of what each bet has become, of `log_e` and of `change`. counts `[G]`:
    the histogram. side `[]`: of the last observation, in [-1, 1]. log_e, highest, change `[]` nats.
    n `[]` int32 observations; within `[2]` int32 of them in each interval."""

    stakes: Array
    counts: Array
    side: Array
    log_e: Array
    highest: Array
    change: Array
    n: Array
    within: Array


class Verdict(NamedTuple):
    """log_e, highest, change: nats, as above. within `[2]`: shares, NaN before there are any. n:
    observations. leading: the bet that has won most (of `BETS`)."""

    log_e: Any
    highest: Any
    change: Any
    within: Any
    n: Any
    leading: Any


def quiet_alarm() -> Alarm:
    """Before anything is observed."""
    zero = jnp.zeros(())
    return Alarm(
        jnp.full((2, len(BETS)), -jnp.inf), jnp.zeros(len(_SHARES)), zero, zero, zero,
        jnp.full((), -jnp.inf), jnp.zeros((), jnp.int32), jnp.zeros(len(INTERVALS), jnp.int32),
    )  # fmt: skip


def bet(alarm: Alarm, place: Array) -> Alarm:
    """After one more observation at `place []`; NaN (there was no prediction) changes nothing."""
    real = alarm.stakes.dtype
    index = jnp.sum(place >= jnp.asarray(_BOUNDS, real), dtype=jnp.int32)
    row = jnp.asarray(_ROWS, real)[index]
    normal, (side, share), own = jnp.split(row, [len(NORMAL), len(NORMAL) + 2])
    seen = jnp.sum(alarm.counts * own) + PSEUDO * share
    learnt = jnp.stack([
        1 + PERSISTENCE * alarm.side * side,
        seen / (jnp.sum(alarm.counts) + PSEUDO) / share,
    ])  # fmt: skip
    odds = jnp.concatenate([normal, jnp.log(learnt)])
    n = (alarm.n + 1).astype(real)
    # The stake on beginning with observation n is 1 / (n (n + 1)), so 1 / (n + 1) is left.
    left = -jnp.log1p(n)
    begins = jnp.stack([left - jnp.log(n), jnp.zeros((), real)]) - float(np.log(len(BETS)))
    stakes = jnp.logaddexp(alarm.stakes, begins[:, None]) + odds[None, :]
    won, change = jax.nn.logsumexp(stakes, axis=1)
    log_e = jnp.logaddexp(won, left)
    inside = jnp.abs(2 * place - 1) < jnp.asarray(INTERVALS, real)
    after = Alarm(
        stakes, KEEP * alarm.counts + own, side, log_e,
        jnp.maximum(alarm.highest, log_e), change, alarm.n + 1,
        alarm.within + inside.astype(jnp.int32),
    )  # fmt: skip
    return jax.tree.map(lambda new, old: jnp.where(jnp.isnan(place), old, new), after, alarm)


def verdict(alarm: Alarm) -> Verdict:
    """What there is to say."""
    leading = jnp.argmax(alarm.stakes[0]).astype(jnp.int32)
    within = alarm.within / alarm.n.astype(alarm.stakes.dtype)
    return Verdict(alarm.log_e, alarm.highest, alarm.change, within, alarm.n, leading)


@jax.jit
def follow(alarm: Alarm, places: Array, weight: Array) -> tuple[Alarm, Verdict]:
    """The alarm after places `[T]`, and the verdicts after each of them `[T, ...]`; an event of
    weight 0 was none."""

    def turn(alarm: Alarm, one: tuple[Array, Array]) -> tuple[Alarm, Verdict]:
        place, weight = one
        alarm = bet(alarm, jnp.where(weight > 0, place, jnp.nan))
        return alarm, verdict(alarm)

    return jax.lax.scan(turn, alarm, (places, weight))


@jax.jit
def follow_all(places: Array) -> Verdict:
    """Verdicts `[N, T, ...]` of runs of places `[N, T]`, each from its beginning."""
    ones = jnp.ones_like(places)
    return jax.vmap(lambda run, weight: follow(quiet_alarm(), run, weight)[1])(places, ones)


def first_at(highest: Any, alpha: float = ALPHA) -> np.ndarray:
    """The number, from 1, of the observation at which `highest [..., T]` first reached 1/alpha;
    0 where it never did."""
    over = np.asarray(highest) >= -np.log(alpha)
    return np.where(over.any(-1), over.argmax(-1) + 1, 0)


__all__ = [
    "ALPHA", "BETS", "Alarm", "Verdict", "bet", "first_at", "follow", "follow_all",
    "quiet_alarm", "verdict",
]  # fmt: skip
