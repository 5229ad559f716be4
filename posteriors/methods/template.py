"""Importance sampling: reweighted draws from the prior. Copy this file to begin a method.

It is whole and passes the contract, but is not in the registry: too few of its draws stay likely.
`--posterior posteriors/methods/template.py:build` runs it.

Cost: absorbing an event is S likelihoods; there is nothing to refine.
Take it when: a new method needs a first version to compare with.
Not when: more than a handful of events is learnt; smc moves the draws as well.
Source: Geweke (1989), Econometrica 57, 1317.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from ..base import Array, Belief, Draws, Event, Model, Options, Posterior
from ..errors import UsageError
from ..parts.draws import normalise
from ..parts.no_refine import no_refine
from ..parts.unknowns import log_likelihood, unknowns_of
from ..parts.vmap_last import vmap_last


@dataclass(frozen=True)
class Template(Options):
    """Options, as in `--posterior NAME:particles=64`. List them here, one line each.

    particles: S.
    """

    # The defaults of a bench and of a stream: no refine steps, as `absorb` learns everything.
    refine: ClassVar[int] = 0
    learns_at_once: ClassVar[bool] = True
    # `tune` tries these: {"option": Span(low, high)} or {"option": (one, two)}.
    search: ClassVar[Any] = {}

    particles: int = 256


class State(NamedTuple):
    """State of the method: arrays of fixed shapes, so that the loop compiles once.

    values: `[D, S]`. Particles lie on the last axis, which is several times faster on a CPU.
    log_weights: `[S]`, normalised.
    stats: the model's running statistics.
    """

    values: Array
    log_weights: Array
    stats: Any


def build(model: Model, config: Template = Template()) -> Posterior:
    """Build a posterior of reweighted prior draws.

    model: with unknowns that stand still.
    config: the options.

    Raises: UsageError if an option is out of range or the unknowns move.
    """
    # Refuse here, naming method, model and remedy. Nothing may raise once the loop runs.
    if config.particles < 1:
        raise UsageError(f"particles={config.particles}: must be 1 or more")
    if model.latent:
        raise UsageError(f"posterior template cannot follow {type(model).__name__}; use smc")
    # Flat coordinates on the real line; constrained parameters exist only inside the model.
    unknowns = unknowns_of(model)
    level = -math.log(config.particles)

    def init(key: Array) -> State:
        """Begin with the prior."""
        values = unknowns.sample(key, config.particles).T
        # With its type stated: a weak one would compile `absorb` twice.
        weights = jnp.full(config.particles, level, jnp.result_type(float))
        return State(values, weights, model.init_stats())

    def absorb(key: Array, state: State, events: Event) -> State:
        """Reweight by a block of events `[B, ...]`, one after the other."""

        def step(state: State, event: Event) -> tuple[State, None]:
            logs = vmap_last(
                lambda u: log_likelihood(model, u, state.stats, event.action, event.observation),
                state.values,
            )
            # An event of weight 0 is padding and may hold NaN, and 0 times NaN is NaN: select.
            gained = jnp.where(event.weight > 0, event.weight * logs, 0.0)
            weights = normalise(state.log_weights + gained)
            # The statistics are those before the event wherever its likelihood is taken.
            return State(state.values, weights, model.update_stats(state.stats, event)), None

        return jax.lax.scan(step, state, events)[0]

    # A method that iterates has `refine(key, state) -> (state, Info(work, healthy, diagnostics))`:
    # one unit of work; healthy is False where anything is not finite (parts/no_refine.py).
    refine = no_refine()

    def belief(key: Array, state: State, now: Array) -> Belief:
        """Return draws `[S, D]`, or a `Gaussian`."""
        return Draws(state.values.T, state.log_weights)

    def fade(key: Array, state: State, factor: Array) -> State:
        """Let every past event count `factor` times as much; leave it out if impossible."""
        # The prior's weights are equal, so that factor 0 leaves the prior.
        logs = state.log_weights
        fallen = normalise(jnp.where(jnp.isfinite(logs), factor * logs, logs))
        return state._replace(log_weights=fallen)

    return Posterior(init, absorb, refine, belief, fade)
