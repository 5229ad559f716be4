"""ensemble against the regression that each member solves, and against the whole posterior.

See also: tests/posteriors/test_contract.py for the contract.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import Z, block, compiled, seeded, simulate
from uncertain.posteriors.errors import UsageError
from uncertain.posteriors.methods.ensemble import draw_exponential, draw_poisson
from uncertain.posteriors.registry import build_model, build_posterior

MODEL = build_model("linear:arms=0:features=2:noise=2.0:scale=0.8")
EVENTS = simulate(MODEL, 12, 5)
SETTLED = 1e-3
"""How far from its maximum a member may still be, in posterior standard deviations, or so."""
LIMIT = Z + 0.5
"""Some ten comparisons at a total false-alarm rate of 1e-5 (Bonferroni)."""


def settled(text: str, events: Any = EVENTS, seed: int = 0) -> Any:
    """The state after all events and so many steps, ever smaller, that nothing moves any more."""
    posterior = build_posterior(text, MODEL)

    @jax.jit
    def run(key: Any) -> Any:
        init_key, absorb_key, refine_key = jax.random.split(key, 3)
        state = posterior.absorb(absorb_key, posterior.init(init_key), events)

        def step(state: Any, item: Any) -> Any:
            key, size = item
            return posterior.refine(key, state._replace(step_size=size))[0], None

        # Adam remembers the first, steep steps for a thousand.
        sizes = jnp.concatenate([jnp.full(1500, 0.1), jnp.geomspace(0.1, 1e-4, 1500)])
        return jax.lax.scan(step, state, (jax.random.split(refine_key, 3000), sizes))[0]

    return run(seeded(seed))


def pieces() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Design, outcomes, posterior mean and covariance in float64."""
    x, y = np.asarray(EVENTS.action, float), np.asarray(EVENTS.observation, float)
    covariance = np.linalg.inv(x.T @ x / MODEL.noise**2 + np.eye(2) / MODEL.scale**2)
    return x, y, covariance @ x.T @ y / MODEL.noise**2, covariance


@pytest.mark.parametrize(
    "options",
    ["poisson", "exponential", "none", "exponential:perturb=true", "poisson:anchor=false"],
)
def test_each_member_solves_its_own_regression(options: str) -> None:
    state = settled(f"ensemble:particles=5:capacity=12:bootstrap={options}")
    x, y, _, covariance = pieces()
    members, anchors = np.asarray(state.members, float), np.asarray(state.anchors, float)
    shares = np.ones((12, 5)) if state.shares is None else np.asarray(state.shares, float)[:12]
    noise = np.zeros((12, 5)) if state.noise is None else np.asarray(state.noise, float)[:12]
    center = np.zeros_like(anchors) if "anchor=false" in options else anchors

    def solved(s: int, shares: np.ndarray, noise: np.ndarray, center: np.ndarray) -> np.ndarray:
        weighted = x * shares[:, s : s + 1] / MODEL.noise**2
        precision = weighted.T @ x + np.eye(2) / MODEL.scale**2
        pull = weighted.T @ (y + noise[:, s]) + center[:, s] / MODEL.scale**2
        return np.linalg.solve(precision, pull)

    sd = np.sqrt(np.diag(covariance))
    for s in range(5):
        apart = np.abs(members[:, s] - solved(s, shares, noise, center)) / sd
        assert apart.max() < SETTLED
        # Negative control: what another member would have settled at.
        other = solved((s + 1) % 5, shares, noise, center)
        if "none" not in options or "anchor=false" not in options:
            assert (np.abs(members[:, s] - other) / sd).max() > SETTLED


