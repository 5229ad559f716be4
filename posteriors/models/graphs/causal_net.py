"""Causal graph of categorical nodes, learnt from watching and from fixing nodes.

All acyclic graphs are hypotheses; the probabilities within each are integrated out, so that events
enter through counts. Fixing a node cuts it off from its causes, which tells causes from effects
where watching cannot.
Source: Heckerman, Geiger and Chickering (1995), BDeu; Pearl (2000), interventions.
See also: dirichlet_counts.py for the evidence, ../../spaces/dags.py for the graphs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import jax.numpy as jnp
import numpy as np

from ...base import Arms, Array, Distribution, Event, Model, Params, dist
from ...errors import UsageError
from ...spaces.dags import DAGs
from .dirichlet_counts import Counts, CountTable
from .net_outcome import NetOutcome

TABLED = 4096
"""States of all nodes up to which an observation is the number of a state."""
SCORES = ("bdeu", "half")


@lru_cache(maxsize=32)
def _table(levels: tuple[int, ...], most: int, equivalent: float) -> CountTable:
    return CountTable(levels, most, equivalent)


@lru_cache(maxsize=32)
def _space(nodes: int, parents: int | None, arrows: float | None) -> DAGs:
    return DAGs(nodes, parents, arrows)


@dataclass(frozen=True)
class CausalNet(Model):
    """Action 0 watches; the others fix node 0 at level 0, at level 1, ..., node 1 at level 0, ...

    The observation is the number of the nodes' levels, the last node's changing fastest (5 binary
    nodes: 0 to 31); above 4096 states it is the list of levels.

    nodes: number of nodes.
    levels: levels of every node, or one number a node, `3,2,2`.
    parents: largest number of parents a node; 0 for no bound.
    arrows: expected arrows a node, by Erdős and Rényi; 0: all acyclic graphs are equally likely.
    score: "bdeu", or "half" for half a prior event a cell (Jeffreys).
    equivalent: prior events in all, of BDeu.
    fix: whether nodes can be fixed; without it the only action is to watch.
    """

    nodes: int = 5
    levels: tuple[int, ...] = (2,)
    parents: int = 0
    arrows: float = 0.0
    score: str = "bdeu"
    equivalent: float = 1.0
    fix: bool = True

    def __post_init__(self) -> None:
        if self.score not in SCORES:
            raise UsageError(f"causal-net: score={self.score!r}: choose one of {', '.join(SCORES)}")
        if self.equivalent <= 0:
            raise UsageError(f"causal-net: equivalent={self.equivalent}: must be above 0")
        if len(self.levels) not in (1, self.nodes):
            raise UsageError(
                f"causal-net: levels={self.levels}: {len(self.levels)} numbers for "
                f"{self.nodes} nodes"
            )
        if any(not isinstance(k, int) or k < 2 for k in self.all_levels):
            raise UsageError(f"causal-net: levels={self.levels}: whole numbers of at least 2")
        try:
            assert self.space.nodes == self.table.nodes
        except UsageError as error:
            raise UsageError(f"causal-net: {error}") from error

    @property
    def all_levels(self) -> tuple[int, ...]:
        """Levels of each node."""
        return self.levels if len(self.levels) == self.nodes else self.levels * self.nodes

    @property
    def space(self) -> DAGs:
        """The graphs."""
        return _space(self.nodes, self.parents or None, self.arrows or None)

    @property
    def table(self) -> CountTable:
        """The arithmetic of counts."""
        equivalent = self.equivalent if self.score == "bdeu" else 0.0
        return _table(self.all_levels, self.space.most, equivalent)

    @property
    def actions(self) -> Arms:
        return Arms(1 + sum(self.all_levels) if self.fix else 1)

    @property
    def tabled(self) -> bool:
        """Whether an observation is the number of a state."""
        return float(np.prod(np.asarray(self.all_levels, float))) <= TABLED

    def prior(self) -> dict[str, Distribution]:
        return {"graph": self.space}

    def forced(self, action: Array) -> Array:
        """Return the level at which an action holds each node, `[n]` int32, -1 for none.

        action: `[1]`.
        """
        fixes = np.full((1 + sum(self.all_levels), self.nodes), -1, np.int32)
        row = 1
        for node, levels in enumerate(self.all_levels):
            for level in range(levels):
                fixes[row, node] = level
                row += 1
        return jnp.asarray(fixes)[action[0].astype(jnp.int32)]

    def spell(self, observation: Array) -> Array:
        """Return the level of each node, `[n]` int32.

        observation: the number of a state `[]`, or the levels `[n]`.
        """
        if not self.tabled:
            return observation.astype(jnp.int32)
        levels = jnp.asarray(self.all_levels)
        return (observation.astype(jnp.int32) // jnp.asarray(self._widths)) % levels

    def join(self, levels: Array) -> Array:
        """Undo `spell`: return an observation.

        levels: of each node, `[n]` int32.
        """
        real = levels.astype(jnp.result_type(float))
        return jnp.dot(real, jnp.asarray(self._widths, real.dtype)) if self.tabled else real

    @property
    def _widths(self) -> np.ndarray:
        """What a level of each node adds to the number of a state."""
        levels = np.asarray(self.all_levels)
        return np.cumprod(levels[::-1])[::-1] // levels

    def init_stats(self) -> Counts:
        return self.table.empty()

    def update_stats(self, stats: Counts, event: Event) -> Counts:
        """Count one event.

        stats: counts of past events.
        event: weight 0 leaves the counts alone.
        """
        free = self.forced(event.action) < 0
        return self.table.add(stats, self.spell(event.observation), free, event.weight)

    def predict(self, params: Params, stats: Counts, action: Array) -> Distribution:
        """Predict the levels of all nodes.

        params: `graph [n]`, sets of parents.
        stats: counts of past events.
        action: `[1]`.
        """
        graph, forced = params["graph"], self.forced(action)

        def conditional(states: Array) -> Array:
            return self.table.conditional(stats, graph, states)

        if not self.tabled:
            return NetOutcome(self.all_levels, conditional, forced)
        states = _states(self.all_levels)
        each = conditional(jnp.asarray(states))
        held = (jnp.asarray(states.T) == forced[:, None]).astype(each.dtype)
        return dist.CategoricalProbs(jnp.prod(jnp.where(forced[:, None] >= 0, held, each), 0))

    def log_marginal(self, params: Params, stats: Counts) -> Array:
        """Return the log evidence of a graph, `[]` nats.

        params: `graph [n]`.
        stats: counts of all events.
        """
        return self.table.evidence(stats, params["graph"])

    def local_scores(self, stats: Counts) -> Array:
        """Return the evidence of every set of parents above that of none, `[n, M]` nats.

        stats: counts of all events.
        """
        return stats.scores + stats.scores_rest

    def common_evidence(self, stats: Counts) -> Array:
        """Return the evidence that all graphs share, `[]` nats: that of the graph without arrows.

        stats: counts of all events.
        """
        return jnp.sum(stats.alone) + jnp.sum(stats.alone_rest)


@lru_cache(maxsize=32)
def _states(levels: tuple[int, ...]) -> np.ndarray:
    """Levels of all nodes in every state, `[K, n]`."""
    return np.asarray(list(product(*(range(k) for k in levels))), np.int32)
