"""The unrolled generator gives JAX's own numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from uncertain.decide.loop.core.threefry import QUICK

DRAWS = {
    "bits": lambda key: jax.random.bits(key, (3, 2)),
    "bytes": lambda key: jax.random.bits(key, (5,), jnp.uint8),
    "uniform": jax.random.uniform,
    "normal": lambda key: jax.random.normal(key, (4, 3)),
    "integers": lambda key: jax.random.randint(key, (4,), 0, 9),
    "categorical": lambda key: jax.random.categorical(key, jnp.zeros(5)),
    "gamma": lambda key: jax.random.gamma(key, 2.0, (3,)),
    "permutation": lambda key: jax.random.permutation(key, 7),
    "mapped": lambda key: jax.vmap(jax.random.normal)(jax.random.split(key, 4)),
}


def keys(seed: int) -> tuple[jax.Array, jax.Array]:
    """A key of JAX's generator and of ours, both from the middle of a tree of keys."""
    pair = []
    for impl in ("threefry2x32", QUICK):
        key = jax.random.fold_in(jax.random.key(seed, impl=impl), 3)
        pair.append(jax.random.split(key, (3, 2))[1, 0])
    return pair[0], pair[1]


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_same_numbers(draw) -> None:
    for seed in (0, 2**31 + 5):
        stock, ours = keys(seed)
        np.testing.assert_array_equal(jax.random.key_data(stock), jax.random.key_data(ours))
        np.testing.assert_array_equal(draw(stock), draw(ours))


def test_same_numbers_in_double_precision(double: None) -> None:
    stock, ours = keys(2**40 + 1)
    np.testing.assert_array_equal(jax.random.key_data(stock), jax.random.key_data(ours))
    np.testing.assert_array_equal(jax.random.normal(stock, (9,)), jax.random.normal(ours, (9,)))


def test_another_key_gives_other_numbers() -> None:
    """The negative control."""
    stock, _ = keys(0)
    _, ours = keys(1)
    assert not np.array_equal(jax.random.normal(stock, (4,)), jax.random.normal(ours, (4,)))
