"""Checks of a space when its model is loaded: shapes, and one walk through its abilities."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..base import Array
from ..errors import UsageError
from .base import Space, has_ability

LISTED = 1000
"""Most objects that are listed for a check."""


def check_space(space: Space) -> None:
    """Refuse a space whose abilities do not fit each other.

    space: any; it is walked through once, which takes a compilation.

    Raises: UsageError naming the ability.
    """
    name, shape = type(space).__name__, tuple(space.event_shape)
    key = jax.random.key(0)
    value = space.sample(key)
    _expect(name, "sample()", value, shape, np.integer)
    log = jnp.asarray(space.log_prob(value))
    _expect(name, "log_prob()", log, (), np.floating)
    if not bool(jnp.isfinite(log)):
        raise UsageError(f"space {name}: sample() drew {value}, which log_prob() rules out")
    if has_ability(space, "neighbours"):
        near, ratio = space.propose(key, value)
        _expect(name, "propose()", near, shape, np.integer)
        _expect(name, "the ratio of propose()", jnp.asarray(ratio), (), np.floating)
        if not bool(jnp.isfinite(space.log_prob(near))):
            raise UsageError(f"space {name}: propose() left the space, from {value} to {near}")
    if has_ability(space, "construction"):
        _check_construction(space, name, shape)
    if has_ability(space, "listing"):
        listed = space.list_objects(LISTED)
        if listed is not None and abs(float(np.exp(listed[1]).sum()) - 1) > 1e-4:
            total = float(np.exp(listed[1]).sum())
            raise UsageError(
                f"space {name}: list_objects() has probabilities that sum to {total:g}"
            )


def _check_construction(space: Space, name: str, shape: tuple[int, ...]) -> None:
    """Refuse steps that cannot be undone."""
    partial = space.start()
    _expect(name, "start()", partial, shape, np.integer)
    steps = space.steps(partial)
    _expect(name, "steps()", steps, tuple(steps.shape[:1]), np.bool_)
    allowed = np.flatnonzero(np.asarray(steps))
    if not len(allowed):
        return
    step = jnp.int32(allowed[0])
    after = space.extend(partial, step)
    _expect(name, "extend()", after, shape, np.integer)
    undo = space.undo(after)
    _expect(name, "undo()", undo, tuple(steps.shape), np.bool_)
    if not bool(undo[step]):
        raise UsageError(f"space {name}: undo() does not know the step that extend() took")


def _expect(name: str, what: str, value: Array, shape: tuple[int, ...], kind: Any) -> None:
    """Refuse an array of another shape or kind of number."""
    found = jnp.asarray(value)
    if tuple(found.shape) != shape or not np.issubdtype(found.dtype, kind):
        raise UsageError(
            f"space {name}: {what} is {found.dtype}{list(found.shape)}, expected "
            f"{kind.__name__}{list(shape)}"
        )
