"""Causal direction between two binary variables, learnt from interventions.

The probabilities within each of three structures are integrated out under Dirichlet priors, so that
the only unknown is the structure and past events enter through counts: a collapsed model.
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
    """Counts of past events in which a variable was free.

    x: `[2]`, values of x where x was free.
    y: `[2]`, values of y where y was free.
    y_given_x: `[2, 2]`, values of y where y was free, by x.
    x_given_y: `[2, 2]`, values of x where x was free, by y.
    """

    x: Array
    y: Array
    y_given_x: Array
    x_given_y: Array


@dataclass(frozen=True)
class CausalPair(Model):
    """Actions are `ACTIONS`; the observation is 2 x + y.

    prior_count: Dirichlet count of every cell (1/2 is Jeffreys' prior).
    """

    prior_count: float = 0.5

    @property
    def actions(self) -> Arms:
        return Arms(len(ACTIONS))

    def prior(self) -> dict[str, Distribution]:
        return {"structure": dist.CategoricalProbs(jnp.ones(3) / 3)}

    def init_stats(self) -> Counts:
        return Counts(jnp.zeros(2), jnp.zeros(2), jnp.zeros((2, 2)), jnp.zeros((2, 2)))

    def update_stats(self, stats: Counts, event: Event) -> Counts:
        """Count one more event.

        stats: counts of past events.
        event: weight 0 leaves the counts alone.
        """
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
        """Predict 2 x + y.

        params: `structure []`, an index into `STRUCTURES`.
        stats: counts of past events.
        action: `[1]`, an index into `ACTIONS`.
        """
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
