"""Which graph connects a few binary nodes? Every acyclic one, learnt by fixing nodes and looking.

A free node is on with probability 1 - (1 - spontaneous) (1 - power)^(its parents that are on); a
fixed one is as it was fixed. Not here: unknown strengths, which people in these studies are told.
Source: Pearl (1988) for the noisy-OR; Bramley, Lagnado and Speekenbrink (2015) for the task.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

import jax.numpy as jnp
import numpy as np

from ..base import Arms, Array, Distribution, Model, Params, UsageError, dist

MOST = 4
"""Nodes: there are 543 acyclic graphs on four and 29 281 on five."""
FIXES = (-1, 0, 1)
"""Off, free, on."""


def interventions(nodes: int) -> np.ndarray:
    """Every way to fix each node off or on or to leave it free, `[3^nodes, nodes]` of `FIXES`."""
    return np.array(list(product(FIXES, repeat=nodes)))


def outcomes(nodes: int) -> np.ndarray:
    """Every state of all nodes, `[2^nodes, nodes]` of 0 and 1; the row is the outcome's code."""
    return np.array(list(product((0, 1), repeat=nodes)))


@lru_cache(maxsize=4)
def acyclic(nodes: int) -> np.ndarray:
    """Every acyclic graph, `[G, nodes, nodes]` of 0 and 1; [i, j] is an arrow from i to j."""
    places = [(i, j) for i in range(nodes) for j in range(nodes) if i != j]
    every = np.zeros((2 ** len(places), nodes, nodes), int)
    for graph, chosen in zip(every, product((0, 1), repeat=len(places)), strict=True):
        for (i, j), there in zip(places, chosen, strict=True):
            graph[i, j] = there
    # A walk as long as there are nodes comes back to one of them.
    return every[~np.any(np.linalg.matrix_power(every, nodes), axis=(1, 2))]


@lru_cache(maxsize=32)
def outcome_table(nodes: int, spontaneous: float, power: float) -> np.ndarray:
    """P(outcome | graph, intervention), `[G, 3^nodes, 2^nodes]`."""
    graphs, fixes, states = acyclic(nodes), interventions(nodes), outcomes(nodes)
    parents_on = np.einsum("ki,gij->gkj", states, graphs)
    on = 1 - (1 - spontaneous) * (1 - power) ** parents_on
    free = np.where(states[None] == 1, on, 1 - on)[:, None]
    fixed = (states[None] == (fixes[:, None] > 0)).astype(float)[None]
    return np.where((fixes == 0)[None, :, None, :], free, fixed).prod(-1)


@dataclass(frozen=True)
class NoisyOr(Model):
    """nodes: 3 or fewer (25 graphs, 27 interventions), or 4 (543, 81); all graphs equally likely.

    spontaneous: probability of a node being on without cause. power: of a cause to turn it on.
    The action is a row of `interventions`, the observation one of `outcomes`.
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
        count = len(acyclic(self.nodes))
        return {"graph": dist.CategoricalProbs(jnp.full(count, 1 / count))}

    def predict(self, params: Params, stats: Any, action: Array) -> Distribution:
        table = jnp.asarray(outcome_table(self.nodes, self.spontaneous, self.power))
        return dist.CategoricalProbs(table[params["graph"], action[0].astype(jnp.int32)])
