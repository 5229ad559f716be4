"""Settings of a training run and its optimiser.

See also: training.py for the run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax

from ...posteriors.base import Model
from ...posteriors.errors import UsageError
from ...posteriors.parts.outcomes import Finite, outcome_kind

STAIR = 1000
"""Steps between two reductions of the step size, as in the released code."""


@dataclass(frozen=True)
class Settings:
    """Settings of a training run.

    horizon: events in a rollout.
    steps: steps of Adam.
    batch: rollouts in a step.
    contrasts: draws of the prior that each rollout is contrasted with.
    rate: Adam's step size, multiplied by `decay` every `STAIR` steps.
    decay: factor of the step size.
    b1, b2: Adam's decay rates of the moments.
    seed: of all random numbers.
    clip: largest component of a gradient.
    """

    horizon: int
    steps: int
    batch: int
    contrasts: int
    rate: float
    decay: float
    b1: float
    b2: float
    seed: int = 0
    clip: float = 1.0


HORIZONS = {"Location": 30, "Discounting": 20, "DeathProcess": 4}
"""Events of a rollout in the published problems."""
DEFAULT_HORIZON = 20


def default_settings(model: Model) -> Settings:
    """Return the settings of the released code for a model.

    model: finite outcomes have other settings than continuous ones.

    Returns: the settings, with the published horizon or `DEFAULT_HORIZON`.
    """
    horizon = HORIZONS.get(type(model).__name__, DEFAULT_HORIZON)
    if isinstance(outcome_kind(model), Finite):
        return Settings(horizon, 100_000, 500, 500, 1e-4, 0.96, 0.9, 0.999)
    return Settings(horizon, 50_000, 2000, 2000, 5e-5, 0.98, 0.8, 0.998)


def check_settings(settings: Settings) -> None:
    """Refuse numbers out of range.

    settings: of a training run.

    Raises: UsageError naming the number.
    """
    for name in ("horizon", "steps", "batch", "contrasts"):
        if getattr(settings, name) < 1:
            raise UsageError(f"policy dad: {name}={getattr(settings, name)}: must be at least 1")
    for name in ("rate", "decay", "clip"):
        if not 0 < getattr(settings, name) < float("inf"):
            raise UsageError(f"policy dad: {name}={getattr(settings, name)}: must be above 0")


def build_optimiser(settings: Settings) -> optax.GradientTransformation:
    """Build Adam on clipped gradients, with a step size that decays in stairs.

    settings: of a training run.

    Returns: the optimiser; it skips gradients that are not finite.
    """

    def clipped(updates: Any, params: Any = None) -> Any:
        largest = jnp.max(jnp.stack([jnp.max(jnp.abs(x)) for x in jax.tree.leaves(updates)]))
        scale = jnp.minimum(1.0, settings.clip / jnp.maximum(largest, 1e-12))
        # A single gradient that is not finite must not end a long training run.
        fine = jnp.isfinite(largest)
        return jax.tree.map(lambda x: jnp.where(fine, scale * x, 0.0), updates)

    rate = optax.exponential_decay(settings.rate, STAIR, settings.decay, staircase=True)
    return optax.chain(optax.stateless(clipped), optax.adam(rate, settings.b1, settings.b2))
