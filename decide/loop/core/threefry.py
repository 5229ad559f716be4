"""JAX's own random numbers, bit for bit, in less time on a CPU.

JAX lowers Threefry on a CPU as a loop: quick to compile, slow for the many small `split`s,
`fold_in`s and draws of one live decision. Unrolled, a decision of 10 arms took 22 instead of 89
microseconds (random) and 34 instead of 104 (eig). Barriers separate the hash from its consumers:
without them XLA repeats the hash for every element, which made smc twice as slow.

See also: step.py for the keys and their purposes.
Source: Salmon, Moraes, Dror and Shaw (2011), Threefry-2x32-20.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax.extend.random import define_prng_impl

Array = jax.Array

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = 0x1BD11BDA
ROUNDS = 5
"""Groups of four rounds."""
WORD = 32
"""Bits of a word."""


def _scramble(key: Array, high: Array, low: Array) -> tuple[Array, Array]:
    """Threefry of the counters `(high, low)`, any shape, uint32, under `key [2]`."""
    schedule = [key[0], key[1], key[0] ^ key[1] ^ jnp.uint32(PARITY)]
    x, y = high + schedule[0], low + schedule[1]
    for group in range(ROUNDS):
        for turn in ROTATIONS[group % 2]:
            x = x + y
            y = x ^ (
                jnp.left_shift(y, jnp.uint32(turn)) | jnp.right_shift(y, jnp.uint32(WORD - turn))
            )
        x = x + schedule[(group + 1) % 3]
        y = y + schedule[(group + 2) % 3] + jnp.uint32(group + 1)
    return x, y


def _counted(key: Array, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Threefry of the counters 0, 1, 2, ... in an array of that shape."""
    size = math.prod(shape)
    if size >= 1 << WORD:
        raise NotImplementedError(f"{size} random numbers at once")
    low = jax.lax.iota(jnp.uint32, size).reshape(shape)
    return _scramble(key, jnp.zeros_like(low), low)


def _seed(seed: Array) -> Array:
    """Key `[2]` uint32 of an integer seed."""
    seed = jnp.asarray(seed)
    high = jnp.zeros((), jnp.uint32)
    if seed.dtype.itemsize * 8 > WORD:
        high = jnp.right_shift(seed, WORD).astype(jnp.uint32)
    return jnp.stack([high, seed.astype(jnp.uint32)])


def _split(key: Array, shape: tuple[int, ...]) -> Array:
    """Keys `shape + [2]` derived from a key."""
    return jax.lax.optimization_barrier(jnp.stack(_counted(key, shape), axis=-1))


def _fold_in(key: Array, data: Array) -> Array:
    """Key derived from a key and a number."""
    data = jnp.asarray(data).astype(jnp.uint32)
    return jax.lax.optimization_barrier(jnp.stack(_scramble(key, jnp.zeros_like(data), data)))


def _bits(key: Array, width: int, shape: tuple[int, ...]) -> Array:
    """Random unsigned integers of that width."""
    high, low = _counted(key, shape)
    dtype = jnp.dtype(f"uint{width}")
    if width > WORD:
        return jnp.left_shift(high.astype(dtype), dtype.type(WORD)) | low.astype(dtype)
    return jax.lax.optimization_barrier((high ^ low).astype(dtype))


QUICK = define_prng_impl(
    key_shape=(2,),
    seed=_seed,
    split=_split,
    random_bits=_bits,
    # JAX types it as taking a Python number; it is handed a traced one.
    fold_in=_fold_in,  # type: ignore[arg-type]
    name="threefry2x32_unrolled",
    tag="fru",
)
"""For `jax.random.key(seed, impl=QUICK)` and `jax.random.wrap_key_data(data, impl=QUICK)`."""
