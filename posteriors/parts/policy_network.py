"""Policy network: codes of past events, summed, and the next action from the sum.

The order of events does not matter, and one more costs the same however many there were. Continuous
outcomes are an input beside the action; each of finitely many has an output of its own, as in the
released code.

See also: policy_file.py for its file, ../../decide/training/training.py for training.
Source: Foster, Ivanova, Malik and Rainforth (2021), Deep Adaptive Design.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
from numpyro.distributions.transforms import AffineTransform, ComposeTransform, SigmoidTransform

from ..base import Arms, Array, Model, provides
from ..errors import UsageError
from .outcomes import Finite, Other, outcome_kind

LIMIT = 10.0
"""Largest coordinate of an action that is encoded: farther out, single precision cannot tell a
sigmoid from 1, and so not find the way back."""
ACTIVATIONS = {"relu": jax.nn.relu, "softplus": jax.nn.softplus}

SIZES = {"width": (1, 10**5), "code": (1, 10**5), "encoder": (0, 100), "emitter": (0, 100)}
"""Least and most of each size of a network; files have room for far less."""

Weights = dict[str, Array]


@dataclass(frozen=True)
class NetworkShape:
    """Sizes of the network.

    width: units of a hidden layer.
    code: length of the sum.
    encoder, emitter: hidden layers.
    activation: a name of `ACTIVATIONS`.
    """

    width: int = 256
    code: int = 16
    encoder: int = 2
    emitter: int = 2
    activation: str = "softplus"


CONTINUOUS = NetworkShape(encoder=1, emitter=0, activation="relu")
FINITE = NetworkShape()
"""As published for location finding and for temporal discounting."""


def usual_shape(model: Model) -> NetworkShape:
    """Return the published network for the model's kind of outcome.

    model: any model.
    """
    return FINITE if isinstance(outcome_kind(model), Finite) else CONTINUOUS


def _check_policy(model: Model, shape: NetworkShape) -> None:
    """Refuse models and shapes that such a policy cannot be for."""
    name = type(model).__name__
    if model.latent:
        raise UsageError(f"policy dad cannot follow the moving unknowns of {name}")
    if isinstance(model.actions, Arms):
        raise UsageError(
            f"policy dad emits numbers, and the actions of {name} are arms: use a rule that scores"
        )
    kind = outcome_kind(model)
    if isinstance(kind, Other) and kind.shape:
        raise UsageError(f"policy dad encodes one number a time, {name} observes {kind.shape}")
    for field, (least, most) in SIZES.items():
        if not least <= getattr(shape, field) <= most:
            told = f"at least {least}" if getattr(shape, field) < least else f"at most {most}"
            raise UsageError(f"policy dad: {field}={getattr(shape, field)}: must be {told}")
    if shape.activation not in ACTIVATIONS:
        raise UsageError(
            f"policy dad: activation={shape.activation!r}: choose {' or '.join(ACTIVATIONS)}"
        )


class Policy:
    """The network for one model: pure functions of its weights.

    shape: sizes of the network.
    outcomes: values of a finite outcome, None for continuous ones.
    transforms: one for each number of an action, from the real line.
    sizes: `[in, ..., out]` of the encoder and of the emitter.
    """

    def __init__(self, model: Model, shape: NetworkShape) -> None:
        """Lay out the layers for a model's actions and outcomes."""
        _check_policy(model, shape)
        kind = outcome_kind(model)
        self.shape = shape
        self.outcomes = kind.values if isinstance(kind, Finite) else None
        self.transforms = _coordinates(model)
        size = len(self.transforms)
        hidden = [shape.width] * shape.encoder
        heads = len(self.outcomes or (0,))
        inputs = size + (self.outcomes is None)
        self.sizes = {
            "encoder": [inputs, *hidden, heads * shape.code],
            "emitter": [shape.code, *[shape.width] * shape.emitter, size],
        }

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every array of weights, by name."""
        shapes: dict[str, tuple[int, ...]] = {}
        for part, sizes in self.sizes.items():
            for layer, (fan_in, fan_out) in enumerate(pairwise(sizes)):
                shapes[f"{part}{layer}.kernel"] = (fan_in, fan_out)
                shapes[f"{part}{layer}.bias"] = (fan_out,)
        return shapes

    def init(self, key: Array) -> Weights:
        """Draw uniform weights of half width 1 / sqrt(inputs), float32, as the released code does.

        key: for the draws.
        """
        weights = {}
        for index, (name, shape) in enumerate(self.shapes().items()):
            fan_in = shape[0] if len(shape) == 2 else self._fan_in(name)
            weights[name] = jax.random.uniform(
                jax.random.fold_in(key, index), shape, jnp.float32, -(fan_in**-0.5), fan_in**-0.5
            )
        return weights

    def _fan_in(self, bias: str) -> int:
        """Inputs of the layer that a bias belongs to."""
        return self.shapes()[bias.replace(".bias", ".kernel")][0]

    def start(self) -> Array:
        """Return the code `[code]` of no events."""
        return jnp.zeros(self.shape.code)

    def encode(self, weights: Weights, raw: Array, observation: Array) -> Array:
        """Compute the code `[code]` of one event.

        weights: of the network.
        raw: `[size]`, the action in unconstrained coordinates.
        observation: `[]`.
        """
        inputs = jnp.clip(raw, -LIMIT, LIMIT)
        if self.outcomes is None:
            return self._layers("encoder", weights, jnp.append(inputs, observation))
        heads = self._layers("encoder", weights, inputs).reshape(len(self.outcomes), -1)
        return (observation == jnp.asarray(self.outcomes)).astype(heads.dtype) @ heads

    def emit(self, weights: Weights, code: Array) -> Array:
        """Compute the next action in unconstrained coordinates `[size]`.

        weights: of the network.
        code: `[code]`, the sum.
        """
        return self._layers("emitter", weights, code)

    def action(self, raw: Array) -> Array:
        """Map unconstrained coordinates to an action `[size]`.

        raw: `[size]`.
        """
        return jnp.stack([t(x) for t, x in zip(self.transforms, raw, strict=True)])

    def raw(self, action: Array) -> Array:
        """Map an action to unconstrained coordinates `[size]`.

        Not for gradients, which may be NaN where an action lies at the end of its range.

        action: `[size]`.
        """
        return jnp.stack([t.inv(x) for t, x in zip(self.transforms, action, strict=True)])

    def _layers(self, part: str, weights: Weights, x: Array) -> Array:
        """Run one part of the network."""
        last = len(self.sizes[part]) - 2
        for layer in range(last + 1):
            kernel, bias = weights[f"{part}{layer}.kernel"], weights[f"{part}{layer}.bias"]
            x = x @ kernel + bias
            if layer < last:
                x = ACTIVATIONS[self.shape.activation](x)
        return x


def _coordinates(model: Model) -> tuple[Any, ...]:
    """Transforms from the real line for every number of an action: the model's own, or a sigmoid
    into its box.
    """
    if provides(model, "coordinates"):
        return model.coordinates()
    box = model.actions
    assert not isinstance(box, Arms)
    inside = ComposeTransform([SigmoidTransform(), AffineTransform(box.low, box.high - box.low)])
    return (inside,) * box.size
