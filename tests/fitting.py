"""Posteriors run to the end: a block of events taken in, then many refines in one compiled loop."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from uncertain.posteriors.base import Event, Posterior


def events_of(actions: Any, observations: Any) -> Event:
    """A block of events of weight 1, one second apart."""
    n = len(observations)
    return Event(
        jnp.asarray(actions, jnp.float32),
        jnp.asarray(observations, jnp.float32),
        jnp.arange(n, dtype=jnp.float32),
        jnp.arange(n, dtype=jnp.int32),
        jnp.ones(n),
    )


def fit(posterior: Posterior, events: Event, sizes: Any, steps: int, seed: int = 0) -> Any:
    """The state after all events and `steps` refines at each of the step sizes, one after another.

    An empty `sizes` refines `steps` times at the posterior's own.
    """

    @jax.jit
    def run(key: Any, events: Event, sizes: Any) -> Any:
        start_key, keep_key, *climb_keys = jax.random.split(key, 2 + max(len(sizes), 1))
        state = posterior.absorb(keep_key, posterior.init(start_key), events)
        for i, climb_key in enumerate(climb_keys):
            if len(sizes):
                state = state._replace(step_size=sizes[i])
            keys = jax.random.split(climb_key, steps)
            state = jax.lax.scan(lambda s, k: (posterior.refine(k, s)[0], None), state, keys)[0]
        return state

    return run(jax.random.key(seed), events, jnp.asarray(sizes, jnp.float32))


def values_of(posterior: Posterior, state: Any, seed: int = 0) -> np.ndarray:
    """`[S, D]` draws of a belief, in float64."""
    belief: Any = jax.jit(posterior.belief)(jax.random.key(seed), state, jnp.float32(0))
    return np.asarray(belief.values, float)
