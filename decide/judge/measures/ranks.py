"""Ranks of the truth among draws of a belief, and a test of whether they are uniform.

If a belief is the posterior, the truth is one more draw from it: its rank among L draws is uniform
on 0..L. So is the rank of any function of unknowns and data, such as the log likelihood, which
detects a belief that ignores the data.
Sources: Talts, Betancourt, Simpson, Vehtari and Gelman (2018); Modrák et al. (2023) for functions
of the data; Säilynoja, Bürkner and Vehtari (2022) for the shapes of rank histograms.

See also: rank_runs.py for the beliefs.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import gammaincc

from ....posteriors.base import Array, Draws

NOTICEABLE = 4.0
"""Standard errors from which a shape is called by its name."""


class RankVerdict(NamedTuple):
    """Test of the ranks of one quantity."""

    counts: np.ndarray
    """Runs a bin, `[k]`."""
    p: float
    """Probability of counts as uneven as these if ranks are uniform."""
    off: float
    """Mean rank above the middle, in standard errors."""
    wide: float
    """Mean squared distance from the middle above its expectation, in standard errors."""

    def shape(self, likelihood: bool = False) -> str:
        """Describe how the ranks deviate, in a word or two.

        likelihood: whether these are ranks of a log likelihood, whose low draws fit the data less
            well than the truth does.
        Returns: the description, empty if nothing stands out.
        """
        if max(abs(self.off), abs(self.wide)) < NOTICEABLE:
            return ""
        if likelihood and abs(self.off) >= NOTICEABLE:
            return "learns too little" if self.off > 0 else "fits too closely"
        if abs(self.off) > abs(self.wide):
            return "draws too low" if self.off > 0 else "draws too high"
        return "too sure" if self.wide > 0 else "too unsure"


def rank_truth(key: Array, truth: Array, draws: Array) -> Array:
    """Rank the truth among draws; equal draws count as below with equal chances of all places.

    key: random key for ties.
    truth: `[Q]`.
    draws: `[L, Q]`; NaN is below everything.
    Returns: `[Q]` int32, number of draws below the truth.
    """
    low = jnp.finfo(draws.dtype).min
    clean = jnp.where(jnp.isnan(draws), low, jnp.maximum(draws, low))
    own = jnp.where(jnp.isnan(truth), low, jnp.maximum(truth, low))
    below = jnp.sum(clean < own[None, :], axis=0)
    ties = jnp.sum(clean == own[None, :], axis=0)
    return (below + jax.random.randint(key, own.shape, 0, ties + 1)).astype(jnp.int32)


def take_draws(key: Array, draws: Draws, count: int, distinct: bool) -> Array:
    """Take draws from a belief by weight, in random order.

    key: random key.
    draws: the belief.
    count: number of draws to take.
    distinct: whether to take them without replacement if all weigh the same (chains, members): a
        chain counted twice would be one draw less than it seems.
    Returns: `[count, D]`.
    """
    size = draws.values.shape[0]
    pick_key, shuffle_key = jax.random.split(key)
    picked = jax.random.categorical(pick_key, draws.log_weights, shape=(count,))
    if distinct and size >= count:
        shuffled = jax.random.permutation(shuffle_key, size)[:count]
        heaviest, lightest = jnp.max(draws.log_weights), jnp.min(draws.log_weights)
        picked = jnp.where(heaviest - lightest < 1e-4, shuffled, picked)
    return draws.values[picked]


def judge_ranks(ranks: np.ndarray, draws: int, bins: int) -> RankVerdict:
    """Test whether ranks are uniform, by Pearson's chi-square on equal bins.

    The chi-square approximation is close from five expected runs a bin on.

    ranks: `[N]`, each in 0..draws.
    draws: L.
    bins: their number divides draws + 1.
    Returns: counts, p-value, and two deviations in standard errors.
    """
    places = draws + 1
    counts = np.bincount(ranks * bins // places, minlength=bins)
    runs = len(ranks)
    expected = runs / bins
    statistic = float(np.square(counts - expected).sum() / expected)
    p = float(gammaincc((bins - 1) / 2, statistic / 2))
    every = np.arange(places) - draws / 2
    apart = np.asarray(ranks, float) - draws / 2
    square = np.square(every)
    off = apart.mean() / np.sqrt(square.mean() / runs)
    wide = (np.square(apart).mean() - square.mean()) / (square.std() / np.sqrt(runs))
    return RankVerdict(counts, p, float(off), float(wide))
