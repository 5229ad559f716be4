"""bonus against the exact posterior where it has no correlations, and against plain counts.

See also: tests/posteriors/test_contract.py for the contract.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fitting import events_of, fit
from support import compiled
from uncertain.decide.rules.base import Candidates, arm_features
from uncertain.decide.rules.registry import build_rule
from uncertain.posteriors.base import Gaussian
from uncertain.posteriors.errors import UsageError
from uncertain.posteriors.models.linear import Linear
from uncertain.posteriors.registry import build_model, build_posterior

ARMS = Linear(arms=2, features=3, noise=0.7, scale=1.5)
PATTERNS = np.array([[1, 1, 1], [-1, 1, -1], [1, -1, -1], [-1, -1, 1]])
"""With an intercept: four orthogonal columns."""
SIZES = [0.1, 0.01, 0.001]


def seen(correlated: bool):
    """Actions `[n, 4]`, design `[n, 8]` and outcomes of both arms, one tried twice as often."""
    context = np.concatenate([PATTERNS] * 6).astype(float)
    if correlated:
        context[:, 1] = 0.9 * context[:, 0] + 0.1 * context[:, 1]
    arm = np.repeat([0, 1, 1], 8)
    design = np.zeros((24, 2, 4))
    design[np.arange(24), arm] = np.column_stack([np.ones(24), context])
    outcomes = np.random.default_rng(0).normal(size=24) + arm
    return np.column_stack([arm, context]), design.reshape(24, 8), outcomes


def belief_of(text: str, model, actions, outcomes) -> Gaussian:
    posterior = compiled(build_posterior(text, model))
    state = fit(posterior, events_of(actions, outcomes), SIZES, 500)
    belief = posterior.belief(jax.random.key(0), state, jnp.float32(0))
    assert isinstance(belief, Gaussian)
    return belief


def exact(design, outcomes) -> tuple[np.ndarray, np.ndarray]:
    precision = design.T @ design / ARMS.noise**2 + np.eye(8) / ARMS.scale**2
    covariance = np.linalg.inv(precision)
    return covariance @ design.T @ outcomes / ARMS.noise**2, np.diag(covariance)


def test_orthogonal_features_leave_nothing_out() -> None:
    actions, design, outcomes = seen(correlated=False)
    belief = belief_of("bonus", ARMS, actions, outcomes)
    mean, variance = exact(design, outcomes)
    assert belief.covariance.shape == (8, 1, 1)
    assert np.allclose(belief.covariance[:, 0, 0], variance, rtol=1e-5)
    # The climb ends within a few of its smallest steps of 0.001 x 1.5.
    assert np.allclose(belief.mean, mean, atol=0.01)
    # Negative control: with correlated features a diagonal is too sure of itself.
    actions, design, outcomes = seen(correlated=True)
    narrow = belief_of("bonus", ARMS, actions, outcomes).covariance[:, 0, 0]
    assert np.all(narrow < 1.0001 * exact(design, outcomes)[1])
    assert np.min(narrow / exact(design, outcomes)[1]) < 0.5


def test_scale_widens_the_bonus_alone() -> None:
    actions, _, outcomes = seen(correlated=False)
    one, two = (belief_of(f"bonus:scale={s}", ARMS, actions, outcomes) for s in (1, 2))
    assert np.allclose(two.covariance, 4 * one.covariance, rtol=1e-5)
    assert np.array_equal(two.mean, one.mean)


def test_counts_of_events_that_touch_a_coordinate() -> None:
    actions, design, outcomes = seen(correlated=False)
    design[:5, 1] = actions[:5, 1] = 0.0
    belief = belief_of("bonus:novelty=count", ARMS, actions, outcomes)
    counts = (design != 0).sum(0)
    assert counts.tolist() == [8, 3, 8, 8, 16, 16, 16, 16]
    assert np.allclose(belief.covariance[:, 0, 0], ARMS.scale**2 / (1 + counts), rtol=1e-5)


def test_information_of_a_yes_or_no_is_taken_at_the_guess() -> None:
    model = build_model("logistic:arms=0:features=2")
    posterior = compiled(build_posterior("bonus:jitter=2", model))
    state = posterior.init(jax.random.key(3))
    x = np.array([0.5, -2.0])
    odds = float(x @ np.asarray(state.estimate.params))
    probability = 1 / (1 + np.exp(-odds))
    state = posterior.absorb(jax.random.key(1), state, events_of(x[None], [1.0]))
    belief = posterior.belief(jax.random.key(0), state, jnp.float32(0))
    assert isinstance(belief, Gaussian)
    expected = 1 / (1 + probability * (1 - probability) * x**2)
    assert np.allclose(belief.covariance[:, 0, 0], expected, rtol=1e-5)
    # Negative control: at even odds it would be another number.
    assert not np.allclose(belief.covariance[:, 0, 0], 1 / (1 + 0.25 * x**2), rtol=1e-2)


@pytest.mark.parametrize("rule", ["ucb", "thompson", "eig"])
@pytest.mark.parametrize("novelty", ["gradient", "count"])
def test_rules_go_where_it_has_not_been(rule: str, novelty: str) -> None:
    """The arm that paid a little more was tried ten times as often."""
    model = Linear(arms=2, features=0, noise=0.7, scale=1.5)
    arm = np.repeat([0.0, 1.0], [40, 4])
    offered = Candidates(arm_features(2, jnp.zeros(0)), jnp.ones(2, bool), jnp.ones(2))

    paid = np.where(arm == 0, 0.1, 0.0)
    belief = belief_of(f"bonus:novelty={novelty}", model, arm[:, None], paid)
    rule_of = build_rule(rule, model)

    @jax.jit
    def choices(belief: Gaussian):
        keys = jax.random.split(jax.random.key(0), 500)
        return jax.vmap(lambda key: rule_of(key, belief, model, (), offered).index)(keys)

    def rare(scale: float) -> float:
        """How often the rarely tried arm is chosen."""
        narrow = belief._replace(covariance=scale**2 * belief.covariance)
        return float(np.mean(choices(narrow)))

    chosen = rare(1.0)
    assert (0.2 < chosen < 0.5) if rule == "thompson" else chosen > 0.9
    # Negative control: without the bonus there is no reason to (information alone ignores pay).
    assert rule == "eig" or rare(0.01) < 0.01


def test_unknown_novelty_is_refused() -> None:
    with pytest.raises(UsageError, match=r"bonus: novelty='surprise': choose gradient or count"):
        build_posterior("bonus:novelty=surprise", ARMS)
