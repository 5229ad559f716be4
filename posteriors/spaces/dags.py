"""The space of acyclic graphs: an object is one set of parents a node, as bits of an integer.

Neighbours differ by one arrow, added, removed or turned round. A graph is built from no arrows by
adding one at a time, in any order.
See also: layered.py for exact sums, layer_sizes.py for draws of the prior, bits.py for sets.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..base import Array
from ..errors import UsageError
from .base import Space
from .bits import (
    MOST,
    count_bits,
    is_acyclic,
    list_acyclic,
    member_table,
    parent_sets,
    rank_parents,
    reach_back,
)
from .layer_sizes import draw_sizes, layer_sizes
from .layered import MOST as MOST_SUMMED
from .layered import NEVER, LayerSums, draw_layers, sum_layers

LISTED = 5
"""Most nodes of which all graphs are listed: 29 281."""


class DAGs(Space):
    """Acyclic graphs of some nodes, all equally likely, or by Erdős and Rényi.

    nodes: number of nodes.
    parents: largest number of parents a node; None for no bound.
    arrows: expected number of arrows a node if the graph need not be acyclic; None: all acyclic
        graphs are equally likely.
    """

    def __init__(self, nodes: int, parents: int | None = None, arrows: float | None = None) -> None:
        most = nodes - 1 if parents is None else parents
        if not 1 <= nodes <= MOST:
            raise UsageError(f"nodes={nodes}: must be 1 to {MOST}")
        if not 0 <= most <= nodes - 1:
            raise UsageError(f"parents={parents}: must be 0 to {nodes - 1}, one fewer than nodes")
        if most < nodes - 1 and nodes > 21:
            raise UsageError(f"nodes={nodes}: with a bound on parents at most 21")
        if arrows is not None and not 0 < arrows < nodes - 1:
            raise UsageError(
                f"arrows={arrows:g}: must lie between 0 and {nodes - 1}, the number of other nodes"
            )
        self.nodes, self.most, self.arrows = nodes, most, arrows
        share = None if arrows is None else arrows / (nodes - 1)
        self.odds = 1.0 if share is None else share / (1 - share)
        self.sizes = layer_sizes(nodes, most, self.odds)
        super().__init__(nodes, 0, 2**nodes - 1)

    def sample(self, key: Any, sample_shape: tuple[int, ...] = ()) -> Array:
        return draw_sizes(key, self.sizes, self.nodes)

    def log_prob(self, value: Any, intermediates: Any = None) -> Array:
        value = value.astype(jnp.int32)
        counts = jax.lax.population_count(value)
        own = jnp.any((value >> jnp.arange(self.nodes)) & 1 == 1)
        legal = is_acyclic(value, self.nodes) & jnp.all(counts <= self.most) & ~own
        log = math.log(self.odds) * jnp.sum(counts).astype(jnp.result_type(float))
        return jnp.where(legal, log - self.sizes.log_total, -jnp.inf)

    def list_objects(self, limit: int) -> tuple[np.ndarray, np.ndarray] | None:
        if self.nodes > LISTED:
            return None
        graphs = list_acyclic(self.nodes, self.most)
        if len(graphs) > limit:
            return None
        logs = math.log(self.odds) * count_bits(graphs).sum(1) - self.sizes.log_total
        return graphs.astype(np.int32), logs

    def propose(self, key: Array, value: Array) -> tuple[Array, Array]:
        """Add, remove or turn round one arrow; stay where that would not give a legal graph.

        Of all ordered pairs and two kinds of move each is as likely as any other, and each undoes
        itself or the same move of the pair the other way round: the ratio is 1.
        """
        ways = self.nodes * (self.nodes - 1)
        if not ways:
            return value, jnp.zeros(())
        chosen = jax.random.randint(key, (), 0, 2 * ways)
        turn, pair = chosen >= ways, chosen % ways
        source = pair // (self.nodes - 1)
        target = pair % (self.nodes - 1)
        target = target + (target >= source)
        nodes = jnp.arange(self.nodes)
        here, there = 1 << source, 1 << target
        present = (value[target] >> source) & 1 == 1
        toggled = jnp.where(nodes == target, value ^ here, value)
        turned = jnp.where(nodes == target, value & ~here, value)
        turned = jnp.where(nodes == source, turned | there, turned)
        proposal = jnp.where(turn, turned, toggled)
        # A new arrow from a to b makes a cycle if b is an ancestor of a without it.
        tail, head = jnp.where(turn, target, source), jnp.where(turn, source, target)
        bare = jnp.where(nodes == head, proposal & ~(1 << tail), proposal)
        cyclic = (reach_back(bare, 1 << tail, self.nodes) >> head) & 1 == 1
        full = jax.lax.population_count(proposal[head]) > self.most
        removes = ~turn & present
        legal = removes | (~cyclic & ~full & jnp.where(turn, present, True))
        return jnp.where(legal, proposal, value).astype(value.dtype), jnp.zeros(())

    def start(self) -> Array:
        return jnp.zeros(self.nodes, jnp.int32)

    def steps(self, partial: Array) -> Array:
        """A step a pair of nodes, the arrow's source first: add that arrow."""
        ancestors = jax.vmap(lambda s: reach_back(partial, s, self.nodes))(
            1 << jnp.arange(self.nodes, dtype=jnp.int32)
        )
        # Row i, column j: whether j is an ancestor of i, or i itself.
        cycle = member_table(ancestors, self.nodes) == 1
        present = member_table(partial, self.nodes).T == 1
        full = jax.lax.population_count(partial) >= self.most
        return (~cycle & ~present & ~full[None, :]).ravel()

    def extend(self, partial: Array, step: Array) -> Array:
        source, target = step // self.nodes, step % self.nodes
        return jnp.where(jnp.arange(self.nodes) == target, partial | (1 << source), partial)

    def undo(self, partial: Array) -> Array:
        return (member_table(partial, self.nodes).T == 1).ravel()

    def add_local(self, scores: Array, value: Array) -> Array:
        rank = rank_parents(value, self.nodes, self.most)[:, None]
        return jnp.sum(jnp.take_along_axis(scores, rank, 1))

    def sum_local(self, scores: Array) -> LayerSums:
        """Sum over all graphs by layers.

        scores: `[n, M]`, log score of each node's sets of parents, in the order of
            `bits.parent_sets`.

        Raises: UsageError above 11 nodes.
        """
        if self.nodes > MOST_SUMMED:
            raise UsageError(
                f"graphs are summed exactly up to {MOST_SUMMED} nodes, not {self.nodes}: use "
                "posterior mcmc or smc"
            )
        sets = parent_sets(self.nodes, self.most)
        weighted = scores + math.log(self.odds) * jnp.asarray(count_bits(sets[:1]), scores.dtype)
        if self.most < self.nodes - 1:
            packed = sets[-1]
            full = jnp.full((self.nodes, 2 ** (self.nodes - 1)), NEVER, scores.dtype)
            weighted = full.at[:, packed].set(weighted)
        sums = sum_layers(weighted)
        return sums._replace(log_evidence=sums.log_evidence - self.sizes.log_total)

    def draw_local(self, key: Array, sums: LayerSums, count: int) -> Array:
        return draw_layers(key, sums, count)
