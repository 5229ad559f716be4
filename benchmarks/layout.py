"""Where particles stand: `trailing.across`, `jax.vmap` over a last axis, and written out by hand.

    python benchmarks/layout.py

The log likelihood of 32 location-finding events for every particle, the work behind each refine
of smc. Arms of the comparison take turns within one run, so that a busy machine slows all alike;
medians and their ratios are printed.

See also: tests/posteriors/parts/test_vmap_last.py for correctness.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import jax
import jax.numpy as jnp
import numpy as np
from uncertain.posteriors.models.location import Location
from uncertain.posteriors.parts.unknowns import log_likelihood, unknowns_of
from uncertain.posteriors.parts.vmap_last import vmap_last

EVENTS = 32
PARTICLES = (128, 1024)
ROUNDS = 400
CALLS = 5
"""Calls timed together in one round."""

Density = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]


def densities(model: Location) -> dict[str, Density]:
    """`(particles [D, S], actions [E, d], observations [E]) -> [S]`, one an arm."""

    def one(u: jax.Array, actions: jax.Array, observations: jax.Array) -> jax.Array:
        each = jax.vmap(lambda a, y: log_likelihood(model, u, (), a, y))
        return jnp.sum(each(actions, observations))

    def by_across(u: jax.Array, actions: jax.Array, observations: jax.Array) -> jax.Array:
        return vmap_last(lambda p: one(p, actions, observations), u)

    def by_vmap(u: jax.Array, actions: jax.Array, observations: jax.Array) -> jax.Array:
        return jax.vmap(one, in_axes=(-1, None, None))(u, actions, observations)

    def by_hand(u: jax.Array, actions: jax.Array, observations: jax.Array) -> jax.Array:
        sources = u.reshape(model.sources, 1, model.dimensions, -1)
        square = jnp.sum(jnp.square(sources - actions[None, :, :, None]), axis=2)
        signal = model.background + jnp.sum(1 / (model.softening + square), axis=0)
        z = (observations[:, None] - jnp.log(signal)) / model.noise
        constant = EVENTS * (np.log(model.noise) + 0.5 * np.log(2 * np.pi))
        return -0.5 * jnp.sum(jnp.square(z), axis=0) - constant

    return {"across": by_across, "jax.vmap": by_vmap, "by hand": by_hand}


def measure(model: Location, count: int) -> dict[str, float]:
    """Median seconds a call of every arm with `count` particles."""
    rng = np.random.default_rng(0)
    unknowns = unknowns_of(model)
    particles = unknowns.sample(jax.random.key(0), count).T
    actions = jnp.asarray(rng.normal(size=(EVENTS, model.dimensions)), jnp.float32)
    observations = jnp.asarray(rng.normal(size=EVENTS), jnp.float32)
    arms = {name: jax.jit(f) for name, f in densities(model).items()}
    answers = [np.asarray(f(particles, actions, observations)) for f in arms.values()]
    for answer in answers[1:]:
        np.testing.assert_allclose(answer, answers[0], rtol=1e-4)
    times: dict[str, list[float]] = {name: [] for name in arms}
    for _ in range(ROUNDS):
        for name, f in arms.items():
            start = time.perf_counter()
            for _ in range(CALLS):
                f(particles, actions, observations).block_until_ready()
            times[name].append((time.perf_counter() - start) / CALLS)
    return {name: float(np.median(found)) for name, found in times.items()}


def main() -> None:
    """Print the table."""
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    sys.stdout.write(f"{EVENTS} events, median of {ROUNDS} rounds, jax {jax.__version__}\n")
    sys.stdout.write(f"{'particles':>9}  {'way':<9} {'µs':>8}  times across\n")
    for count in PARTICLES:
        found = measure(Location(), count)
        for name, seconds in found.items():
            ratio = seconds / found["across"]
            sys.stdout.write(f"{count:>9}  {name:<9} {1e6 * seconds:>8.1f}  {ratio:>5.2f}\n")


if __name__ == "__main__":
    main()
