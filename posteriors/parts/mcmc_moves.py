"""Metropolis moves of a particle population that leave its target unchanged.

Every move takes `particles [D, S]`, `weights [S]`, the current log target `[S]`, a step size and
the target's functions. A proposal that is fitted to the population is fitted to the other half of
it: a step fitted to the very particles it moves would not leave the target unchanged.

Source: ter Braak (2006), differential evolution; Foreman-Mackey et al. (2013), the two halves;
Neal (2011), Hamiltonian dynamics; Roberts, Gelman and Gilks (1997), the 2.38 of random walks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..base import Array
from .unknowns import Unknowns
from .vmap_last import vmap_last

OPTIMAL = 2.38
"""Best scale of a random walk on a normal target, over sqrt(dimension)."""
LOCAL = 0.3
"""Share of differential-evolution proposals that are local walks instead."""
JUMP = 0.1
"""Share of differences used whole, which carry a particle from one mode to another."""
LEAPFROGS = 8
TABLE = 100_000
"""Most hypotheses whose cumulative prior is kept to draw proposals from."""
DECADES = 3.5
"""Local walks span this many powers of ten below the prior's scale."""


class Moved(NamedTuple):
    """Result of a move.

    particles: `[D, S]`.
    target: `[S]`, log target there.
    acceptance: `[]`, mean over particles.
    evaluations: of the target, a particle.
    """

    particles: Array
    target: Array
    acceptance: Array
    evaluations: int


Target = Callable[[Array], Array]
Slope = Callable[[Array], tuple[Array, Array]]
Move = Callable[[Array, Array, Array, Array, Array, Target, Slope], Moved]
Half = Callable[[Array, Array, Array, Array, Array, Array, Target, Slope], Moved]
"""Key, the half that moves and its target, the other half and its weights, then as `Move`."""


def _masks(unknowns: Unknowns) -> np.ndarray:
    """Coordinates a proposal may change, `[M, D]` bool: all of them, or one block alone."""
    everything = np.ones((1, unknowns.size), bool)
    return everything if len(unknowns.blocks) == 1 else np.vstack([everything, unknowns.blocks])


def _evolution(unknowns: Unknowns, count: int) -> Move:
    """Differential evolution between two halves, mixed with local walks of random scale.

    The local walks need no population: they keep S = 1 defined, and small S diverse.
    """
    choices = _masks(unknowns)
    sizes = choices.sum(1)
    _, prior_sd = unknowns.gaussian()

    def half(key, moved, target, other, weights, step, log_target, slope) -> Moved:
        size, pool = moved.shape[1], other.shape[1]
        noise_key, uniform_key = jax.random.split(key)
        uniforms = jax.random.uniform(uniform_key, (7, size))
        noise = jax.random.normal(noise_key, moved.shape)
        which = (uniforms[0] * len(choices)).astype(jnp.int32)
        mask = jnp.asarray(choices.T, moved.dtype)[:, which]
        width = jnp.asarray(sizes, moved.dtype)[which]
        decades = 10 ** (-DECADES * uniforms[1])
        local = step * decades[None, :] * jnp.asarray(prior_sd, moved.dtype)[:, None] * noise
        if pool > 1:
            one = (uniforms[2] * pool).astype(jnp.int32)
            two = (one + 1 + (uniforms[3] * (pool - 1)).astype(jnp.int32)) % pool
            gamma = step * OPTIMAL / jnp.sqrt(2 * width)
            gamma = jnp.where(uniforms[4] < JUMP, 1.0, gamma)
            apart = gamma[None, :] * (other[:, one] - other[:, two]) * (1 + 0.05 * noise)
            change = jnp.where(uniforms[5][None, :] < LOCAL, local, apart)
        else:
            change = local
        proposal = moved + mask * change
        proposed = log_target(proposal)
        accept = jnp.log(uniforms[6]) < proposed - target
        return _settle(accept, proposal, proposed, moved, target, 1)

    return _in_halves(half, count)


def _in_halves(half: Half, count: int) -> Move:
    """Move each half of the population by proposals fitted to the other half."""
    first = (count + 1) // 2

    def move(key, particles, weights, target, step, log_target, slope) -> Moved:
        # Alternate columns: resampling leaves copies side by side, one for each half.
        a, b = particles[:, ::2], particles[:, 1::2]
        key_a, key_b = jax.random.split(key)
        one = half(key_a, a, target[::2], b, weights[1::2], step, log_target, slope)
        if count == 1:
            return one
        moved, known = one.particles, weights[::2]
        two = half(key_b, b, target[1::2], moved, known, step, log_target, slope)
        return Moved(
            _interleave(one.particles, two.particles, first),
            _interleave(one.target, two.target, first),
            (one.acceptance * first + two.acceptance * (count - first)) / count,
            one.evaluations,
        )

    return move


def _interleave(a: Array, b: Array, first: int) -> Array:
    """Undo `x[..., ::2], x[..., 1::2]` along the last axis."""
    if b.shape[-1] < first:
        pad = [(0, 0)] * (b.ndim - 1) + [(0, 1)]
        joined = jnp.stack([a, jnp.pad(b, pad)], axis=-1)
        return joined.reshape(*a.shape[:-1], -1)[..., : a.shape[-1] + b.shape[-1]]
    return jnp.stack([a, b], axis=-1).reshape(*a.shape[:-1], -1)


