"""Memories filled with made-up events, and the plain sums to agree with."""

import jax
import jax.numpy as jnp
import numpy as np
from uncertain.posteriors.base import Event, Model
from uncertain.posteriors.parts.replay_buffer import Buffer, ReplayBuffer
from uncertain.posteriors.parts.unknowns import log_likelihood, unknowns_of
from uncertain.posteriors.registry import build_model

ROUNDING = 1e-4
"""Relative rounding of a float32 sum of some fifty terms in another order."""


def fill(store: ReplayBuffer, events: Event, guess, seed: int = 0) -> Buffer:
    """Push every event of a block."""
    n = events.weight.shape[0]

    @jax.jit
    def run(keys, events):
        def step(buffer, item):
            return store.push(item[0], buffer, item[1], guess), None

        return jax.lax.scan(step, store.empty(), (keys, events))[0]

    return run(jax.random.split(jax.random.key(seed), n), events)


def across(function, particles):
    """Map over the last axis."""
    return jax.vmap(function, in_axes=1)(particles)


def direct(model: Model, events: Event, particles, stats=()):
    """Sum of log likelihoods, event by event, summed in float64; and the stats after them."""

    @jax.jit
    def run(events):
        def step(stats, event):
            logs = across(
                lambda u: log_likelihood(model, u, stats, event.action, event.observation),
                particles,
            )
            return model.update_stats(stats, event), event.weight * logs

        return jax.lax.scan(step, stats, events)

    after, logs = run(events)
    return np.asarray(logs, float).sum(0), after


def draws(model: Model, n: int = 5):
    return jax.jit(unknowns_of(model).sample, static_argnums=1)(jax.random.key(7), n).T


LOGISTIC = build_model("logistic:arms=0:features=3")
CENTER = jnp.zeros(3)