def scores(state: Any, mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Means and products of the members about `mean`: how many standard errors they are off."""
    apart = np.asarray(state.members, float) - mean[:, None]
    values = np.stack([*apart, apart[0] ** 2, apart[1] ** 2, apart[0] * apart[1]])
    expected = np.r_[0.0, 0.0, covariance[0, 0], covariance[1, 1], covariance[0, 1]]
    error = values.std(1, ddof=1) / np.sqrt(values.shape[1])
    return np.abs(values.mean(1) - expected) / error


@pytest.mark.rate(1e-5)
@pytest.mark.statistical
def test_randomised_maximum_a_posteriori_is_exact_on_a_linear_model() -> None:
    *_, mean, covariance = pieces()
    text = "ensemble:particles=4000:capacity=12:bootstrap=none:perturb=true"
    assert scores(settled(text), mean, covariance).max() < LIMIT
    # Negative controls: members that share their prior, or what they have seen.
    assert scores(settled(text + ":anchor=false"), mean, covariance).max() > LIMIT
    assert scores(settled(text.replace("true", "false")), mean, covariance).max() > LIMIT


def test_anchors_alone_carry_the_prior_part_of_the_spread() -> None:
    """Each member is linear in its anchor, so the spread is C P C with C the posterior covariance
    and P the prior precision, and the mean is right."""
    *_, mean, covariance = pieces()
    state = settled("ensemble:particles=4000:capacity=12:bootstrap=none")
    part = covariance @ covariance / MODEL.scale**2
    assert scores(state, mean, part).max() < LIMIT
    assert scores(state, mean, covariance).max() > LIMIT
    assert scores(state, mean, 1.5 * part).max() > LIMIT


@pytest.mark.parametrize("draw", [draw_poisson, draw_exponential])
def test_shares_have_mean_and_variance_one(draw: Any) -> None:
    found = np.asarray(draw(jax.random.key(0), 20_000), float)
    for values in (found, (found - 1) ** 2):
        error = values.std() / np.sqrt(len(values))
        assert abs(values.mean() - 1) < Z * error
        assert abs(1.1 * values.mean() - 1) > Z * error  # negative control


def test_shares_and_noise_lie_beside_their_event() -> None:
    """Beyond its capacity, forgetting: every slot is drawn anew as its event is replaced."""
    text = "ensemble:particles=3:capacity=4:full=forget:perturb=true"
    posterior = compiled(build_posterior(text, MODEL))
    absorb = jax.jit(posterior.absorb)
    state, before = posterior.init(jax.random.key(0)), None
    for i in range(7):
        before, event = state, block(EVENTS, i, i + 1)
        state = absorb(jax.random.key(i), state, event)
        masked = absorb(jax.random.key(50 + i), state, event._replace(weight=np.zeros(1)))
        for name in ("shares", "noise"):
            old, new = np.asarray(getattr(before, name)), np.asarray(getattr(state, name))
            assert np.flatnonzero((old != new).any(1)).tolist() == [i % 4]
            np.testing.assert_array_equal(new, getattr(masked, name))
        assert state.buffer.events.id[i % 4] == i


def test_prior_functions_stay_at_their_draw() -> None:
    model = build_model("mlp:features=2:hidden=(3,):prior_function=1.0")
    posterior = compiled(build_posterior("ensemble:particles=4:capacity=8", model))
    first = posterior.init(jax.random.key(0))
    state = posterior.absorb(jax.random.key(1), first, simulate(model, 6))
    for i in range(2):
        state, info = jax.jit(posterior.refine)(jax.random.key(i), state)
        assert info.healthy
    moved = np.asarray(state.members != first.members).any(1)
    half = len(moved) // 2
    assert moved[:half].all()
    assert not moved[half:].any()


def test_one_bad_member_spoils_no_other() -> None:
    posterior = compiled(build_posterior("ensemble:particles=3:capacity=12", MODEL))
    state = posterior.absorb(jax.random.key(1), posterior.init(jax.random.key(0)), EVENTS)
    sick = state._replace(members=state.members.at[:, 1].set(jnp.nan))
    well, _ = posterior.refine(jax.random.key(2), state)
    after, info = posterior.refine(jax.random.key(2), sick)
    assert not info.healthy
    np.testing.assert_array_equal(after.members[:, ::2], well.members[:, ::2])


@pytest.mark.parametrize(
    ("text", "model", "says"),
    [
        ("ensemble:bootstrap=jack", "linear", "choose one of poisson, exponential, none"),
        ("ensemble:full=fold", "linear", "full=fold counts an event once for all members"),
        ("ensemble:perturb=true", "logistic", "those of Logistic are not"),
    ],
)
def test_refusals(text: str, model: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        build_posterior(text, build_model(model))
