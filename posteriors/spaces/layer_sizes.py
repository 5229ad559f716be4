"""Draw acyclic graphs from a prior that treats all nodes alike, however many there are.

Such a prior weighs a set of parents by its size only, so that sizes of layers say all: how many
graphs there are of n nodes with k in the last layer follows from those of n - k nodes.
Source: Kuipers and Moffa (2015), uniform random generation of large acyclic digraphs.
See also: layered.py, where the layers are explained and weights differ between nodes.
"""

from __future__ import annotations

from functools import lru_cache
from math import comb
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..base import Array


class Sizes(NamedTuple):
    """Weights of layer sizes and of numbers of parents.

    log_total: the log of the sum of weights over all graphs.
    last: `[n+1]`, probability of the size of the last layer.
    before: `[n+1, n+1, n+1]`, of the layer before one of k among m nodes: index m, k.
    parents: `[n+1, n+1, (n+1)^2]`, of the numbers of parents in the layer before and in earlier
        ones, of a node after m nodes of which k are in the layer before: index m, k.
    """

    log_total: float
    last: np.ndarray
    before: np.ndarray
    parents: np.ndarray


@lru_cache(maxsize=32)
def layer_sizes(size: int, most: int, odds: float) -> Sizes:
    """Tabulate the weights.

    size: n, number of nodes.
    most: largest number of parents.
    odds: weight of each arrow.
    """
    span = size + 1
    parents = np.zeros((span, span, span, span))
    for m in range(1, span):
        for k in range(1, m + 1):
            for a in range(1, min(k, most) + 1):
                for b in range(min(m - k, most - a) + 1):
                    parents[m, k, a, b] = comb(k, a) * comb(m - k, b) * odds ** (a + b)
    ways = parents.sum((2, 3))
    counts, before = np.zeros((span, span)), np.zeros((span, span, span))
    for m in range(1, span):
        counts[m, m] = 1.0
        for k in range(1, m):
            before[m, k] = counts[m - k] * ways[m - k] ** k
            counts[m, k] = comb(m, k) * before[m, k].sum()
    total = counts[size].sum()
    return Sizes(
        float(np.log(total)),
        counts[size] / total,
        before / np.maximum(before.sum(2, keepdims=True), np.finfo(float).tiny),
        parents.reshape(span, span, -1),
    )


def draw_sizes(key: Array, sizes: Sizes, size: int) -> Array:
    """Draw one graph.

    key: for the draw.
    sizes: from `layer_sizes`.
    size: n, number of nodes.

    Returns: `[n]` int32, the set of parents of each node.
    """
    span = size + 1
    order_key, size_key, number_key, member_key = jax.random.split(key, 4)
    spots = jnp.arange(size)
    uniforms = jax.random.uniform(size_key, (size + 1,))
    last = _pick(jnp.asarray(sizes.last), uniforms[0])

    def back(step: Array, carry: tuple[Array, ...]) -> tuple[Array, ...]:
        left, layer, earlier, previous = carry
        table = jnp.asarray(sizes.before)[left, layer]
        more = (left > layer) & (layer > 0)
        chosen = jnp.where(more, _pick(table, uniforms[1 + step]), 0)
        inside = (spots >= left - layer) & (spots < left)
        earlier = jnp.where(inside, left - layer, earlier)
        previous = jnp.where(inside, chosen, previous)
        return left - layer, chosen, earlier, previous

    blank = jnp.zeros(size, jnp.int32)
    start = (jnp.int32(size), last, blank, blank)
    _, _, earlier, previous = jax.lax.fori_loop(0, size, back, start)

    weights = jnp.asarray(sizes.parents)[earlier, previous]
    both = _pick(weights, jax.random.uniform(number_key, (size,)))
    near, far = both // span, both % span
    scores = jax.random.uniform(member_key, (size, size))
    inner = spots[None, :] >= (earlier - previous)[:, None]
    outer = spots[None, :] < earlier[:, None]

    def lowest(eligible: Array, wanted: Array) -> Array:
        ranked = jnp.where(eligible, scores, 2.0)
        place = jnp.sum(ranked[:, None, :] < ranked[:, :, None], 2)
        return eligible & (place < wanted[:, None])

    chosen = lowest(inner & outer, near) | lowest(~inner & outer, far)
    order = jax.random.permutation(order_key, size)
    sets = jnp.sum(jnp.where(chosen, 1 << order[None, :], 0), 1).astype(jnp.int32)
    return jnp.zeros(size, jnp.int32).at[order].set(sets)


def _pick(weights: Array, uniforms: Array) -> Array:
    """Index along the last axis in proportion to weights; 0 where all are 0."""
    edges = jnp.cumsum(weights, -1)
    tiny = jnp.finfo(edges.dtype).tiny
    at = jnp.maximum(uniforms, tiny)[..., None] * edges[..., -1:]
    return jnp.sum(edges < at, -1, dtype=jnp.int32)
