"""What kind of outcome a model predicts, read once when things are built.

Not here: information gain, which chooses its formula by this kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .base import Distribution, Model, UsageError, dist, example


@dataclass(frozen=True)
class Finite:
    """Finitely many outcomes; `values` are their codes."""

    values: tuple[float, ...]

    @property
    def array(self) -> np.ndarray:
        return np.asarray(self.values)


@dataclass(frozen=True)
class Scalar:
    """One continuous number. `normal`: its distribution is Normal, with closed-form entropy."""

    normal: bool


@dataclass(frozen=True)
class Other:
    """Anything else (vectors, counts without a bound): sampled, not integrated."""

    shape: tuple[int, ...]


Kind = Finite | Scalar | Other

COUNTED = (dist.BinomialLogits, dist.BinomialProbs, dist.Poisson)
"""Exponential families of counts that have their mean as only parameter."""


@lru_cache(maxsize=256)
def outcome_kind(model: Model) -> Kind:
    """The kind of a model's outcome."""
    found: list[Kind] = []

    def look(*given: Any) -> jax.Array:
        d = model.predict(*given)
        # Which values there are is a matter of numbers, not of shapes.
        found[:] = [] if d.has_enumerate_support else [_kind(model, d)]
        return jnp.zeros(())

    given = example(model)
    jax.eval_shape(look, *given)
    if found:
        return found[0]
    with jax.ensure_compile_time_eval():
        return _kind(model, model.predict(*given))


def _kind(model: Model, d: Distribution) -> Kind:
    if d.batch_shape:
        raise UsageError(
            f"model {type(model).__name__}: predict() has batch shape {d.batch_shape}; return the "
            f"distribution of one observation (end it with .to_event({len(d.batch_shape)}))"
        )
    if d.event_shape:
        return Other(tuple(d.event_shape))
    if d.has_enumerate_support:
        support = np.ravel(np.asarray(d.enumerate_support(expand=False)))
        return Finite(tuple(float(v) for v in support))
    if d.support is not None and not is_discrete(d):
        return Scalar(type(d).__name__ == "Normal")
    return Other(())


@lru_cache(maxsize=256)
def counted(model: Model) -> bool:
    """Whether a model's outcome is a count known by its mean alone (`COUNTED`)."""
    with jax.ensure_compile_time_eval():
        return isinstance(model.predict(*example(model)), COUNTED)


def is_discrete(d: Distribution) -> bool:
    """Whether a distribution's support is one of integers."""
    support: Any = d.support  # NumPyro types it as a function from values, which has no such field
    return bool(support.is_discrete)


def sampled(key: jax.Array, d: Distribution) -> jax.Array:
    """One outcome drawn from `d`, under a key of any kind."""
    if d.support is not None and is_discrete(d) and not d.has_enumerate_support:
        # JAX draws counts without a bound from Threefry keys alone; one is made of any other.
        data = jax.random.bits(key, (2,), jnp.uint32)
        key = jax.random.wrap_key_data(data, impl="threefry2x32")
    return jnp.asarray(d.sample(key))


def log_prob(d: Distribution, observation: jax.Array) -> jax.Array:
    """Log probability `[]` of an observation, which travels as a float whatever its kind."""
    if d.support is not None and is_discrete(d):
        observation = observation.astype(jnp.int32)
    return jnp.asarray(d.log_prob(observation))


def log_probs(d: Distribution, kind: Finite) -> jax.Array:
    """Log probability `[K]` of every outcome."""
    return jax.vmap(lambda y: log_prob(d, y))(jnp.asarray(kind.array))
