"""Counts of categorical nodes under every set of parents, and the evidence of each set.

The tables of probabilities are integrated out under Dirichlet priors, so that an event adds to the
evidence of a node and a set of parents the logarithm of a smoothed frequency. A node that an action
has fixed adds nothing to its own.
Source: Heckerman, Geiger and Chickering (1995), BDeu; Cooper and Yoo (1999), interventions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ...base import Array
from ...errors import UsageError
from ...spaces.bits import parent_sets, rank_parents

MOST_CELLS = 20_000_000
"""Most counts kept."""


class Counts(NamedTuple):
    """What events have shown.

    cells: `[N]`, how often a node had each level beside each combination of its parents' levels.
    alone, alone_rest: `[n]`, evidence of each node without parents, nats; what rounding left.
    scores, scores_rest: `[n, M]`, evidence of each set of parents above that of none; the same.
    """

    cells: Array
    alone: Array
    alone_rest: Array
    scores: Array
    scores_rest: Array


def add_exactly(total: Array, rest: Array, more: Array) -> tuple[Array, Array]:
    """Add to a sum that keeps what rounding would lose (Neumaier 1974).

    total, rest: the sum so far is `total + rest`.
    more: what is added.

    Returns: the new total and rest.
    """
    new = total + more
    larger = jnp.abs(total) >= jnp.abs(more)
    lost = jnp.where(larger, (total - new) + more, (more - new) + total)
    return new, rest + lost


@dataclass(frozen=True)
class CountTable:
    """Places of counts, and arithmetic on them.

    levels: number of levels of each node.
    most: largest number of parents.
    equivalent: prior events in all (BDeu: the same for graphs that no watching tells apart); 0 for
        half an event a cell.
    """

    levels: tuple[int, ...]
    most: int
    equivalent: float

    def __post_init__(self) -> None:
        total = int(self._sizes.sum()) * self.widest
        if total > MOST_CELLS:
            raise UsageError(
                f"causal-net would keep {total:.1e} counts, at most {MOST_CELLS:.0e}: lower "
                "parents, the largest number of parents a node"
            )

    @property
    def nodes(self) -> int:
        """Number of nodes, n."""
        return len(self.levels)

    @property
    def widest(self) -> int:
        """Most levels of a node."""
        return max(self.levels)

    @cached_property
    def _sets(self) -> np.ndarray:
        """Whether a node is in a set, `[n, M, n]`."""
        sets = parent_sets(self.nodes, self.most)
        return (sets[:, :, None] >> np.arange(self.nodes)) & 1

    @cached_property
    def _sizes(self) -> np.ndarray:
        """Combinations of the parents' levels, `[n, M]`."""
        return np.where(self._sets == 1, np.asarray(self.levels), 1).prod(2)

    @cached_property
    def strides(self) -> np.ndarray:
        """What a level of each parent adds to the number of a combination, `[n, M, n]`."""
        sizes = np.where(self._sets == 1, np.asarray(self.levels), 1)
        before = np.cumprod(sizes, 2) // sizes
        return np.where(self._sets == 1, before, 0).astype(np.int32)

    @cached_property
    def starts(self) -> np.ndarray:
        """Place of the first cell of each node and set, `[n, M]`."""
        ends = np.cumsum(self._sizes.ravel() * self.widest)
        return (
            (ends - self._sizes.ravel() * self.widest).reshape(self._sizes.shape).astype(np.int32)
        )

    @cached_property
    def prior(self) -> np.ndarray:
        """Prior events in a cell, `[n, M]`."""
        each = np.asarray(self.levels)[:, None] * np.ones_like(self._sizes)
        return (
            self.equivalent / (self._sizes * each) if self.equivalent else np.full(each.shape, 0.5)
        )

    def empty(self) -> Counts:
        """Return the counts of no events."""
        real = jnp.result_type(float)
        one, two = jnp.zeros(self.nodes, real), jnp.zeros(self._sizes.shape, real)
        cells = jnp.zeros(int(self._sizes.sum()) * self.widest, real)
        return Counts(cells, one, one, two, two)

    def add(self, counts: Counts, state: Array, free: Array, weight: Array) -> Counts:
        """Count one event.

        counts: before it.
        state: `[n]` int32, the level of each node.
        free: `[n]` bool, nodes that no action fixed.
        weight: `[]`, how many times it counts; 0 for nothing.
        """
        state = jnp.clip(state, 0, jnp.asarray(self.levels, jnp.int32) - 1)
        first = jnp.asarray(self.starts) + self.widest * jnp.sum(
            jnp.asarray(self.strides) * state[None, None, :], 2
        )
        there = first + state[:, None]
        counted = (free & (weight > 0))[:, None]
        more = jnp.broadcast_to(jnp.where(counted, weight, 0.0), there.shape)
        # Read after they are written: the other way round XLA copies all cells for each event.
        cells = counts.cells.at[there].add(more, unique_indices=True)
        row = -more
        for level in range(self.widest):
            row = row + cells[first + level]
        cell = cells[there] - more
        prior = jnp.asarray(self.prior, cell.dtype)
        whole = prior * jnp.asarray(self.levels, cell.dtype)[:, None]

        def once(_: None) -> Array:
            return jnp.log((cell + prior) / (row + whole))

        def repeated(_: None) -> Array:
            gamma = jax.scipy.special.gammaln
            one = gamma(cell + weight + prior) - gamma(cell + prior)
            return one - (gamma(row + weight + whole) - gamma(row + whole))

        gained = jax.lax.cond(weight == 1, once, repeated, None)
        gained = jnp.where(counted, gained, 0.0)
        alone, alone_rest = add_exactly(counts.alone, counts.alone_rest, gained[:, 0])
        above = gained - gained[:, :1]
        scores, rest = add_exactly(counts.scores, counts.scores_rest, above)
        return Counts(cells, alone, alone_rest, scores, rest)

    def conditional(self, counts: Counts, parents: Array, states: Array) -> Array:
        """Predict each node from the levels of its parents.

        counts: of past events.
        parents: `[n]` int32, sets.
        states: `[K, n]` int32, levels of all nodes.

        Returns: `[n, K]`, probability of each node's level in each state.
        """
        nodes = jnp.arange(self.nodes)
        rank = rank_parents(parents, self.nodes, self.most)
        stride = jnp.asarray(self.strides)[nodes, rank]
        prior = jnp.asarray(self.prior, counts.cells.dtype)[nodes, rank][:, None]
        code = jnp.sum(stride[:, None, :] * states[None], 2)
        first = jnp.asarray(self.starts)[nodes, rank][:, None] + self.widest * code
        row = jnp.zeros((), counts.cells.dtype)
        for level in range(self.widest):
            row = row + counts.cells[first + level]
        cell = counts.cells[first + states.T]
        levels = jnp.asarray(self.levels, cell.dtype)[:, None]
        return (cell + prior) / (row + prior * levels)

    def evidence(self, counts: Counts, parents: Array) -> Array:
        """Compute the log evidence `[]` of a graph, nats.

        counts: of all events.
        parents: `[n]` int32, sets.
        """
        rank = rank_parents(parents, self.nodes, self.most)[:, None]
        above = jnp.take_along_axis(counts.scores, rank, 1)
        rest = jnp.take_along_axis(counts.scores_rest, rank, 1)
        return jnp.sum(above) + jnp.sum(counts.alone) + jnp.sum(rest) + jnp.sum(counts.alone_rest)
