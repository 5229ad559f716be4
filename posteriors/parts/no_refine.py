"""`refine` for a method with no iterative work: the identity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ..base import Array, Info


def no_refine() -> Callable[[Array, Any], tuple[Any, Info]]:
    """Build a `refine` that returns its state and reports no work."""

    def refine(key: Array, state: Any) -> tuple[Any, Info]:
        numbers = [x for x in jax.tree.leaves(state) if jnp.issubdtype(x.dtype, jnp.inexact)]
        # A weight of zero has a log of minus infinity, which is no fault.
        sick = [jnp.any(jnp.isnan(x)) for x in numbers]
        healthy = ~jnp.any(jnp.stack(sick)) if sick else jnp.ones((), bool)
        return state, Info(jnp.zeros(()), healthy, {})

    return refine
