"""The template passes the contract, and its belief is that of a closed form."""

from functools import cache
from typing import Any

import contract_checks as checks
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from contract_checks import Bound
from support import small
from uncertain.posteriors.errors import UsageError
from uncertain.posteriors.methods.template import Template, build
from uncertain.posteriors.registry import build_model


@cache
def bound(model: str) -> Bound:
    made = build_model(small(model))
    return Bound(build(made, Template(particles=12)), made)


@pytest.mark.parametrize("model", ["causal-pair", "linear"])
@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda c: c.__name__)
def test_contract(check: Any, model: str) -> None:
    check(bound(model))


def test_belief_of_a_closed_form() -> None:
    """Three events on one arm, as tests of other methods: the mean is right within 5 standard
    errors of the effective draws, less than one failure in a million; the prior's is not."""
    model = build_model("linear:arms=1:features=0")
    posterior = build(model, Template(particles=20_000))
    state = jax.jit(posterior.init)(jax.random.key(1))
    pair = Bound(posterior, model)
    event = pair.event(0)._replace(observation=np.full(1, 1.0, np.float32))
    after = state
    for i in range(3):
        after = pair.absorb(jax.random.key(i), after, event)
    # Prior N(0, 1), noise 1/2: precision 1 + 3 * 4, mean 12 / 13.
    mean, variance = 12 / 13, 1 / 13
    weights = jnp.exp(after.log_weights)
    error = 5 * float((variance * jnp.sum(weights**2)) ** 0.5)
    assert abs(float(jnp.sum(weights * after.values[0])) - mean) < error
    assert abs(float(jnp.mean(state.values[0])) - mean) > error


def test_moving_unknowns_are_refused() -> None:
    with pytest.raises(UsageError, match="use smc"):
        build(build_model(small("drifting")), Template())
