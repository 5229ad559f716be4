"""The wheel bandit: one arm is safe, and far from the centre another pays far more.

A context is a point in the unit disc. Four arms pay 1 and the fifth 1.2; at a distance of at least
`delta` from the centre, the arm of the point's quadrant pays 50.
Source: Riquelme, Tucker and Snoek (2018), with the noise of their released code.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from ...posteriors.base import Arms, Array
from ...posteriors.errors import UsageError
from .base import World

ARMS = 5
SAFE = 4
"""The arm that pays a little more than the others everywhere."""
PAY, SAFE_PAY, RARE_PAY = 1.0, 1.2, 50.0
RARE_NOISE = 0.01
"""Standard deviation of the high reward; that of the others is an option."""
PULLS = 2
"""Times that each arm is pulled before the agent is asked."""


def wheel_world(delta: float = 0.95, noise: float = 0.05) -> World:
    """Build the wheel bandit.

    delta: distance from the centre at which the high rewards begin.
    noise: standard deviation of the other rewards.
    Raises: UsageError if a value is out of range.
    """
    for name, value, fits in (
        ("delta", delta, "between 0 and 1"),
        ("noise", noise, "at least 0"),
    ):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or value < 0 or (name == "delta" and value > 1):
            raise UsageError(f"world wheel: {name}={value!r}: must be a number {fits}")

    def context(key: Array, state: Any) -> Array:
        radius_key, angle_key = jax.random.split(key)
        radius = jnp.sqrt(jax.random.uniform(radius_key))
        angle = 2 * jnp.pi * jax.random.uniform(angle_key)
        return radius * jnp.stack([jnp.cos(angle), jnp.sin(angle)])

    def pays(state: Any, features: Array) -> Array:
        arm, x = features[:, 0], features[:, 1:]
        ordinary = jnp.where(arm == SAFE, SAFE_PAY, PAY)
        return jnp.where(rare(arm, x), RARE_PAY, ordinary)

    def rare(arm: Array, x: Array) -> Array:
        quadrant = 2 * (x[:, 0] <= 0) + (x[:, 1] <= 0)
        outside = jnp.sum(jnp.square(x), axis=1) >= delta * delta
        return outside & (arm == quadrant)

    def answer(key: Array, state: Any, action: Array, time: Array) -> tuple[Any, Array]:
        offered = action[None, :]
        sd = jnp.where(rare(offered[:, 0], offered[:, 1:]), RARE_NOISE, noise)
        return state, (pays(state, offered) + sd * jax.random.normal(key, (1,)))[0]

    opening = tuple(arm for _ in range(PULLS) for arm in range(ARMS))
    made = World(lambda key: (), context, answer, None, None, pays, opening, Arms(ARMS, 2), "mlp")
    return made._replace(name=f"wheel {delta} {noise}")