def _shares(weights: Array) -> Array:
    """Weights of a half `[S]`, made to sum to 1 (or all 0)."""
    return weights / jnp.maximum(jnp.sum(weights), jnp.finfo(weights.dtype).tiny)


def _scales(particles: Array, weights: Array, prior_sd: np.ndarray) -> Array:
    """Weighted standard deviation `[D]` of a population, floored well below the prior's."""
    mean = particles @ weights
    variance = jnp.square(particles - mean[:, None]) @ weights
    floor = jnp.asarray(prior_sd, particles.dtype) * 10**-DECADES
    return jnp.maximum(jnp.sqrt(variance), floor)


def _walk(unknowns: Unknowns, count: int) -> Move:
    """Gaussian random walk with the other half's covariance, all coordinates or one block."""
    choices = _masks(unknowns)
    sizes = choices.sum(1)
    _, prior_sd = unknowns.gaussian()

    def half(key, particles, target, other, weights, step, log_target, slope) -> Moved:
        noise_key, uniform_key = jax.random.split(key)
        uniforms = jax.random.uniform(uniform_key, (2, particles.shape[1]))
        noise = jax.random.normal(noise_key, particles.shape)
        weights = _shares(weights)
        sd = _scales(other, weights, prior_sd)
        centred = (other - (other @ weights)[:, None]) / sd[:, None]
        correlation = (centred * weights[None, :]) @ centred.T
        ridge = 1e-3 * jnp.eye(unknowns.size, dtype=particles.dtype)
        root = jnp.linalg.cholesky(correlation + ridge)
        root = jnp.where(jnp.isfinite(root), root, jnp.eye(unknowns.size, dtype=root.dtype))
        which = (uniforms[0] * len(choices)).astype(jnp.int32)
        mask = jnp.asarray(choices.T, particles.dtype)[:, which]
        width = jnp.asarray(sizes, particles.dtype)[which]
        change = (step * OPTIMAL / jnp.sqrt(width))[None, :] * sd[:, None] * (root @ noise)
        proposal = particles + mask * change
        proposed = log_target(proposal)
        accept = jnp.log(uniforms[1]) < proposed - target
        return _settle(accept, proposal, proposed, particles, target, 1)

    return _in_halves(half, count)


def _hamiltonian(unknowns: Unknowns, count: int) -> Move:
    """One Hamiltonian trajectory a particle, its mass the other half's inverse variance."""
    _, prior_sd = unknowns.gaussian()

    def half(key, particles, target, other, weights, step, log_target, slope) -> Moved:
        count = particles.shape[1]
        noise_key, uniform_key, length_key = jax.random.split(key, 3)
        sd = _scales(other, _shares(weights), prior_sd)[:, None]
        momentum = jax.random.normal(noise_key, particles.shape)
        # Random step lengths a particle: no orbit length is bad for all of them at once.
        spread = jax.random.uniform(length_key, (count,), minval=0.2, maxval=1.0)
        epsilon = (step * spread * unknowns.size**-0.25)[None, :]
        start = 0.5 * jnp.sum(jnp.square(momentum), axis=0)
        _, grad = slope(particles)

        def leap(_: int, carry):
            position, momentum, grad, _value = carry
            momentum = momentum + 0.5 * epsilon * sd * grad
            position = position + epsilon * sd * momentum
            value, grad = slope(position)
            return position, momentum + 0.5 * epsilon * sd * grad, grad, value

        begin = (particles, momentum, grad, target)
        position, momentum, _, value = jax.lax.fori_loop(0, LEAPFROGS, leap, begin)
        end = 0.5 * jnp.sum(jnp.square(momentum), axis=0)
        uniforms = jax.random.uniform(uniform_key, (count,))
        accept = jnp.log(uniforms) < value - target + start - end
        return _settle(accept, position, value, particles, target, LEAPFROGS + 1)

    return _in_halves(half, count)


def _discrete(unknowns: Unknowns, count: int) -> Move:
    """Independence proposals from the prior: discrete unknowns have no scale to walk on."""

    table = unknowns.enumerate(TABLE)

    def draw(key: Array) -> Array:
        if table is None:
            return unknowns.sample(key, count).T
        # One uniform a particle instead of one a hypothesis and particle.
        values, logs = table
        edges = jnp.asarray(np.cumsum(np.exp(logs - np.logaddexp.reduce(logs))))
        found = jnp.searchsorted(edges, jax.random.uniform(key, (count,)))
        return jnp.asarray(values)[jnp.minimum(found, len(values) - 1)].T

    def move(key, particles, weights, target, step, log_target, slope) -> Moved:
        prior_key, uniform_key = jax.random.split(key)
        proposal = draw(prior_key)
        proposed = log_target(proposal)
        ratio = proposed - vmap_last(unknowns.log_prior, proposal)
        ratio -= target - vmap_last(unknowns.log_prior, particles)
        accept = jnp.log(jax.random.uniform(uniform_key, (count,))) < ratio
        return _settle(accept, proposal, proposed, particles, target, 1)

    return move


def _settle(accept, proposal, proposed, particles, target, evaluations: int) -> Moved:
    """Keep each particle's proposal where it was accepted (a NaN never is)."""
    return Moved(
        jnp.where(accept[None, :], proposal, particles),
        jnp.where(accept, proposed, target),
        jnp.mean(accept.astype(target.dtype)),
        evaluations,
    )


MOVES: dict[str, Callable[[Unknowns, int], Move]] = {
    "evolution": _evolution,
    "walk": _walk,
    "hmc": _hamiltonian,
    "discrete": _discrete,
}
