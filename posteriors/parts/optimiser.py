"""Adam in units of the prior's scale, so that one step size serves every coordinate.

Source: Kingma and Ba (2015).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import optax

from ..base import Array
from .unknowns import Unknowns

_ADAM = optax.scale_by_adam()


@dataclass(frozen=True, eq=False)
class ScaledAdam:
    """Gradient ascent in prior standard deviations.

    spread: `[D]`, the prior standard deviations.
    """

    spread: Array

    def init(self, values: Array) -> Any:
        """Make the optimiser's moments.

        values: `[D]` or `[D, S]`.
        """
        return _ADAM.init(values)

    def step(
        self, values: Array, gradient: Array, moments: Any, step_size: Array
    ) -> tuple[Array, Any]:
        """Take one step uphill.

        values: `[D]` or `[D, S]`.
        gradient: of a log density, in the same shape.
        moments: from `init` or the last step.
        step_size: `[]`, in prior standard deviations.

        Returns: the new values and moments.
        """
        sd = self.spread if values.ndim == 1 else self.spread[:, None]
        updates, moments = _ADAM.update(sd * gradient, moments)
        return values + step_size * sd * jnp.asarray(updates), moments


def scaled_adam(unknowns: Unknowns) -> ScaledAdam:
    """Build the optimiser for a model.

    unknowns: the model's coordinates.
    """
    return ScaledAdam(jnp.asarray(unknowns.gaussian()[1].astype(unknowns.dtype)))


def drop_nonfinite(gradient: Array) -> tuple[Array, Array]:
    """Set the gradient of every particle to 0 where any of its numbers is not finite.

    gradient: `[D, S]`.

    Returns: the gradient, and whether all of it was finite `[]`.
    """
    sound = jnp.all(jnp.isfinite(gradient), axis=0)
    return jnp.where(sound[None, :], gradient, 0.0), jnp.all(sound)
