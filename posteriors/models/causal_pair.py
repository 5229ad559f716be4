"""Which way does the arrow point? Two binary variables, three structures, interventions.

The probabilities within a structure are integrated out under Dirichlet priors, so the only
unknown is the structure and the past enters through counts: a collapsed model.
Source: Cooper and Yoo (1999), Bayesian scores from mixed observation and intervention.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp

from ..base import Arms, Array, Distribution, Event, Model, Params, dist

ACTIONS = ("observe", "do x=0", "do x=1", "do y=0", "do y=1")
STRUCTURES = ("independent", "x causes y", "y causes x")


class Counts(NamedTuple):
    """x `[2]`: x where x was left alone. y `[2]`: y where y was left alone.

    y_given_x `[2, 2]` (by x): y where y was left alone. x_given_y `[2, 2]` (by y): likewise.
    """

    x: Array
    y: Array
    y_given_x: Array
    x_given_y: Array


@dataclass(frozen=True)
class CausalPair(Model):
    """Observation: 2 x + y. prior_count: Dirichlet count of every cell (1/2 is Jeffreys')."""

    prior_count: float = 0.5

    @property
    def actions(self) -> Arms:
        return Arms(len(ACTIONS))

    def prior(self) -> dict[str, Distribution]:
        return {"structure": dist.CategoricalProbs(jnp.ones(3) / 3)}

    def init_stats(self) -> Counts:
        return Counts(jnp.zeros(2), jnp.zeros(2), jnp.zeros((2, 2)), jnp.zeros((2, 2)))

    def update_stats(self, stats: Counts, event: Event) -> Counts:
        code, act = event.observation.astype(jnp.int32), event.action[0].astype(jnp.int32)
        x, y = code // 2, code % 2
        x_free = event.weight * ((act == 0) | (act >= 3))
        y_free = event.weight * (act <= 2)
        return Counts(
            stats.x.at[x].add(x_free),
            stats.y.at[y].add(y_free),
            stats.y_given_x.at[x, y].add(y_free),
            stats.x_given_y.at[y, x].add(x_free),
        )

    def predict(self, params: Params, stats: Counts, action: Array) -> Distribution:
        act = action[0].astype(jnp.int32)
        x_forced, y_forced = (act == 1) | (act == 2), act >= 3

        def predictive(counts: Array) -> Array:
            smoothed = counts + self.prior_count
            return smoothed / smoothed.sum(-1, keepdims=True)

        force_x = jnp.where(x_forced, (jnp.arange(2) == act - 1).astype(stats.x.dtype), 0.0)
        force_y = jnp.where(y_forced, (jnp.arange(2) == act - 3).astype(stats.y.dtype), 0.0)
        x = jnp.where(x_forced, force_x, predictive(stats.x))
        y = jnp.where(y_forced, force_y, predictive(stats.y))
        y_given_x = jnp.where(y_forced, force_y, predictive(stats.y_given_x))
        x_given_y = jnp.where(x_forced, force_x, predictive(stats.x_given_y))
        joint = jnp.stack(
            [x[:, None] * y[None, :], x[:, None] * y_given_x, (y[:, None] * x_given_y).T]
        )
        return dist.CategoricalProbs(joint[params["structure"]].reshape(4))
