"""Multilayer perceptron for regression or classification, from a vector or with arms.

Posteriors see only a prior over weights and a prediction; the training is theirs.
Sources: Neal (1996) for priors over weights; Osband, Aslanides and Cassirer (2018) for the fixed
prior function.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..base import Arms, Array, Distribution, Model, Params, Vector, dist


@dataclass(frozen=True)
class MLP(Model):
    """Rectified hidden layers and a linear head.

    features: numbers of the vector action, or of the context that all arms share.
    hidden: widths of the hidden layers.
    classes: number of classes; 0 for a Normal(output, noise) observation.
    arms: number of arms, each with its own output of the head; 0: vector actions.
    noise: standard deviation of an observation.
    scale: factor of the output.
    weight_scale: hidden weights ~ Normal(0, weight_scale / sqrt(fan-in)).
    head_scale: weights of the head ~ Normal(0, head_scale / sqrt(fan-in)).
    bias: biases ~ Normal(0, bias).
    prior_function: factor of the output of a second network of the same shape, which is added. Its
        weights stay at their prior draw in posteriors that train each particle alone.
    """

    features: int = 2
    hidden: tuple[int, ...] = (50, 50)
    classes: int = 0
    arms: int = 0
    noise: float = 0.1
    scale: float = 1.0
    weight_scale: float = 1.4
    head_scale: float = 1.0
    bias: float = 0.5
    prior_function: float = 0.0

    @property
    def actions(self) -> Arms | Vector:
        return Arms(self.arms, self.features) if self.arms else Vector(self.features)

    @property
    def head(self) -> tuple[str, ...]:
        return ("head",)

    @property
    def anchors(self) -> tuple[str, ...]:
        return tuple(n for n in self._shapes() if n.startswith("prior_"))

    @property
    def outputs(self) -> int:
        """Number of outputs of the network."""
        return max(self.arms, 1) * max(self.classes, 1)

    def _shapes(self) -> dict[str, tuple[int, int]]:
        """Shapes by name: (outputs, inputs + 1), the last column being the bias."""
        sizes = [self.features, *self.hidden]
        shapes = {
            f"layer{i}": (after, before + 1) for i, (before, after) in enumerate(pairwise(sizes))
        }
        shapes["head"] = self.outputs, sizes[-1] + 1
        if self.prior_function:
            shapes |= {f"prior_{name}": shape for name, shape in shapes.items()}
        return shapes

    def prior(self) -> dict[str, Distribution]:
        found: dict[str, Distribution] = {}
        real = jnp.result_type(float)
        for name, (rows, columns) in self._shapes().items():
            width = self.head_scale if name.endswith("head") else self.weight_scale
            sd = np.full((rows, columns), width / np.sqrt(columns - 1), real)
            sd[:, -1] = self.bias
            # NumPy: JAX would compile a program for each operation on arrays of its own.
            found[name] = dist.Normal(np.zeros((rows, columns), real), sd).to_event(2)
        return found

    def _network(self, params: Params, prefix: str, x: Array) -> Array:
        for i in range(len(self.hidden)):
            weights = params[f"{prefix}layer{i}"]
            x = jax.nn.relu(weights[:, :-1] @ x + weights[:, -1])
        weights = params[f"{prefix}head"]
        return weights[:, :-1] @ x + weights[:, -1]

    def predict(self, params: Params, stats: Any, action: Array) -> Distribution:
        """Predict the observation.

        params: matrices of the layers, `[outputs, inputs + 1]`.
        stats: none.
        action: `[1 + features]`, the arm first; or `[features]` without arms.
        """
        x = action[1:] if self.arms else action
        outputs = self._network(params, "", x)
        if self.prior_function:
            outputs = outputs + self.prior_function * self._network(params, "prior_", x)
        outputs = self.scale * outputs
        if self.arms:
            arm = jax.nn.one_hot(action[0].astype(jnp.int32), self.arms, dtype=outputs.dtype)
            outputs = arm @ outputs.reshape(self.arms, -1)
        if self.classes:
            return dist.CategoricalLogits(outputs)
        return dist.Normal(outputs[0], self.noise)

    def units(self) -> np.ndarray:
        """Number the hidden units layer by layer, and map each weight to the unit that feeds it."""
        found, first = [], 0
        for name, (rows, columns) in self._shapes().items():
            if name.startswith("prior_"):
                found.append(np.full(rows * columns, -1))
                continue
            leaves = np.full((rows, columns), -1)
            if name != "layer0" and self.hidden:
                leaves[:, :-1] = first + np.arange(columns - 1)
                first += columns - 1
            found.append(leaves.ravel())
        return np.concatenate(found)

    def reward(self, action: Array, observation: Array) -> Array:
        """Return the observation, which is the reward.

        action: not used.
        observation: `[]`.
        """
        return observation

    def design(self) -> Distribution:
        return dist.Normal(0.0, 1.0).expand((self.actions.size,)).to_event(1)
