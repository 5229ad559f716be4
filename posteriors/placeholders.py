"""Placeholder arguments and events of a model, from which shapes and dtypes are read.

Made once per model and precision, outside any trace.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

from .base import Array, Distribution, Event, Model, Params, dist


def example(model: Model) -> tuple[Params, Any, Array]:
    """Return placeholder arguments of `predict`, from which shapes are read.

    model: any model.
    """
    return _example(model, jax.config.read("jax_enable_x64"))


@lru_cache(maxsize=64)
def _example(model: Model, x64: bool) -> tuple[Params, Any, Array]:
    """Make the arguments, once per model and precision."""

    def make_arguments() -> tuple[Params, Any, Array]:
        prior = model.prior()
        keys = jax.random.split(jax.random.key(0), len(prior))
        named = zip(keys, prior.items(), strict=True)
        params = {name: _placeholder(key, d) for key, (name, d) in named}
        return params, model.init_stats(), jnp.zeros(model.actions.size)

    # The first caller may be tracing; cached values must be numbers all the same. One program,
    # because dozens of one operation each take longer to fetch than all of this to compute.
    with jax.core.eval_context():
        return jax.jit(make_arguments)()


def _placeholder(key: Array, d: Distribution) -> Array:
    """Any value of an unknown; a flat prior has no draws."""
    if not isinstance(d, dist.ImproperUniform):
        return jnp.asarray(d.sample(key))
    onto = dist.biject_to(d.support)
    return onto(jnp.zeros(onto.inverse_shape(d.event_shape)))


def example_event(model: Model) -> Event:
    """Return an event of weight 0 with the model's shapes and dtypes.

    model: any model.
    """
    return _example_event(model, jax.config.read("jax_enable_x64"))


@lru_cache(maxsize=64)
def _example_event(model: Model, x64: bool) -> Event:
    """Make the event, once per model and precision."""
    given = example(model)
    shape = jax.eval_shape(lambda given: jnp.zeros(model.predict(*given).event_shape), given).shape
    real = jnp.result_type(float)
    with jax.core.eval_context():  # arrays of the host, which need no program to be made
        zero, position = jnp.asarray(np.zeros((), real)), jnp.asarray(np.zeros((), np.int32))
        return Event(given[2], jnp.asarray(np.zeros(shape, real)), zero, position, zero)


__all__ = ["example", "example_event"]
