"""Small models whose posteriors are known in closed form."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from uncertain.posteriors.base import Arms, Model, Vector, dist


@dataclass(frozen=True)
class Coin(Model):
    """Heads or tails with a Beta prior on the chance of heads."""

    a: float = 2.0
    b: float = 3.0
    actions = Arms(1)

    def prior(self) -> dict[str, Any]:
        return {"chance": dist.Beta(self.a, self.b)}

    def predict(self, params: Any, stats: Any, action: Any) -> Any:
        return dist.Bernoulli(probs=params["chance"])


@dataclass(frozen=True)
class Scales(Model):
    """Unknown mean, spread and rate: a real, a positive and a unit-interval unknown."""

    actions = Vector(1)

    def prior(self) -> dict[str, Any]:
        return {
            "mean": dist.Normal(1.0, 2.0),
            "spread": dist.HalfNormal(1.5),
            "rate": dist.Beta(2.0, 5.0),
        }

    def predict(self, params: Any, stats: Any, action: Any) -> Any:
        return dist.Normal(params["mean"] * (1 + action[0]) + params["rate"], params["spread"])


@dataclass(frozen=True)
class Urns(Model):
    """Three colours whose log odds are linear in the action: a finite outcome of three."""

    actions = Vector(2)

    def prior(self) -> dict[str, Any]:
        return {"weights": dist.Normal(0.0, 1.0).expand((4,)).to_event(1)}

    def predict(self, params: Any, stats: Any, action: Any) -> Any:
        table = params["weights"].reshape(2, 2)
        return dist.CategoricalLogits(jnp.concatenate([table @ action, jnp.zeros(1)]))


@dataclass(frozen=True)
class Counts(Model):
    """A geometric count: an outcome without a bound, for which the score itself is used."""

    actions = Vector(1)

    def prior(self) -> dict[str, Any]:
        return {"log_odds": dist.Normal(0.0, 1.0)}

    def predict(self, params: Any, stats: Any, action: Any) -> Any:
        return dist.GeometricLogits(params["log_odds"] * (1 + action[0]))


@dataclass(frozen=True)
class Positive(Model):
    """One positive unknown."""

    actions = Vector(1)

    def prior(self) -> dict[str, Any]:
        return {"rate": dist.Gamma(2.0, 1.5)}

    def predict(self, params: Any, stats: Any, action: Any) -> Any:
        return dist.Normal(params["rate"], 1.0)
