"""Finitely many hypotheses, each with a table of outcome probabilities for every action."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from ..base import Arms, Array, Distribution, Model, Params, dist
from ..errors import UsageError

Table = tuple[tuple[tuple[float, ...], ...], ...]

COINS: Table = (
    ((0.5, 0.5), (0.9, 0.1)),
    ((0.2, 0.8), (0.9, 0.1)),
    ((0.5, 0.5), (0.4, 0.6)),
    ((0.2, 0.8), (0.4, 0.6)),
)
"""Two coins, each in one of two conditions: four hypotheses, two actions, two outcomes."""


@dataclass(frozen=True)
class Finite(Model):
    """Hypotheses, actions and outcomes of a table.

    table: P(outcome | hypothesis, action) as nested tuples `[H][A][K]`.
    weights: prior weight of each hypothesis, equal if empty.
    rewards: reward of each outcome; if empty, outcome k has reward k.
    """

    table: Table = COINS
    weights: tuple[float, ...] = ()
    rewards: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        table = np.asarray(self.table, dtype=object)
        try:
            table = np.asarray(self.table, float)
        except ValueError as error:
            raise UsageError("finite: table must be [hypotheses][actions][outcomes]") from error
        if table.ndim != 3 or not np.allclose(table.sum(-1), 1, atol=1e-6) or table.min() < 0:
            raise UsageError(
                "finite: table must be [hypotheses][actions][outcomes] with rows summing to 1"
            )
        if self.weights and len(self.weights) != table.shape[0]:
            raise UsageError(f"finite: {len(self.weights)} weights for {table.shape[0]} hypotheses")
        if self.rewards and len(self.rewards) != table.shape[2]:
            raise UsageError(f"finite: {len(self.rewards)} rewards for {table.shape[2]} outcomes")

    @property
    def actions(self) -> Arms:
        return Arms(len(self.table[0]))

    def prior(self) -> dict[str, Distribution]:
        weights = np.asarray(self.weights or [1.0] * len(self.table))
        return {"hypothesis": dist.CategoricalProbs(jnp.asarray(weights / weights.sum()))}

    def predict(self, params: Params, stats: Any, action: Array) -> Distribution:
        """Predict the outcome.

        params: `hypothesis []`.
        stats: none.
        action: `[1]`, the arm.
        """
        table = jnp.asarray(self.table)
        return dist.CategoricalProbs(table[params["hypothesis"], action[0].astype(jnp.int32)])

    def reward(self, action: Array, observation: Array) -> Array:
        """Look up the reward of an outcome.

        action: not used.
        observation: `[]`, the outcome.
        """
        rewards = jnp.asarray(self.rewards or tuple(float(k) for k in range(len(self.table[0][0]))))
        return rewards[observation.astype(jnp.int32)]
