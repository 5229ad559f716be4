"""The bound that policies are trained on, its gradient, and what training comes to.

See also: tests/posteriors/methods/test_amortised.py for the memory of a trained policy.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import Z
from uncertain.decide.training.bound import (
    build_bound,
    build_rollouts,
    build_score,
    contrast_likelihoods,
)
from uncertain.decide.training.settings import Settings, default_settings
from uncertain.decide.training.training import Training, train
from uncertain.posteriors.errors import UsageError
from uncertain.posteriors.parts.policy_file import load_policy
from uncertain.posteriors.parts.policy_network import NetworkShape, Policy, Weights, usual_shape
from uncertain.posteriors.parts.unknowns import log_likelihood, unknowns_of
from uncertain.posteriors.registry import build_model

SMALL = NetworkShape(width=8, code=4, encoder=1, emitter=1)
TINY = Settings(3, 40, 32, 32, 1e-2, 0.98, 0.9, 0.999)


def moved(weights: Weights, way: Weights, step: float) -> Weights:
    return jax.tree.map(lambda w, d: w + step * d, weights, way)


def steepest(gradient: Weights) -> tuple[Weights, float]:
    """The direction of a gradient and its length."""
    length = float(np.sqrt(sum(float(jnp.sum(x**2)) for x in jax.tree.leaves(gradient))))
    return jax.tree.map(lambda x: x / length, gradient), length


def test_pathwise_gradient_is_that_of_finite_differences() -> None:
    """The same noise on both sides, so that only rounding and curvature are left."""
    model = build_model("location:sources=1:softening=0.1")
    policy = Policy(model, SMALL)
    bound = jax.jit(build_bound(model, policy, 2, 64, 16))
    slope = jax.jit(jax.grad(lambda w, k: build_bound(model, policy, 2, 64, 16)(w, k)[0]))
    weights, key = policy.init(jax.random.key(1)), jax.random.key(2)
    way, length = steepest(slope(weights, key))
    h = 1e-2
    rise = (bound(moved(weights, way, h), key)[1] - bound(moved(weights, way, -h), key)[1]) / (
        2 * h
    )
    assert length > 0.1
    # Float32 sums of size one are known to 1e-6, over a step of 2e-2; curvature adds h^2.
    assert abs(float(rise) - length) < 0.01 * length + 1e-3


@pytest.mark.statistical
@pytest.mark.parametrize(("kept", "right"), [(True, True), (False, False)])
def test_score_gradient_is_that_of_finite_differences(kept: bool, right: bool) -> None:
    """Without the score function's term, the control, it is not."""
    model = build_model("discounting")
    policy = Policy(model, SMALL)
    made = build_bound(model, policy, 2, 4000, 8)
    column = 0 if kept else 1

    @jax.jit
    def slopes(weights: Weights, keys: Any) -> Weights:
        return jax.lax.map(lambda k: jax.grad(lambda w: made(w, k)[column])(weights), keys)

    @jax.jit
    def rises(weights: Weights, way: Weights, keys: Any) -> Any:
        def one(key: Any) -> Any:
            up, down = moved(weights, way, 0.1), moved(weights, way, -0.1)
            return (made(up, key)[1] - made(down, key)[1]) / 0.2

        return jax.lax.map(one, keys)

    weights = policy.init(jax.random.key(3))
    whole = jax.jit(jax.grad(lambda w, k: made(w, k)[0]))(weights, jax.random.key(4))
    way, _ = steepest(whole)
    along = slopes(weights, jax.random.split(jax.random.key(5), 64))
    told = np.asarray(sum(jnp.einsum("k...,...->k", along[n], way[n]) for n in way), float)
    seen = np.asarray(rises(weights, way, jax.random.split(jax.random.key(6), 64)), float)
    error = np.sqrt((told.var(ddof=1) + seen.var(ddof=1)) / 64)
    # A step of .1 bends by less than a hundredth; 4.4 standard errors are a false alarm of 1e-5.
    assert (abs(told.mean() - seen.mean()) < Z * error + 0.02) == right, (told.mean(), seen.mean())


