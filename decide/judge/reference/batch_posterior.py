"""Posterior of a model given a whole history at once, for the judge's own long inference.

See also: nuts.py and tempered_smc.py for samplers, reference_draws.py for the choice among them.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ....posteriors.base import Array, Model
from ....posteriors.parts.unknowns import unknowns_of
from ....posteriors.parts.vmap_last import vmap_last
from ....posteriors.targets.base import Target, target_events
from ....streams.storage.results import digest
from ...loop.core.program_cache import model_name
from .likelihood import history_log_likelihood

AT_ONCE = 1_000_000
"""Events times particles whose likelihoods are evaluated beside one another."""


class BatchPosterior:
    """A model with a fixed history of N events."""

    def __init__(self, model: Model, actions: Any, observations: Any) -> None:
        """Convert the history to the float type in use.

        model: with its prior.
        actions: `[N, size]`.
        observations: `[N, ...]`.
        """
        self.model, self.unknowns = model, unknowns_of(model)
        kind = jnp.result_type(float)
        self.actions, self.observations = np.asarray(actions, kind), np.asarray(observations, kind)

    def log_prior(self, particles: Array) -> Array:
        """Compute the log prior density.

        particles: unconstrained `[D, S]`.
        Returns: `[S]`.
        """
        return vmap_last(self.unknowns.log_prior, particles)

    def log_likelihood(self, particles: Array) -> Array:
        """Compute the log likelihood of the whole history.

        particles: unconstrained `[D, S]`.
        Returns: `[S]`.
        """
        events = jnp.asarray(self.actions), jnp.asarray(self.observations)
        ordered = bool(jax.tree.leaves(self.model.init_stats()))
        if ordered or len(self.actions) * particles.shape[-1] <= AT_ONCE:
            return history_log_likelihood(self.model, particles, *events)

        def turn(total: Array, row: tuple[Array, Array]) -> tuple[Array, None]:
            one = jax.tree.map(lambda x: x[None], row)
            return total + history_log_likelihood(self.model, particles, *one), None

        zeros = jnp.zeros(particles.shape[-1], jnp.result_type(float))
        return jax.lax.scan(turn, zeros, events)[0]

    def log_density(self, u: Array) -> Array:
        """Compute the log posterior density up to a constant.

        u: unconstrained point `[D]`.
        Returns: `[]`.
        """
        particles = u[:, None]
        return (self.log_prior(particles) + self.log_likelihood(particles))[0]

    def identity(self) -> dict[str, Any] | None:
        """Return everything that determines the posterior; None if the model has no name."""
        name = _name_of(self.model)
        if name is None:
            return None
        seen = {
            "actions": digest(self.actions.tobytes()),
            "observations": digest(self.observations.tobytes()),
            "shape": [list(self.actions.shape), list(self.observations.shape)],
        }
        return {"model": name, "history": seen, "x64": bool(jax.config.read("jax_enable_x64"))}


def build_target_posterior(target: Target) -> BatchPosterior:
    """Build the posterior of a static target.

    target: with its data.
    """
    return BatchPosterior(target, *target_events(target))


def _name_of(model: Model) -> str | None:
    """Text that identifies a model: its options, or a target's data and the text of its file."""
    if not isinstance(model, Target):
        return model_name(model)
    file = inspect.getsourcefile(type(model))
    if file is None or not Path(file).is_file():
        return None
    return f"{type(model).__qualname__} {digest(Path(file).read_bytes())} {model.data.digest}"
