"""Chains over a space of candidates, each moved to neighbours by Metropolis and Hastings.

The evidence of an object comes from the model's statistics: an event costs no more late in a
stream than early, and a proposal a few look-ups.

Cost: a refine step is `steps` proposals a chain; absorbing an event updates the statistics only.
Take it when: graphs or programs are too many to sum exactly, and there is time between events.
Not when: an exact sum is within reach (see exact); modes far apart hold chains (see smc).
Source: Metropolis et al. (1953); Madigan and York (1995) for graphs.
See also: ../spaces/base.py for spaces.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from ..base import Array, Belief, Event, Info, Model, Options, Posterior, Span
from ..errors import UsageError
from ..parts.draws import uniform_draws
from ..parts.unknowns import unknowns_of
from ..searches.evidence import require_evidence
from ..searches.moves import metropolis


@dataclass(frozen=True)
class MCMC(Options):
    """Options of the chains.

    particles: S chains.
    steps: proposals a chain in one refine step.
    """

    refine: ClassVar[int] = 2
    search: ClassVar[Any] = {"steps": Span(4, 256)}

    particles: int = 32
    steps: int = 32


class State(NamedTuple):
    """State of the method.

    objects: `[S, n]`.
    stats: the model's running statistics.
    """

    objects: Array
    stats: Any


def build(model: Model, config: MCMC) -> Posterior:
    """Build a posterior of chains that start from prior draws.

    model: a model over a space with neighbours, and with its evidence.
    config: the options.

    Raises: UsageError if the model has no such space.
    """
    evidence = require_evidence("mcmc", model)
    if config.steps < 1:
        raise UsageError(f"steps={config.steps}: must be at least 1")
    unknowns, count = unknowns_of(model), config.particles

    def init(key: Array) -> State:
        return State(unknowns.sample(key, count), model.init_stats())

    def absorb(key: Array, state: State, events: Event) -> State:
        def one(stats: Any, event: Event) -> tuple[Any, None]:
            return model.update_stats(stats, event), None

        return state._replace(stats=jax.lax.scan(one, state.stats, events)[0])

    def refine(key: Array, state: State) -> tuple[State, Info]:
        moved = metropolis(evidence, key, state.objects, state.stats, config.steps)
        info = Info(
            jnp.asarray(float(count * config.steps)),
            jnp.all(jnp.isfinite(moved.target)),
            {"acceptance": moved.acceptance, "log_posterior": jnp.mean(moved.target)},
        )
        return state._replace(objects=moved.objects), info

    def belief(key: Array, state: State, now: Array) -> Belief:
        return uniform_draws(state.objects)

    return Posterior(init, absorb, refine, belief)