@pytest.mark.parametrize(
    "spec",
    ["location", "discounting", pytest.param("death-process", marks=pytest.mark.nightly)],
)
def test_contrasts_are_likelihoods_of_whole_histories(spec: str) -> None:
    model = build_model(spec)
    policy, unknowns = Policy(model, SMALL), unknowns_of(model)
    weights = policy.init(jax.random.key(0))
    truths = unknowns.sample(jax.random.key(1), 3)
    made = build_rollouts(model, policy, 4)(weights, jax.random.key(2), truths)
    others = unknowns.sample(jax.random.key(3), 5)
    found = contrast_likelihoods(model, made, jnp.concatenate([truths, others]).T)
    for n in range(3):
        for column, u in enumerate([*truths, *others]):
            rows = zip(made.actions[:, n], made.observations[:, n], strict=True)
            total = sum(float(log_likelihood(model, u, (), a, y)) for a, y in rows)
            np.testing.assert_allclose(found[n, column], total, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(made.own[n], found[n, n], rtol=1e-4, atol=1e-4)


def test_a_policy_acts_on_what_it_sees() -> None:
    """The first action is the same in every run, the later ones are not."""
    model = build_model("location")
    policy = Policy(model, usual_shape(model))
    truths = unknowns_of(model).sample(jax.random.key(1), 8)
    roll = build_rollouts(model, policy, 3)
    made = roll(policy.init(jax.random.key(0)), jax.random.key(2), truths)
    spread = np.asarray(made.actions).std(1).max(-1)
    assert spread[0] == 0
    assert np.all(spread[1:] > 0)


@pytest.mark.statistical
def test_bounds_close_where_contrasts_are_many(tmp_path: Path) -> None:
    """sPCE below sNMC and both near each other on a problem that few contrasts exhaust."""
    model = build_model("death-process")
    policy = Policy(model, SMALL)
    weights = policy.init(jax.random.key(0))
    few, many = (
        [np.asarray(x) for x in jax.jit(build_score(model, policy, 3, 500, n))(
            weights, jax.random.key(1)
        )]
        for n in (3, 3000)
    )  # fmt: skip
    assert few[0].mean() < np.log(4)
    assert few[0].mean() < many[0].mean() < many[1].mean() < few[1].mean()
    assert many[1].mean() - many[0].mean() < 0.01


def test_training_beats_chance_and_an_untrained_network(tmp_path: Path) -> None:
    """On a small location problem; what it says it reached is what the file holds."""
    model = build_model("location:sources=1:softening=0.01")
    settings = replace(TINY, horizon=4, steps=400, batch=64, contrasts=64, rate=3e-3)
    training = Training("location:sources=1:softening=0.01", model, settings)
    before = training.score(512, 1000)["spce"]
    train(training, tmp_path / "a.npz", lambda at: None)
    after = training.score(512, 1000)["spce"]
    gap = after["mean"] - before["mean"]
    assert gap > 0.5
    assert gap > Z * np.hypot(after["se"], before["se"])
    held = load_policy(tmp_path / "a.npz")
    assert held.trained["steps"] == 400
    assert not held.moments
    assert (tmp_path / "a.npz").stat().st_size < 2_000_000


def test_stopped_training_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    model = build_model("location")
    whole = Training("location", model, TINY, SMALL)
    train(whole, tmp_path / "whole.npz", lambda at: None)
    part = Training("location", model, TINY, SMALL)

    def stop(at: Any) -> None:
        if at.step >= 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(part, tmp_path / "part.npz", stop)
    assert load_policy(tmp_path / "part.npz").trained["steps"] == 3
    again = Training("location", model, TINY, SMALL)
    again.resume(tmp_path / "part.npz")
    made = train(again, tmp_path / "part.npz", lambda at: None)
    assert made.trained["steps"] == TINY.steps
    for name, value in load_policy(tmp_path / "whole.npz").weights.items():
        np.testing.assert_array_equal(made.weights[name], value)
    other = Training("location", model, replace(TINY, batch=16), SMALL)
    with pytest.raises(UsageError, match="batch=32, not 16"):
        other.resume(tmp_path / "part.npz")
    with pytest.raises(UsageError, match="training is over"):
        again.resume(tmp_path / "part.npz")


def test_a_budget_ends_training(tmp_path: Path) -> None:
    training = Training("location", build_model("location"), replace(TINY, steps=10**6), SMALL)
    # A clock by which every step takes half a second.
    made = train(training, tmp_path / "a.npz", lambda at: None, 30.0, lambda: 0.5 * training.step)
    assert 55 <= made.trained["steps"] <= 60
    assert made.trained["seconds"] <= 30
    assert load_policy(tmp_path / "a.npz").moments


@pytest.mark.parametrize(
    ("change", "says"),
    [({"batch": 0}, "batch=0"), ({"rate": 0.0}, "rate=0.0"), ({"horizon": 0}, "horizon=0")],
)
def test_wrong_settings_are_refused(change: dict[str, Any], says: str) -> None:
    model = build_model("location")
    with pytest.raises(UsageError, match=says):
        Training("location", model, replace(default_settings(model), **change))


def test_a_network_too_large_for_its_file_is_refused() -> None:
    model = build_model("discounting")
    with pytest.raises(UsageError, match="2 MB are kept"):
        Training("discounting", model, TINY, NetworkShape(width=400))
