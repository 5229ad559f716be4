"""Ranks of the truth among draws of a belief, and whether they are as even as they should be.

If a belief is the posterior, the truth is one more draw from it: its rank among L draws is any of
0..L, all alike. So is the rank of any function of unknowns and data, such as the log likelihood,
which notices a belief that ignores the data. Not here: whose beliefs (calibration.py).
Sources: Talts, Betancourt, Simpson, Vehtari and Gelman (2018); Modrák et al. (2023) for functions
of the data; Säilynoja, Bürkner and Vehtari (2022) for what rank histograms tell.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import gammaincc

from ...posteriors.base import Array, Draws

NOTICEABLE = 4.0
"""Standard errors from which a shape is called by its name."""


class Verdict(NamedTuple):
    """What the ranks of one quantity say.

    counts `[k]` runs a bin. p: chance of counts as uneven as these if all ranks are alike. off:
    how far the mean rank is above the middle, and wide: the mean squared distance from the middle
    above its expectation, both in standard errors.
    """

    counts: np.ndarray
    p: float
    off: float
    wide: float

    def shape(self, likelihood: bool = False) -> str:
        """How the ranks are uneven, in a word or two; "" where nothing stands out.

        likelihood: whether these are ranks of a log likelihood, whose low draws fit the data less
        well than the truth does.
        """
        if max(abs(self.off), abs(self.wide)) < NOTICEABLE:
            return ""
        if likelihood and abs(self.off) >= NOTICEABLE:
            return "learns too little" if self.off > 0 else "fits too closely"
        if abs(self.off) > abs(self.wide):
            return "draws too low" if self.off > 0 else "draws too high"
        return "too sure" if self.wide > 0 else "too unsure"


def ranked(key: Array, truth: Array, draws: Array) -> Array:
    """Rank `[Q]` int32 of `truth [Q]` among `draws [L, Q]`: how many are below it.

    Equal ones count as below as often as a fair choice among all places says. What is no number
    is below everything.
    """
    low = jnp.finfo(draws.dtype).min
    clean = jnp.where(jnp.isnan(draws), low, jnp.maximum(draws, low))
    own = jnp.where(jnp.isnan(truth), low, jnp.maximum(truth, low))
    below = jnp.sum(clean < own[None, :], axis=0)
    ties = jnp.sum(clean == own[None, :], axis=0)
    return (below + jax.random.randint(key, own.shape, 0, ties + 1)).astype(jnp.int32)


def taken(key: Array, draws: Draws, count: int, distinct: bool) -> Array:
    """`count` draws `[count, D]` of a belief, none of them another's neighbour in any order.

    With replacement, by weight. distinct: without, where all weigh the same (chains, members): a
    chain that is counted twice would be one draw less than it seems.
    """
    size = draws.values.shape[0]
    pick_key, shuffle_key = jax.random.split(key)
    picked = jax.random.categorical(pick_key, draws.log_weights, shape=(count,))
    if distinct and size >= count:
        shuffled = jax.random.permutation(shuffle_key, size)[:count]
        heaviest, lightest = jnp.max(draws.log_weights), jnp.min(draws.log_weights)
        picked = jnp.where(heaviest - lightest < 1e-4, shuffled, picked)
    return draws.values[picked]


def verdict(ranks: np.ndarray, draws: int, bins: int) -> Verdict:
    """What ranks `[N]`, each in 0..draws, say in `bins` equal bins, whose number divides draws + 1.

    p is Pearson's, whose chi-square is close from five expected runs a bin on.
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
    return Verdict(counts, p, float(off), float(wide))
