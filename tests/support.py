"""Helpers shared by tests: made-up events, shapes of trees, tolerances."""

import os
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from uncertain.posteriors.base import Arms, Event, Model, Posterior
from uncertain.posteriors.parts.unknowns import unknowns_of

SMALL_MODELS = {"mlp": "mlp:hidden=(3,):arms=2", "testbed": "testbed:hidden=(3,)"}
"""Models that are large unless told otherwise, as a quick check wants them."""


def small(name: str) -> str:
    """A registry's model, small."""
    return SMALL_MODELS.get(name, name)


SHIFT = int(os.environ.get("UNCERTAIN_TEST_SEED", "0"))
"""Added to every seed of the statistical tests; the nightly suite repeats them with many."""


def seeded(number: int) -> Any:
    """The key that a statistical test knows by this number."""
    return jax.random.fold_in(jax.random.key(number), SHIFT) if SHIFT else jax.random.key(number)


Z = 4.4
"""Standard errors allowed: a two-sided false-alarm rate of 1e-5 under a normal error."""


def actions(model: Model, rng: np.random.Generator, n: int) -> np.ndarray:
    """`[n, action size]` actions a model accepts."""
    if isinstance(model.actions, Arms):
        arm = rng.integers(0, model.actions.count, (n, 1))
        return np.hstack([arm, rng.normal(size=(n, model.actions.context))]).astype(np.float32)
    low, high = max(model.actions.low, -2.0), min(model.actions.high, 80.0)
    return rng.uniform(low, high, (n, model.actions.size)).astype(np.float32)


@lru_cache(maxsize=64)
def simulate(model: Model, n: int, seed: int = 0) -> Event:
    """A block of `n` events from one prior draw, one second apart (moving unknowns stand still)."""
    acts = actions(model, np.random.default_rng(seed), n)
    unknowns = unknowns_of(model)

    def step(params: Any, stats: Any, item: Any) -> Any:
        key, action, index = item
        observation = model.predict(params, stats, action).sample(key)
        event = Event(
            action,
            jnp.asarray(observation, jnp.float32),
            index.astype(jnp.float32) + 1,
            index,
            jnp.ones(()),
        )
        return model.update_stats(stats, event), event

    @jax.jit
    def run(drawing: Any, answering: Any) -> Event:
        params = unknowns.constrain(unknowns.sample(drawing, 1)[0])
        items = jax.random.split(answering, n), acts, jnp.arange(n, dtype=jnp.int32)
        return jax.lax.scan(partial(step, params), model.init_stats(), items)[1]

    return run(jax.random.key(seed), jax.random.key(seed + 1))


def block(events: Event, start: int, stop: int) -> Event:
    """Rows `start:stop` of a block, on the host."""
    return jax.tree.map(lambda x: np.asarray(x)[start:stop], events)


def signature(tree: Any) -> Any:
    """Structure, and shape, dtype and weak type of every leaf."""
    leaves, structure = jax.tree.flatten(tree)
    return structure, [
        (x.shape, str(x.dtype), bool(getattr(x, "weak_type", False))) for x in leaves
    ]


def counted(function: Callable[..., Any]) -> tuple[Callable[..., Any], list[int]]:
    """A jitted function and a one-element list with the number of times it was traced."""
    traces = [0]

    def body(*args: Any) -> Any:
        traces[0] += 1
        return function(*args)

    return jax.jit(body), traces


def run_once(function: Callable[..., Any], *args: Any) -> Any:
    """Run a function as one compiled program, and return its result as host arrays.

    Indexing and summing host arrays compiles nothing.
    """
    return jax.device_get(jax.jit(function)(*args))


@lru_cache(maxsize=64)
def compiled(posterior: Posterior) -> Posterior:
    """The same with each function jitted: run as it is, each operation is a program of its own."""
    return Posterior(*(function and jax.jit(function) for function in posterior))


def equal(one: Any, two: Any) -> bool:
    """Whether two trees are the same bit for bit."""
    same = jax.tree.map(lambda a, b: np.array_equal(a, b, equal_nan=True), one, two)
    return all(jax.tree.leaves(same))


def dense(covariance: Any) -> np.ndarray:
    """`[B, b, b]` blocks -> `[D, D]`."""
    blocks = np.asarray(covariance, float)
    count, width = blocks.shape[:2]
    full = np.zeros((count * width, count * width))
    for i, part in enumerate(blocks):
        full[i * width : (i + 1) * width, i * width : (i + 1) * width] = part
    return full
