"""A multilayer perceptron of any depth: regression or classes, from a vector or with arms.

Not here: how it is trained; every backend sees only a prior over weights and a prediction.
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
    """Rectified layers of widths `hidden`, then one linear head.

    features: numbers in the action (arms = 0) or in the context that every arm shares.
    arms > 0: the head has an output an arm, and an action asks for one of them.
    classes: 0 for a Normal(output, noise) observation, else one of that many classes.
    scale: multiplies the output. Weights ~ Normal(0, weight / sqrt(fan-in)) in hidden layers and
    Normal(0, head / sqrt(fan-in)) in the last; biases ~ Normal(0, bias).
    prior_function: times which the output of a second network of the same shape is added, whose
    weights stay at their prior draw in backends that train every guess alone.
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
        """Numbers that the network puts out."""
        return max(self.arms, 1) * max(self.classes, 1)

    def _shapes(self) -> dict[str, tuple[int, int]]:
        """Name -> (outputs, inputs + 1): each layer's last column is its bias."""
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
        for name, (rows, columns) in self._shapes().items():
            width = self.head_scale if name.endswith("head") else self.weight_scale
            sd = np.full((rows, columns), width / np.sqrt(columns - 1))
            sd[:, -1] = self.bias
            found[name] = dist.Normal(jnp.zeros((rows, columns)), jnp.asarray(sd)).to_event(2)
        return found

    def _network(self, params: Params, prefix: str, x: Array) -> Array:
        for i in range(len(self.hidden)):
            weights = params[f"{prefix}layer{i}"]
            x = jax.nn.relu(weights[:, :-1] @ x + weights[:, -1])
        weights = params[f"{prefix}head"]
        return weights[:, :-1] @ x + weights[:, -1]

    def predict(self, params: Params, stats: Any, action: Array) -> Distribution:
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
        """Hidden units are numbered layer by layer; a weight leaves the unit that feeds it."""
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
        return observation

    def design(self) -> Distribution:
        return dist.Normal(0.0, 1.0).expand((self.actions.size,)).to_event(1)
