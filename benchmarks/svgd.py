"""One Stein step on a network of 3 451 weights: products of matrices, or pair by pair (BlackJAX).

    python benchmarks/svgd.py

Both climb the same log density of 32 events with the same median bandwidth, by plain steps; the two
take turns within one run, so that a busy machine slows both alike. Medians and their ratio are
printed, and the steps are compared.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import blackjax
import jax
import jax.numpy as jnp
import numpy as np
import optax
from uncertain.posteriors.methods.svgd import bandwidth, squared_distances, stein_direction
from uncertain.posteriors.models.mlp import MLP
from uncertain.posteriors.parts.unknowns import log_likelihood, unknowns_of

MODEL = MLP(features=16, hidden=(50, 50))
EVENTS = 32
PARTICLES = (8, 32, 128)
ROUNDS = {8: 100, 32: 40, 128: 10}
STEP = 1e-4


def steps(actions: jax.Array, observations: jax.Array) -> dict[str, Any]:
    """`(particles [S, D], width []) -> (particles [S, D], width [])`, one an arm.

    BlackJAX finds the width after a step, for the next one; products find it before their own.
    """
    unknowns = unknowns_of(MODEL)
    each = jax.vmap(lambda u, a, y: log_likelihood(MODEL, u, (), a, y), (None, 0, 0))

    def slope(u: jax.Array) -> jax.Array:
        return jax.grad(lambda v: jnp.sum(each(v, actions, observations)) + unknowns.log_prior(v))(
            u
        )

    def by_products(particles: jax.Array, width: jax.Array) -> tuple[jax.Array, jax.Array]:
        gradient = jax.vmap(slope)(particles).T
        return particles + STEP * stein_direction(particles.T, gradient).T, width

    peer = blackjax.svgd(slope, optax.sgd(STEP))

    def by_pairs(particles: jax.Array, width: jax.Array) -> tuple[jax.Array, jax.Array]:
        state = peer.step(peer.init(particles, {"length_scale": width}))
        return state.particles, state.kernel_parameters["length_scale"]

    return {"products": jax.jit(by_products), "BlackJAX": jax.jit(by_pairs)}


def measure(count: int) -> dict[str, float]:
    """Median seconds a step of every arm with `count` particles."""
    rng = np.random.default_rng(0)
    particles = unknowns_of(MODEL).sample(jax.random.key(0), count)
    actions = jnp.asarray(rng.normal(size=(EVENTS, MODEL.features)), jnp.float32)
    arms = steps(actions, jnp.asarray(rng.normal(size=EVENTS), jnp.float32))
    width = bandwidth(squared_distances(particles.T))
    answers = [np.asarray(f(particles, width)[0] - particles) for f in arms.values()]
    scale = np.abs(answers[0]).max()
    np.testing.assert_allclose(answers[1] / scale, answers[0] / scale, atol=1e-3)
    times: dict[str, list[float]] = {name: [] for name in arms}
    for _ in range(ROUNDS[count]):
        for name, f in arms.items():
            start = time.perf_counter()
            jax.block_until_ready(f(particles, width))
            times[name].append(time.perf_counter() - start)
    return {name: float(np.median(found)) for name, found in times.items()}


def main() -> None:
    """Print the table."""
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    size = unknowns_of(MODEL).size
    sys.stdout.write(f"{size} weights, {EVENTS} events, medians, jax {jax.__version__}\n")
    sys.stdout.write(f"{'particles':>9}  {'way':<9} {'ms':>8}  times products\n")
    for count in PARTICLES:
        found = measure(count)
        for name, seconds in found.items():
            ratio = seconds / found["products"]
            sys.stdout.write(f"{count:>9}  {name:<9} {1e3 * seconds:>8.2f}  {ratio:>5.1f}\n")


if __name__ == "__main__":
    main()
