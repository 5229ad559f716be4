"""Exact Bayes over finitely many hypotheses, or a grid over few continuous unknowns.

Not here: anything approximate save the grid itself. `refine` is the identity.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .base import Array, Belief, Draws, Event, Info, Model, Options, Posterior, UsageError
from .idle import nothing_to_refine
from .trailing import across
from .unknowns import likelihood, normalise, unknowns_of

LIMIT = 300_000
GRID_WIDTH = 4.0
"""Half width of a grid in prior standard deviations of the unconstrained coordinate."""


@dataclass(frozen=True)
class Exact(Options):
    """grid: points along each continuous unknown."""

    refine: ClassVar[int] = 0
    learns_at_once: ClassVar[bool] = True

    grid: int = 64


class State(NamedTuple):
    """log_weights `[H]`, stats the model's summary of events so far."""

    log_weights: Array
    stats: Any


def hypotheses(model: Model, grid: int) -> tuple[np.ndarray, np.ndarray]:
    """All values `[H, D]` with prior log weights `[H]`, normalised."""
    unknowns = unknowns_of(model)
    if unknowns.discrete:
        found = unknowns.enumerate(LIMIT)
        if found is None:
            raise UsageError(
                f"posterior exact cannot enumerate {type(model).__name__}: more than {LIMIT} "
                "hypotheses; use smc"
            )
        values, logs = found
    else:
        if grid**unknowns.size > LIMIT:
            raise UsageError(
                f"posterior exact would need {grid}^{unknowns.size} grid points for "
                f"{type(model).__name__}, the limit is {LIMIT}: lower grid or use smc"
            )
        mean, sd = unknowns.gaussian()
        steps = np.linspace(-GRID_WIDTH, GRID_WIDTH, grid)
        axes = [m + s * steps for m, s in zip(mean, sd, strict=True)]
        values = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, unknowns.size)
        logs = np.asarray(jax.vmap(unknowns.log_prior)(jnp.asarray(values)))
    return values, logs - np.logaddexp.reduce(logs)


def build(model: Model, config: Exact) -> Posterior:
    """Enumerate the model's unknowns and reweight them."""
    if model.latent:
        raise UsageError(
            f"posterior exact cannot follow the moving unknowns of {type(model).__name__}; "
            "use smc, or laplace where the model is linear"
        )
    values, prior = hypotheses(model, config.grid)
    dtype = jnp.result_type(float)

    def init(key: Array) -> State:
        return State(jnp.asarray(prior, dtype), model.init_stats())

    def absorb(key: Array, state: State, events: Event) -> State:
        every = jnp.asarray(values.T, unknowns_of(model).dtype)

        def step(state: State, event: Event) -> tuple[State, None]:
            logs = across(
                lambda u: likelihood(model, u, state.stats, event.action, event.observation),
                every,
            )
            gained = jnp.where(event.weight > 0, event.weight * logs, 0.0)
            stats = model.update_stats(state.stats, event)
            return State(normalise(state.log_weights + gained), stats), None

        return jax.lax.scan(step, state, events)[0]

    def belief(key: Array, state: State, now: Array) -> Belief:
        return Draws(jnp.asarray(values, unknowns_of(model).dtype), state.log_weights)

    def fade(key: Array, state: State, factor: Array) -> State:
        logs = state.log_weights
        fallen = logs + (factor - 1) * (logs - jnp.asarray(prior, dtype))
        # What an event has ruled out stays so: no share of minus infinity is less.
        return state._replace(log_weights=normalise(jnp.where(jnp.isfinite(logs), fallen, logs)))

    return Posterior(init, absorb, nothing_to_refine(), belief, fade)


__all__ = ["Exact", "Info", "build", "hypotheses"]
