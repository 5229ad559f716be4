"""Number game: a hidden concept over the numbers 1 to 100, learnt by asking for members.

The hypotheses are arithmetic rules and intervals; initial examples weigh them by the size principle
(an example of a small concept is strong evidence for it).
Source: Tenenbaum (1999), A Bayesian framework for concept learning.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax.numpy as jnp
import numpy as np

from ..base import Arms, Array, Distribution, Model, Params, dist
from ..errors import UsageError

TOP = 100
NUMBERS = np.arange(1, TOP + 1)


def arithmetic_concepts() -> dict[str, np.ndarray]:
    """List arithmetic concepts by name, with membership `[100]` bool."""
    found: dict[str, np.ndarray] = {
        "even": NUMBERS % 2 == 0,
        "odd": NUMBERS % 2 == 1,
        "square": np.isin(NUMBERS, np.arange(1, 11) ** 2),
        "cube": np.isin(NUMBERS, np.arange(1, 5) ** 3),
        "prime": np.array([n > 1 and all(n % d for d in range(2, n)) for n in NUMBERS]),
    }
    for n in range(3, 13):
        found[f"multiple of {n}"] = NUMBERS % n == 0
    for n in range(2, 11):
        powers = [n**p for p in range(1, 8) if n**p <= TOP]
        if len(powers) > 1:
            found[f"power of {n}"] = np.isin(NUMBERS, powers)
    for digit in range(10):
        found[f"ends in {digit}"] = np.equal(NUMBERS % 10, digit)
        found[f"contains {digit}"] = np.array([str(digit) in str(n) for n in NUMBERS])
    return found


@lru_cache(maxsize=8)
def concepts() -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """List all concepts: names, membership `[H, 100]` bool, whether an interval `[H]` bool."""
    named = arithmetic_concepts()
    names, members = list(named), list(named.values())
    for low in range(1, TOP + 1):
        for high in range(low, TOP + 1):
            names.append(f"{low} to {high}")
            members.append((low <= NUMBERS) & (high >= NUMBERS))
    interval = np.arange(len(names)) >= len(named)
    return tuple(names), np.stack(members), interval


@dataclass(frozen=True)
class NumberGame(Model):
    """The action is a number from 1 to 100 (arm 0 is 1), the observation 1 if it is a member.

    rules: prior probability of the arithmetic concepts; intervals have the rest.
    length: mean length of an interval under their Erlang prior.
    slip: probability of a wrong answer.
    examples: numbers known to be members, drawn at random from the concept.
    """

    rules: float = 0.5
    length: float = 20.0
    slip: float = 0.05
    examples: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for value in self.examples:
            if value not in NUMBERS:
                raise UsageError(f"number-game: example {value} is not between 1 and {TOP}")
        if not 0 < self.slip < 0.5 or not 0 < self.rules < 1:
            raise UsageError("number-game: slip must lie in (0, 0.5) and rules in (0, 1)")

    @property
    def actions(self) -> Arms:
        return Arms(TOP)

    def log_weights(self) -> np.ndarray:
        """Compute the normalised log prior `[H]` given the examples."""
        _, members, interval = concepts()
        size = members.sum(1)
        erlang = np.where(interval, size * np.exp(-size / (self.length / 2)), 0.0)
        plain = np.where(interval, 0.0, 1.0)
        prior = self.rules * plain / plain.sum() + (1 - self.rules) * erlang / erlang.sum()
        logs = np.log(prior)
        for value in self.examples:
            # Slips keep every concept possible, so that a belief is never empty.
            inside = members[:, value - 1]
            logs = logs + np.log((1 - self.slip) * inside / size + self.slip / TOP)
        return logs - np.logaddexp.reduce(logs)

    def prior(self) -> dict[str, Distribution]:
        return {"concept": dist.CategoricalLogits(jnp.asarray(self.log_weights()))}

    def predict(self, params: Params, stats: Any, action: Array) -> Distribution:
        """Predict the answer.

        params: `concept []`, an index into `concepts`.
        stats: none.
        action: `[1]`, the number less 1.
        """
        members = jnp.asarray(concepts()[1])
        inside = members[params["concept"], action[0].astype(jnp.int32)]
        return dist.Bernoulli(jnp.where(inside, 1 - self.slip, self.slip))
