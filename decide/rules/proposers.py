"""Proposers: candidate actions in continuous action spaces.

Each builder takes the proposer's options and a model and returns
`propose(key, draws, model, stats, count) -> features [count, size]`.
See also: information.py for the gain that `polish` climbs.
Source: Foster et al. (2020) for gradient ascent on the gain.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ...posteriors.base import Arms, Array, Draws, Model, Vector, provides
from ...posteriors.errors import UsageError
from ...posteriors.parts.unknowns import unknowns_of
from .information import expected_gain

Proposer = Callable[[Array, Draws, Model, Any, int], Array]


@dataclass(frozen=True)
class Grid:
    """Even grid over the action space's box."""


@dataclass(frozen=True)
class Prior:
    """Random actions from the model's `design()`, or uniform ones from the box without it."""


@dataclass(frozen=True)
class Around:
    """Random actions near the believed unknowns (the model's `focus`).

    share: share of candidates drawn so; the rest are drawn as by `prior`.
    """

    share: float = 0.75


@dataclass(frozen=True)
class Polish:
    """Candidates of `around` (or `prior`), the best improved by gradient ascent on the gain.

    steps: gradient steps.
    rate: length of the first step, as a share of the box; later steps are shorter.
    kept: number of candidates improved; they replace the worst.
    """

    steps: int = 4
    rate: float = 0.02
    kept: int = 4


def require_vector(name: str, model: Model) -> Vector:
    """Return the model's action space, refusing arms, which need no proposer.

    name: the proposer's name, for the message.
    model: the model to check.

    Returns: the space of vector actions.
    Raises: UsageError if the actions are arms.
    """
    if isinstance(model.actions, Arms):
        raise UsageError(
            f"proposer {name}: the actions of {type(model).__name__} are arms, all of which are "
            "candidates already; leave --proposer out"
        )
    return model.actions


def build_grid(config: Grid, model: Model) -> Proposer:
    """Build the proposer of an even grid.

    config: no options.
    model: has vector actions.

    Returns: the `propose` function.
    Raises: UsageError if the actions are arms.
    """
    box = require_vector("grid", model)

    def propose(key: Array, draws: Draws, model: Model, stats: Any, count: int) -> Array:
        side = max(int(count ** (1 / box.size)), 1)
        axis = np.linspace(box.low, box.high, side) if side > 1 else np.zeros(1)
        points = np.stack(np.meshgrid(*[axis] * box.size, indexing="ij"), -1)
        points = jnp.asarray(points.reshape(-1, box.size), jnp.result_type(float))
        # A grid rarely has exactly `count` points; the rest are uniform.
        rest = uniform_actions(key, box, count - len(points))
        return jnp.concatenate([points, rest])

    return propose


def uniform_actions(key: Array, box: Vector, count: int) -> Array:
    """Draw actions uniformly from a box.

    key: random key.
    box: the action space.
    count: actions to draw.

    Returns: actions `[count, size]`.
    """
    return jax.random.uniform(key, (count, box.size), minval=box.low, maxval=box.high)


def build_prior(config: Prior, model: Model) -> Proposer:
    """Build the proposer of random actions.

    config: no options.
    model: has vector actions.

    Returns: the `propose` function.
    Raises: UsageError if the actions are arms.
    """
    box = require_vector("prior", model)

    def propose(key: Array, draws: Draws, model: Model, stats: Any, count: int) -> Array:
        if provides(model, "design"):
            return jnp.asarray(model.design().sample(key, (count,)))
        return uniform_actions(key, box, count)

    return propose


def build_around(config: Around, model: Model) -> Proposer:
    """Build the proposer of actions near the believed unknowns.

    config: the proposer's options.
    model: has vector actions, and defines `focus`.

    Returns: the `propose` function.
    Raises: UsageError if the actions are arms, the model has no focus, or `share` is no share.
    """
    require_vector("around", model)
    if not provides(model, "focus"):
        raise UsageError(
            f"proposer around: model {type(model).__name__} has no focus(key, params); "
            "use prior, grid or polish"
        )
    if not 0 <= config.share <= 1:
        raise UsageError(f"proposer around: share={config.share} must lie between 0 and 1")
    broad = build_prior(Prior(), model)
    unknowns = unknowns_of(model)

    def propose(key: Array, draws: Draws, model: Model, stats: Any, count: int) -> Array:
        pick_key, focus_key, broad_key = jax.random.split(key, 3)
        near = round(config.share * count)
        picked = jax.random.categorical(pick_key, draws.log_weights, shape=(near,))
        keys = jax.random.split(focus_key, near)
        chosen = draws.values[picked]
        close = jax.vmap(lambda k, u: model.focus(k, unknowns.constrain(u)))(keys, chosen)
        far = broad(broad_key, draws, model, stats, count - near)
        return jnp.concatenate([close, far])

    return propose


def build_polish(config: Polish, model: Model) -> Proposer:
    """Build the proposer of candidates improved by gradient ascent on the gain.

    config: the proposer's options.
    model: has vector actions.

    Returns: the `propose` function.
    Raises: UsageError if the actions are arms.
    """
    box = require_vector("polish", model)
    base = (
        build_around(Around(), model) if provides(model, "focus") else build_prior(Prior(), model)
    )

    def propose(key: Array, draws: Draws, model: Model, stats: Any, count: int) -> Array:
        base_key, gain_key = jax.random.split(key)
        features = base(base_key, draws, model, stats, count)
        kept = min(config.kept, count)
        gains = expected_gain(gain_key, model, draws, stats, features)
        order = jnp.argsort(-gains)
        top, rest = features[order[:kept]], features[order[: count - kept]]

        def total(actions: Array) -> Array:
            return jnp.sum(expected_gain(gain_key, model, draws, stats, actions))

        def climb(step: Array, actions: Array) -> Array:
            slope = jax.grad(total)(actions)
            norm = jnp.linalg.norm(slope, axis=1, keepdims=True)
            uphill = jnp.where(norm > 0, slope / jnp.maximum(norm, 1e-12), 0.0)
            uphill = jnp.where(jnp.isfinite(uphill), uphill, 0.0)
            return actions + config.rate * (box.high - box.low) / (1 + step) * uphill

        polished = jax.lax.fori_loop(0, config.steps, climb, top)
        return jnp.concatenate([polished, rest])

    return propose
