"""Sets of nodes as bits of an integer, and graphs as one set of parents a node.

Bit i of `parents[j]` says that there is an arrow from i to j.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..base import Array

MOST = 30
"""Most nodes that fit an int32 with a sign."""


def count_bits(sets: np.ndarray) -> np.ndarray:
    """Count the members of sets.

    sets: integers of any shape.

    Returns: int64 of the same shape.
    """
    return np.bitwise_count(np.asarray(sets, np.uint32)).astype(np.int64)


def member_table(sets: Array, size: int) -> Array:
    """Spell sets out.

    sets: `[...]` int32.
    size: number of nodes.

    Returns: `[..., size]` int32 of 0 and 1.
    """
    places = jnp.arange(size).reshape((1,) * sets.ndim + (size,))
    return (sets[..., None] >> places) & 1


def reach_back(parents: Array, start: Array, size: int) -> Array:
    """Find all ancestors of a set of nodes.

    parents: `[size]` int32.
    start: `[]` int32, the set.
    size: number of nodes.

    Returns: `[]` int32, the set itself and all from which an arrow leads there.
    """

    def sweep(_: int, reached: Array) -> Array:
        for j in range(size):
            reached = reached | jnp.where((reached >> j) & 1, parents[j], 0)
        return reached

    # A sweep follows one arrow at least; the longest path has size - 1.
    return jax.lax.fori_loop(0, size - 1, sweep, start)


def is_acyclic(parents: Array, size: int) -> Array:
    """Test whether a graph has no cycle.

    parents: `[size]` int32.
    size: number of nodes.

    Returns: `[]` bool.
    """

    def peel(_: int, left: Array) -> Array:
        # A node without parents among those left is on no cycle.
        for j in range(size):
            free = (parents[j] & left) == 0
            left = jnp.where(free, left & ~(1 << j), left)
        return left

    return jax.lax.fori_loop(0, size, peel, jnp.int32((1 << size) - 1)) == 0


def drop_bit(sets: Any, place: int | Array) -> Any:
    """Remove a node's own place from sets of the other nodes.

    sets: int32 without that node.
    place: of the node.

    Returns: int32 over one node fewer.
    """
    low = (1 << place) - 1
    return (sets & low) | ((sets >> 1) & ~low)


@lru_cache(maxsize=32)
def parent_sets(size: int, most: int) -> np.ndarray:
    """List the sets of parents that each node may have.

    size: number of nodes.
    most: largest number of parents.

    Returns: `[size, M]` int32, the empty set first; with no bound of use, in the order of
        `drop_bit`.
    """
    others = np.arange(size - 1)
    if most >= size - 1:
        packed = np.arange(2 ** (size - 1))
    else:
        chosen = [c for k in range(most + 1) for c in combinations(others, k)]
        packed = np.asarray([sum(1 << int(i) for i in c) for c in chosen])
    rows = []
    for j in range(size):
        low = (1 << j) - 1
        rows.append((packed & low) | ((packed & ~low) << 1))
    return np.asarray(rows, np.int32)


@lru_cache(maxsize=32)
def _ranks(size: int, most: int) -> np.ndarray | None:
    """Place of each packed set among the allowed ones, `[2^(size-1)]`; None where it is itself."""
    if most >= size - 1:
        return None
    first = parent_sets(size, most)[size - 1]  # without its own, last, bit these are packed
    ranks = np.zeros(2 ** (size - 1), np.int32)
    ranks[first] = np.arange(len(first))
    return ranks


def rank_parents(parents: Array, size: int, most: int) -> Array:
    """Find the place of each node's parents in `parent_sets`.

    parents: `[size]` int32, at most `most` a node.
    size: number of nodes.
    most: largest number of parents.

    Returns: `[size]` int32.
    """
    packed = drop_bit(parents, jnp.arange(size))
    ranks = _ranks(size, most)
    return packed if ranks is None else jnp.asarray(ranks)[packed]


@lru_cache(maxsize=8)
def list_acyclic(size: int, most: int) -> np.ndarray:
    """List all acyclic graphs, each with at most `most` parents a node.

    size: number of nodes, at most 5.
    most: largest number of parents.

    Returns: `[G, size]` int32.
    """
    sets = parent_sets(size, most)
    grids = np.meshgrid(*sets, indexing="ij")
    graphs = np.stack([g.ravel() for g in grids], 1)
    left = np.full(len(graphs), (1 << size) - 1)
    for _ in range(size):
        for j in range(size):
            free = (graphs[:, j] & left) == 0
            left = np.where(free, left & ~(1 << j), left)
    return graphs[left == 0]
