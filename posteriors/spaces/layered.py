"""Sum a product of local scores over all acyclic graphs, and draw graphs from it, exactly.

Every acyclic graph has one ordering into layers: first all nodes without parents, then all whose
parents lie in earlier layers, at least one in the layer just before. A dynamic programme over the
set U of nodes placed so far and its last layer L visits each pair of L and next layer M once, 4^n
steps for n nodes, without a difference of large numbers.

Sums are kept relative to the best parents within U, and to the sum over graphs of U: replacing
either in a graph gives a graph again, so that no graph of more than exp(-80) of the best is lost
to the range of float32.
Source: the layers of Kuipers and Moffa (2015), summed over sets as by Koivisto and Sood (2004).
See also: dags.py for the space, bits.py for the order of parent sets.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..base import Array
from .bits import drop_bit, parent_sets

MOST = 11
"""Most nodes: 4^11 numbers are 17 MB."""
SHORT = 32
"""Weights up to which a product with a triangle is the faster way to sum them up."""
UNROLLED = 5
"""Nodes up to which the layers of a draw are unrolled: a loop takes longer than they do."""
NEVER = -1e30
"""Log score of parents that are not allowed."""


class LayerSums(NamedTuple):
    """Sums over graphs.

    log_evidence: `[]`, the log of the sum over all graphs.
    scores: `[n, 2^(n-1)]`, log scores of all parent sets, the best of a node 0.
    last: `[2^n]`, probability that a set is the last layer.
    joint: `[4^n]`, for each U, last layer L within it and next layer M: weights of L, for given U
        and M up to a factor.
    """

    log_evidence: Array
    scores: Array
    last: Array
    joint: Array


class Level(NamedTuple):
    """Where numbers of all sets U of one size k lie; C is their number.

    sources: `[C, 2^k]`, place of each last layer among the results of the levels before.
    pairs: `[C, 2^k, n-k]`, place of (node outside, U, L) among the sums over parent sets.
    best: `[C, n-k]`, place of (node outside, U) among the best scores.
    """

    sources: np.ndarray
    pairs: np.ndarray
    best: np.ndarray


@lru_cache(maxsize=16)
def _levels(size: int) -> tuple[tuple[Level, ...], np.ndarray]:
    """All levels, and for each U the place of its first number among the joint weights."""
    outer = 2 ** (size - 1)
    starts = np.zeros(2**size, np.int64)
    places = np.zeros((2**size, 2**size), np.int64)
    levels, begun, joint = [], 1, 0
    for k in range(size + 1):
        sets = [sum(1 << i for i in c) for c in combinations(range(size), k)]
        sources = np.zeros((len(sets), 2**k), np.int64)
        pairs = np.zeros((len(sets), 2**k, size - k), np.int64)
        best = np.zeros((len(sets), size - k), np.int64)
        for row, whole in enumerate(sets):
            inner = _subsets(whole, size)
            sources[row, 1:] = places[whole, inner[1:]]
            others = [j for j in range(size) if not whole >> j & 1]
            for column, j in enumerate(others):
                u, last = drop_bit(np.int64(whole), j), drop_bit(inner, j)
                code = _ternary(u, size - 1) + _ternary(last, size - 1)
                pairs[row, :, column] = j * 3 ** (size - 1) + code
                best[row, column] = j * outer + u
            following = _subsets((2**size - 1) & ~whole, size)
            places[whole | following, following] = begun + np.arange(len(following))
            begun += len(following)
            starts[whole] = joint
            joint += 2**size
        levels.append(Level(sources, pairs, best))
    return tuple(levels), starts


def _subsets(whole: int, size: int) -> np.ndarray:
    """All subsets of a set, by the bits that pick its members in order, `[2^k]`."""
    members = [1 << i for i in range(size) if whole >> i & 1]
    found = np.zeros(1, np.int64)
    for member in members:
        found = np.concatenate([found, found | member])
    return found


def _ternary(sets: Any, size: int) -> Any:
    """The bits of sets as digits of base 3."""
    return sum((((np.asarray(sets) >> i) & 1) * 3**i for i in range(size)), np.int64(0))


@lru_cache(maxsize=64)
def _shares(done: int) -> np.ndarray:
    """The set U, `[3^done]`, of each pair of U and L."""
    codes = np.arange(3**done)
    return sum(((codes // 3**i) % 3 > 0) * 2**i for i in range(done)) + np.zeros(3**done, int)


def _parent_sums(scores: Array, size: int) -> tuple[Array, Array, Array]:
    """Sums over parents within U that meet L, `[n, 3^(n-1)]`, over exp(best); best `[n, 2^(n-1)]`.

    First of all that of no parents, `[n]`, which is 1 and has a gradient.

    One node after another leaves the index of the parent set and enters those of U and L: outside
    U, in U but not in L, or in L.
    """
    best = jax.lax.stop_gradient(scores).reshape(size, 1, -1)
    # Ones, by way of which the gradient reaches the scores.
    miss = jnp.exp(scores.reshape(size, 1, -1) - best)
    hit = jnp.zeros_like(best)
    for done in range(size - 1):
        rest = 2 ** (size - 2 - done)
        best = best.reshape(size, 2**done, 2, rest)
        miss = miss.reshape(size, 3**done, 2, rest)
        hit = hit.reshape(size, 3**done, 2, rest)
        without, within = best[:, :, 0], best[:, :, 1]
        higher = jnp.maximum(without, within)
        spread = _shares(done)
        keep, join = jnp.exp(without - higher)[:, spread], jnp.exp(within - higher)[:, spread]
        old_miss, old_hit = keep * miss[:, :, 0], keep * hit[:, :, 0]
        new_miss, new_hit = join * miss[:, :, 1], join * hit[:, :, 1]
        both = old_hit + new_hit
        miss = jnp.stack([miss[:, :, 0], old_miss + new_miss, old_miss], 2)
        hit = jnp.stack([hit[:, :, 0], both, both + new_miss], 2)
        best = jnp.stack([without, higher], 2)
    return miss.reshape(size, -1)[:, 0], hit.reshape(size, -1), best.reshape(size, -1)


def sum_layers(scores: Array) -> LayerSums:
    """Sum over all graphs.

    scores: `[n, 2^(n-1)]`, log score of each node's parent sets, as `bits.drop_bit` orders them;
        `NEVER` where not allowed.

    Returns: the sums; `log_evidence` has the right gradient, the probabilities of parent sets.
    """
    size = scores.shape[0]
    top = jax.lax.stop_gradient(jnp.max(scores, 1))
    scores = scores - top[:, None]
    # The gradient flows through the sums alone: they do not depend on what they are relative to.
    alone, sums, best = _parent_sums(scores, size)
    levels, _ = _levels(size)
    flat_sums, flat_best = sums.ravel(), best.ravel()
    results = [jnp.full(1, NEVER, scores.dtype)]
    joints = []
    total = jnp.zeros(1, scores.dtype)
    share = jnp.ones((1, 1), scores.dtype)
    for k, level in enumerate(levels):
        if k:
            logs = jnp.concatenate(results)[level.sources]
            high = jax.lax.stop_gradient(jnp.max(logs, 1, keepdims=True))
            share = jnp.exp(logs - high)
            mass = jnp.sum(share, 1, keepdims=True)
            share = share / mass
            total = (high + jnp.log(mass))[:, 0]
        weights = share[:, :, None]
        each = flat_sums[level.pairs] if k else alone[None, None, :]
        high = flat_best[level.best]
        sizes = total[:, None]
        for i in range(size - k):
            weights = jnp.concatenate([weights, weights * each[:, :, i, None]], 2)
            sizes = jnp.concatenate([sizes, sizes + high[:, i, None]], 1)
        joints.append(weights.ravel())
        mass = jnp.maximum(jnp.sum(weights, 1), jnp.finfo(scores.dtype).tiny)
        results.append((jnp.log(mass) + sizes).ravel())
    return LayerSums(total[0] + jnp.sum(top), scores, share[0], jnp.concatenate(joints))


def draw_layers(key: Array, sums: LayerSums, count: int) -> Array:
    """Draw graphs independently, each with its exact probability.

    key: for the draws.
    sums: from `sum_layers`.
    count: number of draws.

    Returns: `[count, n]` int32 sets of parents.
    """
    size = sums.scores.shape[0]
    starts = jnp.asarray(_levels(size)[1], jnp.int32)
    uniforms = jax.random.uniform(key, (2 * size, count))
    every = jnp.arange(2**size, dtype=jnp.int32)
    nodes = jnp.arange(size, dtype=jnp.int32)

    first = _invert(jnp.broadcast_to(sums.last, (count, 2**size)), uniforms[0])
    full = jnp.full(count, 2**size - 1, jnp.int32)

    def back(step: Array, carry: tuple[Array, ...]) -> tuple[Array, ...]:
        whole, layer, allowed, needed = carry
        before = whole & ~layer
        inner = _pack(layer, ~before, size)
        width = 1 << _count(~before, size)
        picks = every[None, :] < (1 << _count(before, size))[:, None]
        place = starts[before][:, None] + every[None, :] * width[:, None] + inner[:, None]
        weights = jnp.where(picks, sums.joint[jnp.where(picks, place, 0)], 0.0)
        last = _unpack(_invert(weights, uniforms[1 + step]), before, size)
        inside = ((layer[:, None] >> nodes[None, :]) & 1) == 1
        allowed = jnp.where(inside, before[:, None], allowed)
        needed = jnp.where(inside, last[:, None], needed)
        return before, last, allowed, needed

    blank = jnp.zeros((count, size), jnp.int32)
    # Of n nodes at most n layers; those before the first are empty and draw nothing.
    begun = full, first, blank, blank
    _, _, allowed, needed = jax.lax.fori_loop(0, size, back, begun, unroll=size <= UNROLLED)
    sets = jnp.asarray(parent_sets(size, size - 1))[None]
    fits = (sets & ~allowed[:, :, None]) == 0
    meets = ((sets & needed[:, :, None]) != 0) | (needed[:, :, None] == 0)
    logs = jnp.where(fits & meets, sums.scores[None], NEVER)
    weights = jnp.exp(logs - jnp.max(logs, 2, keepdims=True))
    chosen = _invert(weights, uniforms[size:].T)
    return jnp.take_along_axis(jnp.broadcast_to(sets, weights.shape), chosen[:, :, None], 2)[..., 0]


def _invert(weights: Array, uniforms: Array) -> Array:
    """Index along the last axis drawn in proportion to weights, by one uniform each."""
    length = weights.shape[-1]
    if length <= SHORT:
        edges = weights @ jnp.triu(jnp.ones((length, length), weights.dtype))
    else:
        edges = jnp.cumsum(weights, -1)
    # Never one of no weight: a uniform may be 0, and the last edge is not quite the sum.
    at = jnp.maximum(uniforms, jnp.finfo(weights.dtype).tiny)[..., None] * edges[..., -1:]
    return jnp.minimum(jnp.sum(edges < at, -1, dtype=jnp.int32), length - 1)


def _count(sets: Array, size: int) -> Array:
    """Number of members among the first `size` nodes."""
    return jax.lax.population_count(sets & (2**size - 1))


def _pack(sets: Array, within: Array, size: int) -> Array:
    """The bits of sets at the members of others, moved together."""
    packed, place = jnp.zeros_like(sets), jnp.zeros_like(sets)
    for i in range(size):
        inside = (within >> i) & 1
        packed = packed | ((((sets >> i) & 1) & inside) << place)
        place = place + inside
    return packed


def _unpack(packed: Array, within: Array, size: int) -> Array:
    """Undo `_pack`."""
    sets, place = jnp.zeros_like(packed), jnp.zeros_like(packed)
    for i in range(size):
        inside = (within >> i) & 1
        sets = sets | ((((packed >> place) & 1) & inside) << i)
        place = place + inside
    return sets
