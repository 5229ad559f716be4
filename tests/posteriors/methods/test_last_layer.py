"""last-layer against exact regression in the same features, term by term as it is computed anew."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import support
from support import Z, block, simulate
from uncertain.posteriors.base import Arms, Gaussian, Model, Posterior, dist
from uncertain.posteriors.errors import UsageError
from uncertain.posteriors.models.mlp import MLP
from uncertain.posteriors.parts.unknowns import unknowns_of
from uncertain.posteriors.registry import build_posterior

NOISE = 0.5
LINE = MLP(features=2, hidden=(), arms=2, noise=NOISE)
"""No hidden layer: the head is all there is, and its features are the context and a constant."""
NET = MLP(features=2, hidden=(3,), arms=2, noise=NOISE)
EVENTS = 40
DRAWS = 20_000
FROZEN = f"rebuild=5:step_size=0.0:particles={DRAWS}"
KEY = jax.random.key(0)
ROUNDING = 1e-4
"""Relative to the largest: float32 sums of 40 terms are good to 1e-5."""


def features(model: MLP, u: Any, contexts: np.ndarray) -> np.ndarray:
    """What the head sees `[N, b]`, by NumPy."""
    params = unknowns_of(model).constrain(u)
    x = contexts
    for i in range(len(model.hidden)):
        weights = np.asarray(params[f"layer{i}"], float)
        x = np.maximum(x @ weights[:, :-1].T + weights[:, -1], 0)
    return model.scale * np.hstack([x, np.ones((len(x), 1))])


def exact(model: MLP, u: Any, events: Any) -> tuple[np.ndarray, np.ndarray]:
    """Precision `[arms, b, b]` and linear `[arms, b]` of all events, without the prior."""
    arm = np.asarray(events.action[:, 0], int)
    y = np.asarray(events.observation, float)
    phi = features(model, u, np.asarray(events.action[:, 1:], float))
    mine = [phi[arm == a] for a in range(model.arms)]
    told = [y[arm == a] for a in range(model.arms)]
    precision = np.stack([p.T @ p for p in mine]) / model.noise**2
    return precision, np.stack([p.T @ t for p, t in zip(mine, told, strict=True)]) / model.noise**2


def compiled(model: Model, text: str) -> Posterior:
    """The four functions, compiled."""
    return support.compiled(build_posterior(f"last-layer:batch=8:{text}", model))


def run(model: Model, text: str, events: int, change: Any = None) -> Any:
    """The state after that many events one by one, a refine after each."""
    made = compiled(model, text)
    state = made.init(jax.random.key(0))
    blocks = simulate(model, events, seed=3)
    for i in range(events):
        absorb_key, refine_key = jax.random.split(jax.random.fold_in(jax.random.key(1), i))
        state = made.absorb(absorb_key, state, block(blocks, i, i + 1))
        state, info = made.refine(refine_key, state)
        assert bool(info.healthy)
        state = change(state) if change else state
    return state


def differ(state: Any, model: MLP, events: int) -> bool:
    """Whether what is believed of the head is not what all events say in its present features."""
    precision, linear = exact(model, state.estimate.params, simulate(model, events, seed=3))
    close = [
        np.allclose(found, told, rtol=0, atol=ROUNDING * np.abs(told).max())
        for found, told in ((state.head.precision, precision), (state.head.linear, linear))
    ]
    return not all(close)


@pytest.mark.parametrize("text", ["rebuild=3", "rebuild=64", "rebuild=7:full=forget"])
def test_without_a_body_every_event_counts_once_however_it_is_swept(text: str) -> None:
    assert not differ(run(LINE, text, EVENTS), LINE, EVENTS)


def test_a_sweep_that_forgets_what_came_after_its_start_is_found_out() -> None:
    def forgetful(state: Any) -> Any:
        return state._replace(since=jax.tree.map(jnp.zeros_like, state.since))

    assert differ(run(LINE, "rebuild=3", EVENTS, change=forgetful), LINE, EVENTS)


def test_a_frozen_body_gives_exact_regression_in_its_features() -> None:
    assert not differ(run(NET, FROZEN, EVENTS), NET, EVENTS)


def test_terms_of_a_body_that_moved_are_computed_anew() -> None:
    text = "rebuild=5:step_size=0.05"
    state = run(NET, text, EVENTS)
    assert differ(state, NET, EVENTS), "the body has not moved: the test tells nothing"
    refine = compiled(NET, text).refine
    state = state._replace(step_size=jnp.zeros_like(state.step_size))
    # At most the rest of one sweep and a whole one after it.
    for i in range(2 * -(-EVENTS // 5)):
        state, _ = refine(jax.random.key(i), state)
    assert not differ(state, NET, EVENTS)


@pytest.mark.parametrize(("full", "stand_for"), [("reservoir", 90), ("forget", 20)])
def test_a_full_memory_stands_for_all_events_or_for_the_last(full: str, stand_for: int) -> None:
    text = f"capacity=20:full={full}:rebuild=32"
    state = run(LINE, text, 90)
    # The sum over arms of the constant feature's precision counts events.
    counted = float(state.head.precision[:, -1, -1].sum()) * NOISE**2
    # A sweep an event: what was absorbed since its start is one event more.
    assert counted == pytest.approx(stand_for, abs=1 + ROUNDING)


# The belief.


def normal(model: MLP, events: int) -> Gaussian:
    """The exact posterior of the head, by NumPy in double precision."""
    values = compiled(model, FROZEN).init(jax.random.key(0)).estimate.params
    precision, linear = exact(model, values, simulate(model, events, seed=3))
    head = unknowns_of(model).span("head")
    sd = unknowns_of(model).gaussian()[1][head].reshape(model.arms, -1)
    whole = precision + np.stack([np.diag(1 / s**2) for s in sd])
    covariance = np.linalg.inv(whole)
    return Gaussian(np.einsum("bij,bj->bi", covariance, linear).ravel(), covariance)  # type: ignore[arg-type]


@pytest.mark.parametrize("model", [LINE, NET], ids=["line", "net"])
def test_draws_of_the_head_are_the_exact_posterior(model: MLP) -> None:
    count, state = DRAWS, run(model, FROZEN, EVENTS)
    values = compiled(model, FROZEN).belief(jax.random.key(7), state, jnp.zeros(())).values
    head = unknowns_of(model).span("head")
    draws, expected = np.asarray(values[:, head], float), normal(model, EVENTS)
    np.testing.assert_array_equal(
        values[:, : head.start], np.tile(values[:1, : head.start], (count, 1))
    )
    spread = np.zeros((draws.shape[1],) * 2)
    width = draws.shape[1] // model.arms
    for i, part in enumerate(np.asarray(expected.covariance)):
        spread[i * width : (i + 1) * width, i * width : (i + 1) * width] = part
    sd = np.sqrt(np.diag(spread))
    off = np.abs(draws.mean(0) - expected.mean) * np.sqrt(count) / sd
    assert off.max() < Z
    # A sample covariance of normals has variance (s_ii s_jj + s_ij^2) / n.
    error = np.sqrt((np.outer(sd, sd) ** 2 + spread**2) / count)
    assert np.all(np.abs(np.cov(draws.T) - spread) < Z * error)
    # Half the variance, and a mean off by a tenth of a standard deviation, are found out.
    assert not np.all(np.abs(np.cov(draws.T) - spread / 2) < Z * error)
    assert (np.abs(draws.mean(0) + sd / 10 - expected.mean) * np.sqrt(count) / sd).max() > Z


def test_classes_have_the_laplace_approximation_of_the_head() -> None:
    model = MLP(features=2, hidden=(), classes=3)
    count, text = DRAWS, f"rebuild=64:decay=0.0:step_size=0.02:particles={DRAWS}"
    made = support.compiled(build_posterior(f"last-layer:batch=0:{text}", model))
    state = made.absorb(KEY, made.init(KEY), simulate(model, EVENTS, seed=3))
    for i in range(400):
        state, _ = made.refine(jax.random.key(i), state)
    values = made.belief(jax.random.key(7), state, jnp.zeros(())).values
    other = build_posterior("laplace:structure=full", model)
    newton, absorb = jax.jit(other.refine), jax.jit(other.absorb)
    it = absorb(KEY, other.init(KEY), simulate(model, EVENTS, seed=3))
    for i in range(20):
        it, _ = newton(jax.random.key(i), it)
    expected = other.belief(KEY, it, jnp.zeros(()))
    assert isinstance(expected, Gaussian)
    spread = np.asarray(expected.covariance[0], float)
    sd = np.sqrt(np.diag(spread))
    draws = np.asarray(values, float)
    # Adam stops within a hundredth of a standard deviation of the maximum.
    off = np.abs(draws.mean(0) - np.asarray(expected.mean)) / sd
    assert off.max() < Z / np.sqrt(count) + 0.01
    error = np.sqrt((np.outer(sd, sd) ** 2 + spread**2) / count)
    assert np.all(np.abs(np.cov(draws.T) - spread) < Z * error + 0.01 * np.outer(sd, sd))
    prior = unknowns_of(model).gaussian()[1]
    assert np.all(sd < 0.9 * prior), "the events say too little for the test to tell anything"


# Refusals.


class Apart(MLP):
    """A network whose head is said to be two layers that are not neighbours."""

    head = ("layer0", "head")


class Flat(Model):
    """No network at all."""

    actions = Arms(2)

    def prior(self) -> dict[str, Any]:
        return {"level": dist.Normal(0.0, 1.0)}

    def predict(self, params: Any, stats: Any, action: Any) -> Any:
        return dist.Normal(params["level"], 1.0)


@pytest.mark.parametrize(
    ("model", "text", "words"),
    [
        (Flat(), "", "Flat names no head: use laplace"),
        (Apart(hidden=(3, 3)), "", "next to each other"),
        (NET, "full=fold", "reservoir or forget"),
        (NET, "rebuild=0", "rebuild=0"),
        (NET, "full=all", "full='all'"),
    ],
)
def test_refusals_say_what_to_do(model: Model, text: str, words: str) -> None:
    with pytest.raises(UsageError, match=r"last-layer|rebuild|full") as refused:
        build_posterior(f"last-layer:{text}" if text else "last-layer", model)
    assert words in str(refused.value)
