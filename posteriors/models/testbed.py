"""The neural testbed: labels of a random network of two rectified layers, at a temperature.

What is true in that benchmark of joint prediction; as a model of one's own it is the network with
its true prior. Not here: the prior over weights that people usually write down (mlp).
Source: Osband et al. (2022), the neural testbed, with the initial weights of its released code.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import jax
import numpy as np
from jax.scipy.special import ndtr, ndtri

from ..base import Array, Distribution, Model, Params, Vector, dist

CUT = 2.0
"""Standard deviations beyond which there are no weights."""


@dataclass(frozen=True)
class Testbed(Model):
    """Class probabilities softmax(network(x) / temperature) at inputs x of `dimensions` numbers.

    Weights are normal with standard deviation 1 / sqrt(fan-in), cut off at two of them; only the
    first layer has biases, Normal(0, 1 / sqrt(dimensions)). The unknowns are standard normal: each
    weight is a monotone function of one. Inputs are standard normal. The label is the reward,
    where one is asked for.
    """

    dimensions: int = 2
    temperature: float = 0.1
    hidden: tuple[int, ...] = (50, 50)
    classes: int = 2

    @property
    def actions(self) -> Vector:
        return Vector(self.dimensions)

    def _sizes(self) -> list[tuple[int, int]]:
        """Inputs and outputs of each layer."""
        return list(pairwise([self.dimensions, *self.hidden, self.classes]))

    def prior(self) -> dict[str, Distribution]:
        normal = dist.Normal(0.0, 1.0)
        sizes = enumerate(self._sizes())
        found: dict[str, Distribution] = {
            f"layer{i}": normal.expand((after, before)).to_event(2) for i, (before, after) in sizes
        }
        return found | {"bias": normal.expand((self._sizes()[0][1],)).to_event(1)}

    def predict(self, params: Params, stats: Any, action: Array) -> Distribution:
        weights = [cut_off(params[f"layer{i}"]) for i in range(len(self._sizes()))]
        x = weights[0] @ action + params["bias"] / np.sqrt(self.dimensions)
        for layer in weights[1:]:
            x = layer @ jax.nn.relu(x)
        return dist.CategoricalLogits(x / self.temperature)

    def reward(self, action: Array, observation: Array) -> Array:
        return observation

    def design(self) -> Distribution:
        return dist.Normal(0.0, 1.0).expand((self.dimensions,)).to_event(1)


def cut_off(z: Array) -> Array:
    """Standard normal `z [outputs, inputs]` -> weights of a truncated normal, by its quantiles."""
    low = ndtr(-CUT)
    return ndtri(low + (1 - 2 * low) * ndtr(z)) / np.sqrt(z.shape[1])
