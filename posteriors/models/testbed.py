"""Neural testbed: class labels from a random network with two rectified layers.

The data-generating process of that benchmark of joint prediction; as a model it is the network with
its true prior.
See also: mlp.py for the usual prior over weights.
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
"""Standard deviations at which the distribution of weights is truncated."""


@dataclass(frozen=True)
class Testbed(Model):
    """Class probabilities are softmax(network(x) / temperature) at standard normal inputs x.

    Weights are normal with standard deviation 1 / sqrt(fan-in), truncated at two of them; only the
    first layer has biases, Normal(0, 1 / sqrt(dimensions)). The unknowns are standard normal; each
    weight is a monotone function of one. The label is the reward.
    dimensions: numbers of an input.
    temperature: of the softmax.
    hidden: widths of the hidden layers.
    classes: number of labels.
    """

    dimensions: int = 2
    temperature: float = 0.1
    hidden: tuple[int, ...] = (50, 50)
    classes: int = 2

    @property
    def actions(self) -> Vector:
        return Vector(self.dimensions)

    def _sizes(self) -> list[tuple[int, int]]:
        """Numbers of inputs and outputs of each layer."""
        return list(pairwise([self.dimensions, *self.hidden, self.classes]))

    def prior(self) -> dict[str, Distribution]:
        normal = dist.Normal(0.0, 1.0)
        sizes = enumerate(self._sizes())
        found: dict[str, Distribution] = {
            f"layer{i}": normal.expand((after, before)).to_event(2) for i, (before, after) in sizes
        }
        return found | {"bias": normal.expand((self._sizes()[0][1],)).to_event(1)}

    def predict(self, params: Params, stats: Any, action: Array) -> Distribution:
        """Predict the label.

        params: `layer0` and so on, `[outputs, inputs]`, and `bias`.
        stats: none.
        action: `[dimensions]`.
        """
        weights = [truncated_weights(params[f"layer{i}"]) for i in range(len(self._sizes()))]
        x = weights[0] @ action + params["bias"] / np.sqrt(self.dimensions)
        for layer in weights[1:]:
            x = layer @ jax.nn.relu(x)
        return dist.CategoricalLogits(x / self.temperature)

    def reward(self, action: Array, observation: Array) -> Array:
        """Return the observation, which is the reward.

        action: not used.
        observation: `[]`.
        """
        return observation

    def design(self) -> Distribution:
        return dist.Normal(0.0, 1.0).expand((self.dimensions,)).to_event(1)


def truncated_weights(z: Array) -> Array:
    """Map standard normal numbers to weights of a truncated normal, by its quantiles.

    z: `[outputs, inputs]`.

    Returns: weights, of standard deviation about 1 / sqrt(inputs).
    """
    low = ndtr(-CUT)
    return ndtri(low + (1 - 2 * low) * ndtr(z)) / np.sqrt(z.shape[1])
