"""Exact Bayes over finitely many hypotheses, or over a grid of few continuous unknowns.

The only approximation is the grid itself.

Cost: absorbing an event evaluates its likelihood at every hypothesis; there is nothing to refine.
Take it when: there are at most some 100 000 hypotheses; it is the reference for all other methods.
Not when: there are more, three or more continuous unknowns, or unknowns that move.
Source: Bayes' rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..base import Array, Belief, Draws, Event, Model, Options, Posterior
from ..errors import UsageError
from ..parts.draws import normalise
from ..parts.no_refine import no_refine
from ..parts.unknowns import log_likelihood, unknowns_of
from ..parts.vmap_last import vmap_last

LIMIT = 300_000
"""Most hypotheses."""
GRID_WIDTH = 4.0
"""Half width of a grid in prior standard deviations of the unconstrained coordinate."""


@dataclass(frozen=True)
class Exact(Options):
    """Options of the enumeration.

    grid: points along each continuous unknown.
    """

    refine: ClassVar[int] = 0
    learns_at_once: ClassVar[bool] = True

    grid: int = 64


class State(NamedTuple):
    """State of the method.

    log_weights: `[H]`, normalised.
    stats: the model's running statistics.
    """

    log_weights: Array
    stats: Any


def enumerate_hypotheses(model: Model, grid: int) -> tuple[np.ndarray, np.ndarray]:
    """List all values of a model's unknowns.

    model: with discrete unknowns, or few continuous ones.
    grid: points along each continuous unknown.

    Returns: values `[H, D]` and normalised prior log weights `[H]`.
    Raises: UsageError if there are more than `LIMIT`.
    """
    unknowns = unknowns_of(model)
    if unknowns.discrete:
        listed = unknowns.enumerate(LIMIT)
        if listed is None:
            raise UsageError(
                f"posterior exact cannot enumerate {type(model).__name__}: more than {LIMIT} "
                "hypotheses; use smc"
            )
        values, logs = listed
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
    """Build a posterior that reweights every hypothesis by every event.

    model: with unknowns that stand still and can be enumerated.
    config: the options.

    Raises: UsageError if the unknowns move or are too many.
    """
    if model.latent:
        raise UsageError(
            f"posterior exact cannot follow the moving unknowns of {type(model).__name__}; "
            "use smc, or laplace where the model is linear"
        )
    values, prior = enumerate_hypotheses(model, config.grid)
    dtype = jnp.result_type(float)

    def init(key: Array) -> State:
        return State(jnp.asarray(prior, dtype), model.init_stats())

    def absorb(key: Array, state: State, events: Event) -> State:
        every = jnp.asarray(values.T, unknowns_of(model).dtype)

        def step(state: State, event: Event) -> tuple[State, None]:
            logs = vmap_last(
                lambda u: log_likelihood(model, u, state.stats, event.action, event.observation),
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
        # Hypotheses that an event has ruled out stay so: no share of minus infinity is less.
        return state._replace(log_weights=normalise(jnp.where(jnp.isfinite(logs), fallen, logs)))

    return Posterior(init, absorb, no_refine(), belief, fade)
