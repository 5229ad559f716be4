"""Exact Bayes over finitely many hypotheses, or over a grid of few continuous unknowns.

The only approximation is the grid itself. A space that is too large for a list, as all graphs of
5 to 11 nodes, is summed where it can be, and decisions see independent draws.

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

from ..base import Array, Belief, Draws, Event, Model, Options, Posterior, provides
from ..errors import UsageError
from ..parts.draws import normalise, uniform_draws
from ..parts.no_refine import no_refine
from ..parts.unknowns import log_likelihood, unknowns_of
from ..parts.vmap_last import vmap_last
from ..spaces.base import Space, has_ability

LIMIT = 300_000
"""Most hypotheses."""
LISTED = 1000
"""Objects of a space up to which all are listed, although they could be summed."""
GRID_WIDTH = 4.0
"""Half width of a grid in prior standard deviations of the unconstrained coordinate."""


@dataclass(frozen=True)
class Exact(Options):
    """Options of the enumeration.

    grid: points along each continuous unknown.
    draws: independent draws that a decision sees of a space too large for a list.
    """

    refine: ClassVar[int] = 0
    learns_at_once: ClassVar[bool] = True

    grid: int = 64
    draws: int = 128


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
    space = unknowns_of(model).space
    summable = has_ability(space, "exact sums") and provides(model, "local_scores")
    if space is not None and summable and unknowns_of(model).enumerate(LISTED) is None:
        return _build_sums(model, space, config.draws)
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


class Sums(NamedTuple):
    """State over a space that is summed, not listed.

    stats: the model's running statistics.
    sums: from the space's `sum_local`.
    """

    stats: Any
    sums: Any


def _build_sums(model: Model, space: Space, count: int) -> Posterior:
    """Build a posterior that sums over all objects after every block of events."""

    def summed(stats: Any) -> Sums:
        return Sums(stats, space.sum_local(model.local_scores(stats)))

    jax.eval_shape(summed, model.init_stats())  # refuses a space that is too large

    def init(key: Array) -> Sums:
        return summed(model.init_stats())

    def absorb(key: Array, state: Sums, events: Event) -> Sums:
        def one(stats: Any, event: Event) -> tuple[Any, None]:
            return model.update_stats(stats, event), None

        return summed(jax.lax.scan(one, state.stats, events)[0])

    def belief(key: Array, state: Sums, now: Array) -> Belief:
        return uniform_draws(space.draw_local(key, state.sums, count))

    return Posterior(init, absorb, no_refine(), belief)
