"""exact against sums written out by hand: finite sets, grids and collapsed structures.

The references are NumPy in float64 and share no code with the backend.

See also: tests/posteriors/test_contract.py for the contract.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats as scipy_stats
from support import block, compiled, simulate
from toys import Coin
from uncertain.posteriors.base import Event
from uncertain.posteriors.errors import UsageError
from uncertain.posteriors.models.finite import COINS
from uncertain.posteriors.registry import build_model, build_posterior

FLOAT32 = 2e-5
"""Rounding of some fifty float32 sums of log probabilities of order one to ten."""


def learned(text: str, model, events: Event):
    """The belief after a block of events."""
    posterior = compiled(build_posterior(text, model))
    key = jax.random.key(0)
    state = jax.jit(posterior.absorb)(key, posterior.init(key), events)
    return posterior.belief(key, state, jnp.zeros(()))


def test_finite_is_bayes_rule() -> None:
    model = build_model("finite")
    events = simulate(model, 12)
    table = np.asarray(COINS)
    weights = np.full(len(table), 0.25)
    for arm, outcome in zip(np.asarray(events.action)[:, 0], events.observation, strict=True):
        weights = weights * table[:, int(arm), int(outcome)]
        weights = weights / weights.sum()
    belief = learned("exact", model, events)
    assert belief.values.dtype == jnp.int32
    np.testing.assert_allclose(np.exp(belief.log_weights), weights, atol=FLOAT32)
    # Negative control: the same events with one outcome turned over.
    other = events._replace(observation=events.observation.at[0].set(1 - events.observation[0]))
    wrong = np.exp(learned("exact", model, other).log_weights)
    assert np.abs(wrong - weights).max() > 100 * FLOAT32


def test_grid_has_the_moments_of_a_beta() -> None:
    """A coin with a Beta prior stays a Beta; the grid must count the Jacobian once."""
    model = Coin()
    heads = np.asarray([1, 1, 0, 1, 0, 1, 1, 1, 0, 1], np.float32)
    n = len(heads)
    events = Event(
        jnp.zeros((n, 1)), jnp.asarray(heads), jnp.zeros(n), jnp.zeros(n, jnp.int32), jnp.ones(n)
    )
    belief = learned("exact:grid=400", model, events)
    chance = 1 / (1 + np.exp(-np.asarray(belief.values[:, 0], float)))
    weights = np.exp(np.asarray(belief.log_weights, float))
    answer = scipy_stats.beta(model.a + heads.sum(), model.b + n - heads.sum())
    mean = weights @ chance
    # The trapezium rule on 400 smooth points is exact far beyond float32.
    assert abs(mean - answer.mean()) < FLOAT32
    assert abs(weights @ (chance - mean) ** 2 - answer.var()) < FLOAT32
    # Negative control: a uniform step in the chance itself, which is a Jacobian too many.
    jacobian = weights * chance * (1 - chance)
    assert abs(jacobian @ chance / jacobian.sum() - answer.mean()) > 100 * FLOAT32


def structures(acts: np.ndarray, codes: np.ndarray, count: float) -> np.ndarray:
    """Posterior over (independent, x causes y, y causes x), one event at a time.

    Each variable left alone is drawn from the Dirichlet-multinomial predictive of its own past
    under its parent's value (Cooper and Yoo 1999); a variable that was set says nothing.
    """
    logs = np.zeros(3)
    for structure in range(3):
        past: dict[tuple, np.ndarray] = {}
        for act, code in zip(acts, codes, strict=True):
            value = {"x": code // 2, "y": code % 2}
            parent = {"x": None, "y": None}
            if structure == 1:
                parent["y"] = value["x"]
            if structure == 2:
                parent["x"] = value["y"]
            for name, fixed in (("x", act in (1, 2)), ("y", act in (3, 4))):
                if fixed:
                    continue
                seen = past.setdefault((name, parent[name]), np.full(2, count))
                logs[structure] += np.log(seen[value[name]] / seen.sum())
                seen[value[name]] += 1
    weights = np.exp(logs - logs.max())
    return weights / weights.sum()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_causal_pair_is_brute_force(seed: int) -> None:
    model = build_model("causal-pair")
    events = simulate(model, 40, seed)
    acts = np.asarray(events.action)[:, 0].astype(int)
    codes = np.asarray(events.observation).astype(int)
    answer = structures(acts, codes, model.prior_count)
    belief = learned("exact", model, events)
    np.testing.assert_allclose(np.exp(belief.log_weights), answer, atol=FLOAT32)
    # Negative control: a scorer that takes interventions for observations.
    wrong = structures(np.zeros_like(acts), codes, model.prior_count)
    assert np.abs(wrong - answer).max() > 100 * FLOAT32


def test_blocks_do_not_matter() -> None:
    model = build_model("causal-pair")
    events = simulate(model, 8, 3)
    posterior = compiled(build_posterior("exact", model))
    key = jax.random.key(0)
    state = posterior.init(key)
    absorb = jax.jit(posterior.absorb)
    for i in range(0, 8, 2):
        state = absorb(key, state, block(events, i, i + 2))
    whole = learned("exact", model, events)
    np.testing.assert_allclose(state.log_weights, whole.log_weights, atol=FLOAT32)


def test_too_many_hypotheses_are_refused() -> None:
    with pytest.raises(UsageError, match=r"64\^4 grid points for Location"):
        build_posterior("exact", build_model("location"))


def test_grid_agrees_with_laplace_and_smc_on_logistic() -> None:
    """Three ways to one posterior: sums, a Gaussian fit, and particles."""
    model = build_model("logistic:arms=0:features=2")
    events = simulate(model, 30, 4)
    grid = learned("exact:grid=120", model, events)
    weights, values = np.exp(np.asarray(grid.log_weights, float)), np.asarray(grid.values, float)
    mean = weights @ values
    sd = np.sqrt(weights @ (values - mean) ** 2)

    def refined(text: str, steps: int):
        posterior = compiled(build_posterior(text, model))
        absorb, refine = jax.jit(posterior.absorb), jax.jit(posterior.refine)
        state = posterior.init(jax.random.key(1))
        for i in range(30):
            state = absorb(jax.random.key(100 + i), state, block(events, i, i + 1))
            for k in range(steps):
                state, _ = refine(jax.random.key(1000 + 10 * i + k), state)
        return posterior.belief(jax.random.key(2), state, jnp.zeros(()))

    gaussian = refined("laplace:capacity=32", 2)
    # The mode of a logistic posterior of 30 events is not its mean: skewness of order 1/sqrt(30).
    apart = np.abs(np.asarray(gaussian.mean) - mean) / sd
    ratio = np.sqrt(np.diag(np.asarray(gaussian.covariance[0]))) / sd
    assert apart.max() < 0.35
    assert np.abs(ratio - 1).max() < 0.2
    draws = refined("smc:particles=1024:capacity=32", 2)
    weight = np.exp(np.asarray(draws.log_weights, float))
    guess = np.asarray(draws.values, float)
    center = weight @ guess
    # Moves leave particles correlated: allow for a quarter of them being independent.
    error = np.sqrt(4 * np.sum(weight**2))
    assert (np.abs(center - mean) / sd).max() < 4.4 * error
    spread = np.sqrt(weight @ (guess - center) ** 2)
    assert np.abs(spread / sd - 1).max() < 4.4 * error
    # Negative control: a belief that stopped ten events earlier.
    early = learned("exact:grid=120", model, block(events, 0, 20))
    other = np.exp(np.asarray(early.log_weights, float)) @ values
    assert (np.abs(other - mean) / sd).max() > 4.4 * error
