"""The wheel bandit against its closed forms: what uniform and always-safe play cost."""

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import Z
from uncertain.posteriors.errors import UsageError
from uncertain.streams.worlds.registry import agent_model_spec, build_world
from uncertain.streams.worlds.wheel import ARMS, RARE_NOISE, RARE_PAY, SAFE

COUNT = 100_000
DELTAS = (0.5, 0.7, 0.9, 0.95, 0.99)
UNIFORM = dict(zip(DELTAS, (29.41, 20.05, 7.570, 3.963, 0.936), strict=True))
SAFE_PERCENT = dict(zip(DELTAS, (124.4, 124.1, 122.5, 120.1, 103.7), strict=True))
"""As published in two or four figures; half of the last is allowed beside the Monte Carlo error."""


@lru_cache(maxsize=8)
def pay(delta: float) -> np.ndarray:
    """`[COUNT, ARMS]` expected pay of every arm at random contexts."""
    world = build_world(f"wheel:delta={delta}")

    def one(key):
        x = jnp.broadcast_to(world.context(key, ()), (ARMS, 2))
        return world.pays((), jnp.concatenate([jnp.arange(5.0)[:, None], x], axis=1))

    return np.asarray(jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(1), COUNT)), float)


def off(values: np.ndarray, expected: float, slack: float) -> bool:
    """Whether a mean is farther from what was expected than chance allows."""
    error = values.std(ddof=1) / np.sqrt(len(values))
    return abs(values.mean() - expected) > Z * error + slack


@pytest.mark.parametrize("delta", DELTAS)
def test_what_uniform_play_costs(delta: float) -> None:
    exact = 0.16 * delta**2 + 39.16 * (1 - delta**2)
    assert abs(exact - UNIFORM[delta]) < 0.006
    paid = pay(delta)
    lost = paid.max(1) - paid.mean(1)
    assert not off(lost, exact, 0.0)
    # A disc whose radius is uniform, instead of its area, is found out.
    assert off(lost, 0.16 * delta + 39.16 * (1 - delta), 0.0)


@pytest.mark.parametrize("delta", DELTAS)
def test_what_safe_play_costs(delta: float) -> None:
    paid = pay(delta)
    best = paid.max(1)
    # A ratio of means: its error is that of the difference over the denominator.
    wanted = SAFE_PERCENT[delta] / 100
    lost, uniform = best - paid[:, SAFE], best - paid.mean(1)
    assert not off(lost - wanted * uniform, 0.0, 0.0005 * uniform.mean())
    # Uniform play does not pass for it.
    assert off(uniform - wanted * uniform, 0.0, 0.0005 * uniform.mean())


@pytest.mark.parametrize(
    ("arm", "inside", "outside"),
    [(0, (1, 1), "pp"), (1, (1, -1), "pn"), (2, (-1, 1), "np"), (3, (-1, -1), "nn")],
)
def test_the_quadrant_of_each_arm(arm: int, inside: tuple[int, int], outside: str) -> None:
    world = build_world("wheel:delta=0.9")
    assert world.pays is not None
    for radius, expected in ((0.89, 1.0), (0.91, 50.0)):
        x = radius / np.sqrt(2) * np.asarray(inside)
        features = jnp.asarray([[a, *x] for a in range(ARMS)], jnp.float32)
        paid = np.asarray(world.pays((), features))
        assert paid[arm] == expected
        assert paid[SAFE] == np.float32(1.2)
        assert sum(paid == RARE_PAY) == (expected == RARE_PAY)


def test_the_noise_of_both_rewards() -> None:
    world = build_world("wheel:delta=0.5:noise=0.05")
    keys = jax.random.split(jax.random.key(2), COUNT)

    def spread(radius: float) -> float:
        action = jnp.asarray([0.0, radius, radius])
        answer = jax.jit(jax.vmap(lambda key: world.answer(key, (), action, jnp.zeros(()))[1]))
        return float(np.std(np.asarray(answer(keys), float)))

    # A sample standard deviation s has standard error s / sqrt(2 n).
    for radius, sd in ((0.1, 0.05), (0.6, RARE_NOISE)):
        error = sd / np.sqrt(2 * COUNT)
        # float32 keeps 50 to 4e-6 only: rounding of that size blurs the smaller noise.
        assert abs(spread(radius) - sd) < Z * error + 1e-5


def test_contexts_fill_the_disc_evenly() -> None:
    world = build_world("wheel")
    keys = jax.random.split(jax.random.key(3), COUNT)
    x = np.asarray(jax.jit(jax.vmap(lambda key: world.context(key, ())))(keys), float)
    square = (x**2).sum(1)
    assert square.max() <= 1 + 1e-6
    assert not off(square, 0.5, 0.0)
    assert not off(x[:, 0] * x[:, 1], 0.0, 0.0)
    assert off(np.sqrt(square), 0.5, 0.0)


def test_its_opening_and_what_an_agent_believes() -> None:
    world = build_world("wheel")
    assert np.bincount(world.opening).tolist() == [2] * ARMS
    assert agent_model_spec("wheel") == "mlp:arms=5:features=2"
    assert agent_model_spec("wheel", "linear:scale=3") == "linear:arms=5:features=2:scale=3"
    with pytest.raises(UsageError, match=r"wheel.*count=5.*count=4"):
        agent_model_spec("wheel", "linear:arms=4")


@pytest.mark.parametrize("option", ["delta=2", "delta=-1", "noise=-1", "delta=wide", "rim=1"])
def test_wrong_options_are_refused(option: str) -> None:
    with pytest.raises(UsageError, match=f"wheel.*{option.partition('=')[0]}"):
        build_world(f"wheel:{option}")
