"""Where candidate actions come from when nobody offers any: proposers for continuous spaces.

Each factory returns `propose(key, draws, model, stats, count) -> features [count, size]`. Not
here: scoring, save that `polish` climbs the gain it will be scored by.
Source: Foster et al. (2020) for climbing the gain by its gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ...posteriors.base import Arms, Array, Draws, Model, UsageError, Vector, provides
from ...posteriors.unknowns import unknowns_of
from .information import expected_gain

Proposer = Callable[[Array, Draws, Model, Any, int], Array]


@dataclass(frozen=True)
class Grid:
    """An even lattice of about `count` points over the action space's box."""


@dataclass(frozen=True)
class Prior:
    """Actions drawn from the model's own `design()`, or uniformly from the box without one."""


@dataclass(frozen=True)
class Around:
    """share: part of the candidates drawn around the belief (the model's `focus`), the rest
    being drawn as by `prior`."""

    share: float = 0.75


@dataclass(frozen=True)
class Polish:
    """The best `kept` of the `around` (or `prior`) candidates, moved uphill on the gain.

    steps: gradient steps. rate: length of the first, as a share of the box; each later one is
    shorter. kept: how many are polished; they replace the worst.
    """

    steps: int = 4
    rate: float = 0.02
    kept: int = 4


def space(name: str, model: Model) -> Vector:
    """The model's action space, refused where it has arms (which need no proposer)."""
    if isinstance(model.actions, Arms):
        raise UsageError(
            f"proposer {name}: the actions of {type(model).__name__} are arms, all of which are "
            "candidates already; leave --proposer out"
        )
    return model.actions


def grid(config: Grid, model: Model) -> Proposer:
    box = space("grid", model)

    def propose(key: Array, draws: Draws, model: Model, stats: Any, count: int) -> Array:
        side = max(int(count ** (1 / box.size)), 1)
        axis = np.linspace(box.low, box.high, side) if side > 1 else np.zeros(1)
        points = np.stack(np.meshgrid(*[axis] * box.size, indexing="ij"), -1)
        points = jnp.asarray(points.reshape(-1, box.size), jnp.result_type(float))
        # A lattice seldom has exactly `count` points; the rest are uniform.
        rest = uniform(key, box, count - len(points))
        return jnp.concatenate([points, rest])

    return propose


def uniform(key: Array, box: Vector, count: int) -> Array:
    return jax.random.uniform(key, (count, box.size), minval=box.low, maxval=box.high)


def prior(config: Prior, model: Model) -> Proposer:
    box = space("prior", model)

    def propose(key: Array, draws: Draws, model: Model, stats: Any, count: int) -> Array:
        if provides(model, "design"):
            return jnp.asarray(model.design().sample(key, (count,)))
        return uniform(key, box, count)

    return propose


def around(config: Around, model: Model) -> Proposer:
    space("around", model)
    if not provides(model, "focus"):
        raise UsageError(
            f"proposer around: model {type(model).__name__} has no focus(key, params); "
            "use prior, grid or polish"
        )
    if not 0 <= config.share <= 1:
        raise UsageError(f"proposer around: share={config.share} must lie between 0 and 1")
    broad = prior(Prior(), model)
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


def polish(config: Polish, model: Model) -> Proposer:
    box = space("polish", model)
    base = around(Around(), model) if provides(model, "focus") else prior(Prior(), model)

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
