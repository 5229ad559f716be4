"""Tell whether an event spoilt a belief, inside a compiled step.

An event whose numbers are finite can still make a belief that is none: squares overflow, a matrix
stops being positive definite, a density is no number. Every later answer would be spoilt.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from ..base import Array, Draws, Gaussian, Summary


def keeps_whole(before: Any, after: Any, belief: Draws | Gaussian | Summary) -> Array:
    """Test whether a step left a state and its belief whole.

    before, after: the state, any tree; it may hold negative infinities (the logarithm of a weight
        of 0), and from its start others and numbers that are none.
    belief: of the state after.

    Returns: `[]` bool.
    """
    pairs = zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True)
    spoilt = [jnp.any((a < jnp.inf) & ~(b < jnp.inf)) for a, b in pairs if _is_real(b)]
    return ~jnp.any(jnp.asarray([*spoilt, False])) & is_whole(belief)


def is_whole(belief: Draws | Gaussian | Summary) -> Array:
    """Test whether a belief is finite: its numbers, its variances above 0, some weight above 0.

    belief: any belief; of a summary nothing is known but its numbers.

    Returns: `[]` bool.
    """
    if isinstance(belief, Gaussian):
        spread = belief.covariance if belief.root is None else belief.root
        widths = jnp.diagonal(spread, axis1=-2, axis2=-1)
        return _all_finite((belief.mean, spread)) & jnp.all(widths > 0)
    if isinstance(belief, Draws):
        # Infinite where no draw has any weight, and no number where a weight is none.
        total = jax.scipy.special.logsumexp(belief.log_weights)
        return _all_finite((belief.values, total))
    return _all_finite(belief)


def choose(whole: Array, after: Any, before: Any) -> Any:
    """Return the state after a step, or the one before it where it was spoilt.

    whole: `[]` bool.
    after, before: trees alike.
    """
    return jax.tree.map(lambda a, b: jnp.where(whole, a, b), after, before)


def _all_finite(tree: Any) -> Array:
    finite = [jnp.all(jnp.isfinite(x)) for x in jax.tree.leaves(tree) if _is_real(x)]
    return jnp.all(jnp.asarray([*finite, True]))


def _is_real(x: Any) -> bool:
    return bool(jnp.issubdtype(jnp.result_type(x), jnp.inexact))
