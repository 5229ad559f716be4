"""The kind of outcome that a model predicts, determined once when things are built."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.errors import (
    ConcretizationTypeError,
    TracerArrayConversionError,
    TracerIntegerConversionError,
)
from numpyro.distributions import ExpandedDistribution, Independent, Normal

from ..base import Distribution, Model, dist
from ..errors import UsageError
from ..placeholders import example_values, look_at_prediction


@dataclass(frozen=True)
class Finite:
    """Finitely many outcomes.

    values: their codes.
    """

    values: tuple[float, ...]

    @property
    def array(self) -> np.ndarray:
        """The values as an array `[K]`."""
        return np.asarray(self.values)


@dataclass(frozen=True)
class Scalar:
    """One continuous number.

    normal: its distribution is Normal, with closed-form entropy.
    """

    normal: bool


@dataclass(frozen=True)
class Other:
    """Any other outcome (vectors, counts without a bound): sampled, not integrated.

    shape: of the observation.
    """

    shape: tuple[int, ...]


Kind = Finite | Scalar | Other

COUNTED = (dist.BinomialLogits, dist.BinomialProbs, dist.Poisson)
"""Exponential families of counts that have their mean as only parameter."""


@lru_cache(maxsize=256)
def outcome_kind(model: Model) -> Kind:
    """Determine the kind of a model's outcome.

    model: any model.

    Raises: UsageError if `predict` has a batch shape.
    """
    try:
        return look_at_prediction(model, lambda d: _kind(model, d))
    except (
        ConcretizationTypeError,
        TracerArrayConversionError,
        TracerIntegerConversionError,
    ):
        # The number of outcomes is a parameter of the distribution: numbers are needed.
        with jax.ensure_compile_time_eval():
            return _kind(model, model.predict(*example_values(model)))


def _kind(model: Model, d: Distribution) -> Kind:
    """The kind of one predicted distribution."""
    if d.batch_shape:
        raise UsageError(
            f"model {type(model).__name__}: predict() has batch shape {d.batch_shape}; return the "
            f"distribution of one observation (end it with .to_event({len(d.batch_shape)}))"
        )
    if d.event_shape:
        return Other(tuple(d.event_shape))
    if d.has_enumerate_support:
        with jax.ensure_compile_time_eval():
            support = np.ravel(np.asarray(d.enumerate_support(expand=False)))
        return Finite(tuple(float(v) for v in support))
    if d.support is not None and not is_discrete(d):
        return Scalar(type(d).__name__ == "Normal")
    return Other(())


@lru_cache(maxsize=256)
def is_count(model: Model) -> bool:
    """Test whether a model's outcome is a count known by its mean alone (`COUNTED`).

    model: any model.
    """
    return look_at_prediction(model, lambda d: isinstance(d, COUNTED))


def is_discrete(d: Distribution) -> bool:
    """Test whether a distribution's support is one of integers.

    d: any distribution.
    """
    support: Any = d.support  # NumPyro types it as a function from values, which has no such field
    return bool(support.is_discrete)


def is_normal(d: Distribution) -> bool:
    """Test whether a distribution is Normal, possibly expanded or grouped into events.

    d: any distribution.
    """
    return isinstance(base_distribution(d), Normal)


def base_distribution(d: Distribution) -> Distribution:
    """Strip expansion and grouping into events.

    d: any distribution.
    """
    # Only these two: a log-normal and a truncated normal have a normal base as well.
    while isinstance(d, ExpandedDistribution | Independent):
        d = d.base_dist
    return d


def sample_outcome(key: jax.Array, d: Distribution) -> jax.Array:
    """Draw one outcome.

    key: of any kind.
    d: the predicted distribution.
    """
    if d.support is not None and is_discrete(d) and not d.has_enumerate_support:
        # JAX draws counts without a bound from Threefry keys alone; one is made of any other.
        data = jax.random.bits(key, (2,), jnp.uint32)
        key = jax.random.wrap_key_data(data, impl="threefry2x32")
    return jnp.asarray(d.sample(key))


def log_prob(d: Distribution, observation: jax.Array) -> jax.Array:
    """Compute the log probability `[]` of an observation.

    d: the predicted distribution.
    observation: a float, whatever the kind of the outcome.
    """
    if d.support is not None and is_discrete(d):
        observation = observation.astype(jnp.int32)
    return jnp.asarray(d.log_prob(observation))


def log_probs(d: Distribution, kind: Finite) -> jax.Array:
    """Compute the log probability `[K]` of every outcome.

    d: the predicted distribution.
    kind: its outcomes.
    """
    return jax.vmap(lambda y: log_prob(d, y))(jnp.asarray(kind.array))
