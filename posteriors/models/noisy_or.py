"""Causal graph of a few binary nodes with noisy-OR links, learnt from interventions.

All acyclic graphs are hypotheses. A free node is on with probability
1 - (1 - spontaneous) (1 - power)^(number of its parents that are on); interventions fix nodes.
The strengths are known, as to people in the studies.
Source: Pearl (1988) for the noisy-OR; Bramley, Lagnado and Speekenbrink (2015) for the task.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

import jax.numpy as jnp
import numpy as np

from ..base import Arms, Array, Distribution, Model, Params, dist
from ..errors import UsageError

MOST = 4
"""Largest number of nodes: there are 543 acyclic graphs of four and 29 281 of five."""
FIXES = (-1, 0, 1)
"""Fixed off, free, fixed on."""


def interventions(nodes: int) -> np.ndarray:
    """List all interventions, which fix each node off or on or leave it free.

    nodes: number of nodes.

    Returns: `[3^nodes, nodes]` of `FIXES`.
    """
    return np.array(list(product(FIXES, repeat=nodes)))


def outcomes(nodes: int) -> np.ndarray:
    """List all states of the nodes; the row number is the observation.

    nodes: number of nodes.

    Returns: `[2^nodes, nodes]` of 0 and 1.
    """
    return np.array(list(product((0, 1), repeat=nodes)))


@lru_cache(maxsize=4)
def acyclic_graphs(nodes: int) -> np.ndarray:
    """List all acyclic graphs.

    nodes: number of nodes.

    Returns: `[G, nodes, nodes]` of 0 and 1; [i, j] is an arrow from i to j.
    """
    places = [(i, j) for i in range(nodes) for j in range(nodes) if i != j]
    every = np.zeros((2 ** len(places), nodes, nodes), int)
    for graph, chosen in zip(every, product((0, 1), repeat=len(places)), strict=True):
        for (i, j), there in zip(places, chosen, strict=True):
            graph[i, j] = there
    # A walk of as many steps as nodes exists only if there is a cycle.
    return every[~np.any(np.linalg.matrix_power(every, nodes), axis=(1, 2))]


@lru_cache(maxsize=32)
def outcome_table(nodes: int, spontaneous: float, power: float) -> np.ndarray:
    """Tabulate the probabilities of outcomes.

    nodes: number of nodes.
    spontaneous: probability of a node being on without a cause.
    power: probability that a cause turns a node on.

    Returns: P(outcome | graph, intervention), `[G, 3^nodes, 2^nodes]`.
    """
    graphs, fixes, states = acyclic_graphs(nodes), interventions(nodes), outcomes(nodes)
    parents_on = np.einsum("ki,gij->gkj", states, graphs)
    on = 1 - (1 - spontaneous) * (1 - power) ** parents_on
    free = np.where(states[None] == 1, on, 1 - on)[:, None]
    fixed = (states[None] == (fixes[:, None] > 0)).astype(float)[None]
    return np.where((fixes == 0)[None, :, None, :], free, fixed).prod(-1)


@dataclass(frozen=True)
class NoisyOr(Model):
    """The action is a row of `interventions`, the observation a row of `outcomes`.

    nodes: at most 3 (25 graphs, 27 interventions) or 4 (543, 81); all graphs equally likely.
    spontaneous: probability of a node being on without a cause.
    power: probability that a cause turns a node on.
    """

    nodes: int = 3
    spontaneous: float = 0.1
    power: float = 0.8

    def __post_init__(self) -> None:
        if not 1 <= self.nodes <= MOST:
            raise UsageError(f"noisy-or: nodes={self.nodes} must be 1 to {MOST}")
        for name in ("spontaneous", "power"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"noisy-or: {name}={getattr(self, name)} must lie between 0 and 1")

    @property
    def actions(self) -> Arms:
        return Arms(len(FIXES) ** self.nodes)

    def prior(self) -> dict[str, Distribution]:
        count = len(acyclic_graphs(self.nodes))
        return {"graph": dist.CategoricalProbs(jnp.full(count, 1 / count))}

    def predict(self, params: Params, stats: Any, action: Array) -> Distribution:
        """Predict the state of the nodes.

        params: `graph []`, an index into `acyclic_graphs`.
        stats: none.
        action: `[1]`, an index into `interventions`.
        """
        table = jnp.asarray(outcome_table(self.nodes, self.spontaneous, self.power))
        return dist.CategoricalProbs(table[params["graph"], action[0].astype(jnp.int32)])
