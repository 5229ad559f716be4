"""Stein's identities, which test without a sampler whether draws belong to a log density.

In unconstrained coordinates u of a density p without a boundary, E[d log p / du_i] = 0 and
E[u_i d log p / du_i] = -1 under p itself. A wrong density deviates by many standard errors.
Deviations that no first or second moment shows are not detected.
Sources: Stein (1972); Gorham and Mackey (2015).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ....posteriors.base import Array
from ....posteriors.errors import UsageError
from ....posteriors.parts.unknowns import log_likelihood, unknowns_of
from ....posteriors.targets.base import Target, target_events
from .moments import quantity_shapes

Z = 4.4
"""Standard errors allowed each: a two-sided false-alarm rate of 1e-5 an identity."""
MOST = 2000
"""Draws used, evenly spread over those given."""
BATCH = 50
"""Draws at once: all would hold every event beside every draw."""


class SteinErrors(NamedTuple):
    """Deviation of each identity in standard errors of independent draws, `[D]` each."""

    gradient: np.ndarray
    """Of the first."""
    product: np.ndarray
    """Of the second, with u centred at its mean, which leaves the identity unchanged."""

    @property
    def worst(self) -> float:
        """Largest of all; infinite if anything is not finite."""
        both = np.abs(np.concatenate(self))
        return float(both.max()) if np.isfinite(both).all() else float("inf")

    @property
    def holds(self) -> bool:
        return self.worst < Z


def _log_density(target: Target, u: Array) -> Array:
    """Log posterior density `[]` of `u [D]` up to a constant, all events at once."""
    actions, observations = (jnp.asarray(x, u.dtype) for x in target_events(target))
    logs = jax.vmap(lambda a, y: log_likelihood(target, u, (), a, y))(actions, observations)
    return unknowns_of(target).log_prior(u) + jnp.sum(logs)


def unconstrained_draws(target: Target, draws: dict[str, Any]) -> np.ndarray:
    """Convert draws of quantities to unconstrained coordinates.

    target: of the draws.
    draws: `[n, ...]` by name of the quantity.
    Returns: `[n, D]`.
    Raises: UsageError if a quantity is missing or has another shape.
    """
    wanted = quantity_shapes(target)
    for name, shape in wanted.items():
        given = np.shape(draws[name])[1:] if name in draws else None
        if given != shape:
            said = "are missing" if given is None else f"have shape {given}"
            raise UsageError(
                f"model {type(target).__name__}: draws of {name!r} {said}; its own are {shape}"
            )
    unknowns = unknowns_of(target)
    picked = {name: jnp.asarray(draws[name], unknowns.dtype) for name in wanted}
    made = jax.jit(jax.vmap(lambda q: unknowns.flatten(target.recover(q))))(picked)
    return np.asarray(made)


def stein_errors(target: Target, u: Any) -> SteinErrors:
    """Test both identities.

    target: with the density.
    u: unconstrained draws `[n, D]`.
    """
    u = np.asarray(u)
    picked = u[np.linspace(0, len(u) - 1, min(MOST, len(u))).astype(int)]
    slope_of = jax.grad(lambda v: _log_density(target, v))
    gradient = jax.jit(lambda u: jax.lax.map(slope_of, u, batch_size=BATCH))
    slope = np.asarray(gradient(jnp.asarray(picked)), float)
    centred = np.asarray(picked, float) - u.mean(0)
    return SteinErrors(_errors(slope), _errors(centred * slope + 1))


def _errors(values: np.ndarray) -> np.ndarray:
    """Mean over its standard error of each column `[n, D]`."""
    return values.mean(0) / (values.std(0, ddof=1) / np.sqrt(len(values)))
