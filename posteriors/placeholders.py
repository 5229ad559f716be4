"""Placeholder arguments and events of a model, from which shapes and dtypes are read.

Made once per model and precision, outside any trace.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

from .base import Array, Distribution, Event, Model, Params, dist

T = TypeVar("T")


def example(model: Model) -> tuple[Params, Any, Array]:
    """Return placeholder arguments of `predict`, from which shapes are read.

    model: any model.

    Returns: unknowns by name, statistics and an action, each leaf a `jax.ShapeDtypeStruct`.
    """
    return _example(model, jax.config.read("jax_enable_x64"))


@lru_cache(maxsize=64)
def _example(model: Model, x64: bool) -> tuple[Params, Any, Array]:
    """Make the arguments, once per model and precision."""
    # The first caller may be tracing; what is cached must not belong to its trace.
    with jax.core.eval_context():
        return jax.eval_shape(lambda: _make_arguments(model))


def example_values(model: Model) -> tuple[Params, Any, Array]:
    """Return arguments of `predict` that are numbers: a prior draw and an action of zeros.

    model: any model.
    """
    # One program: dozens of one operation each take longer to fetch than all of this to compute.
    with jax.core.eval_context():
        return jax.jit(lambda: _make_arguments(model))()


def look_at_prediction(model: Model, look: Callable[[Distribution], T]) -> T:
    """Read kinds and shapes off the predicted distribution, for which no program is compiled.

    model: any model.
    look: a function of the distribution, whose parameters are traced.

    Returns: the result of `look`.
    """
    seen: list[T] = []

    def predict(*arguments: Any) -> None:
        seen.append(look(model.predict(*arguments)))

    jax.eval_shape(predict, *example(model))
    return seen[-1]


def _make_arguments(model: Model) -> tuple[Params, Any, Array]:
    """Draw the unknowns, and make statistics and an action."""
    prior = model.prior()
    keys = jax.random.split(jax.random.key(0), len(prior))
    named = zip(keys, prior.items(), strict=True)
    params = {name: _placeholder(key, d) for key, (name, d) in named}
    return params, model.init_stats(), jnp.zeros(model.actions.size)


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
    shape = look_at_prediction(model, lambda d: d.event_shape)
    real = jnp.result_type(float)
    with jax.core.eval_context():  # arrays of the host, which need no program to be made
        action = jnp.asarray(np.zeros(model.actions.size, real))
        zero, position = jnp.asarray(np.zeros((), real)), jnp.asarray(np.zeros((), np.int32))
        return Event(action, jnp.asarray(np.zeros(shape, real)), zero, position, zero)


__all__ = ["example", "example_event", "example_values", "look_at_prediction"]
