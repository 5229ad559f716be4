"""Total information gained about the truth, in nats: exact, or bounded from both sides.

ACE is a lower and VNMC an upper bound for any proposal that does not depend on the truth; the
proposal here is a mixture fitted to the reference posterior. sPCE and sNMC are for comparison with
published tables and cannot exceed log(L + 1).
Sources: Foster et al. (2020), VNMC and ACE; Foster et al. (2021), sPCE and sNMC.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ....posteriors.base import Array, Draws, Model
from ....posteriors.parts.unknowns import unknowns_of
from ....posteriors.parts.vmap_last import vmap_last
from ...loop.core.program_cache import cached_program
from ..reference.likelihood import CHUNK, history_log_likelihood
from ..reference.online import Reference, judge_key, judge_program_name, judge_seeds, run_in_batches

SAMPLES = 2000
"""L of ACE and VNMC."""
COMPONENTS = 64
NEIGHBOURS = 96
"""Reference particles that shape one component."""
WIDTH = 1.0
"""Kernel width of a component, in its neighbourhood's standard deviations."""
FREEDOM = 5.0
"""Degrees of freedom of the components: heavier tails than those of the draws."""
DEFENSIVE = 0.05
"""Share of the proposal that is the prior, so that it covers whatever the fit missed."""


class Bounds(NamedTuple):
    """Gain of each history, in nats: lower <= truth <= upper in expectation."""

    lower: np.ndarray
    """`[N]`."""
    upper: np.ndarray
    """`[N]`."""
    ess: np.ndarray
    """`[N]`, effective sample size of the evidence estimate, out of `SAMPLES`."""


def exact_gain(
    model: Model, truth: np.ndarray, actions: np.ndarray, observations: np.ndarray, ref: Reference
) -> np.ndarray:
    """Compute the gain under an exact reference: sum of log p(y|truth) - log p(y|past).

    model: of the world.
    truth: `[N, T, D]`, the unknowns at each event (they may move).
    actions: `[N, T, size]`.
    observations: `[N, T, ...]`.
    ref: reference along the same histories.
    Returns: `[N]` nats.
    """
    own = own_log_likelihood(model, truth, actions, observations)
    return (own - np.asarray(ref.log_marginal, float)).sum(1)


def own_log_likelihood(model, truth, actions, observations) -> np.ndarray:
    """Compute the log probability of each observation under the truth at its time.

    model: of the world.
    truth: `[N, T, D]`.
    actions: `[N, T, size]`.
    observations: `[N, T, ...]`.
    Returns: `[N, T]` nats.
    """
    inputs = truth, actions, observations
    return np.asarray(run_in_batches(_own(model), inputs, len(truth)), float)


@lru_cache(maxsize=32)
def _own(model: Model):
    """The same, compiled."""
    from ....posteriors.parts.unknowns import log_likelihood
    from ..reference.likelihood import unit_event

    def run(truth: Array, actions: Array, observations: Array) -> Array:
        def turn(stats, row):
            u, action, observation = row
            value = log_likelihood(model, u, stats, action, observation)
            return model.update_stats(stats, unit_event(action, observation)), value

        return jax.lax.scan(turn, model.init_stats(), (truth, actions, observations))[1]

    return jax.jit(cached_program(jax.vmap(run), judge_program_name(model, "own")))


def gain_bounds(
    model: Model,
    key: Array,
    truth: np.ndarray,
    actions: np.ndarray,
    observations: np.ndarray,
    ref: Reference,
    samples: int = SAMPLES,
) -> Bounds:
    """Bound the gain by ACE and VNMC.

    model: of the world.
    key: of the judge.
    truth: `[N, D]`.
    actions: `[N, T, size]`.
    observations: `[N, T, ...]`.
    ref: reference along the same histories.
    samples: L, draws of the proposal.
    Returns: bounds of each history.
    """
    assert ref.draws is not None
    seeds = judge_seeds(key, len(truth))
    inputs = seeds, truth, actions, observations, ref.draws.values, ref.draws.log_weights
    out = run_in_batches(_bounds(model, samples), inputs, len(truth))
    return Bounds(*(np.asarray(x, float) for x in out))


@lru_cache(maxsize=32)
def _bounds(model: Model, samples: int):
    """The same, compiled."""
    unknowns = unknowns_of(model)

    def joint(particles: Array, actions: Array, observations: Array) -> Array:
        prior = vmap_last(unknowns.log_prior, particles)
        return prior + history_log_likelihood(model, particles, actions, observations)

    def run(seed, truth, actions, observations, values, log_weights):
        draws = Draws(values, log_weights)
        fit_key, sample_key = jax.random.split(judge_key(seed))
        proposal = _fit(fit_key, draws)
        defensive = max(round(DEFENSIVE * samples), 1)
        normal_key, prior_key = jax.random.split(sample_key)
        main = proposal.sample(normal_key, samples - defensive)
        broad = unknowns.sample(prior_key, defensive)
        particles = jnp.concatenate([truth[None], main, broad]).T
        share = jnp.asarray(defensive / samples)
        log_q = jnp.logaddexp(
            jnp.log1p(-share) + vmap_last(proposal.log_density, particles),
            jnp.log(share) + vmap_last(unknowns.log_prior, particles),
        )
        target = joint(particles, actions, observations)
        logs = jnp.where(jnp.isnan(target), -jnp.inf, target) - log_q
        own = target[0] - unknowns.log_prior(truth)
        contrast = jax.nn.logsumexp(logs[1:])
        lower = own - (jnp.logaddexp(logs[0], contrast) - jnp.log(samples + 1.0))
        upper = own - (contrast - jnp.log(float(samples)))
        ess = jnp.exp(2 * contrast - jax.nn.logsumexp(2 * logs[1:]))
        return lower, upper, ess

    many = cached_program(
        lambda *histories: jax.lax.map(lambda h: run(*h), histories),
        judge_program_name(model, f"bounds {samples}"),
    )
    return jax.jit(many)


class Mixture(NamedTuple):
    """Student-t components: centers `[M, D]`, roots `[M, D, D]` (lower Cholesky factors)."""

    centers: Array
    roots: Array

    def sample(self, key: Array, count: int) -> Array:
        """Draw from the mixture.

        key: random key.
        count: number of draws.
        Returns: `[count, D]`.
        """
        which_key, noise_key, scale_key = jax.random.split(key, 3)
        size = self.centers.shape[1]
        which = jax.random.randint(which_key, (count,), 0, self.centers.shape[0])
        noise = jax.random.normal(noise_key, (count, size))
        stretch = jax.random.gamma(scale_key, FREEDOM / 2, (count, 1)) / (FREEDOM / 2)
        noise = noise / jnp.sqrt(stretch)
        return self.centers[which] + jnp.einsum("nij,nj->ni", self.roots[which], noise)

    def log_density(self, u: Array) -> Array:
        """Compute the log density.

        u: point `[D]`.
        Returns: `[]`.
        """
        size = self.centers.shape[1]
        # Inverted once, whatever the number of draws: a solve for each draw and component takes
        # ten times all the rest. The roots are well conditioned, by the floor in `fit`.
        eye = jnp.broadcast_to(jnp.eye(size, dtype=self.roots.dtype), self.roots.shape)
        whiten = jax.scipy.linalg.solve_triangular(self.roots, eye, lower=True)
        offset = u[None] - self.centers
        square = jnp.sum(jnp.square(jnp.einsum("mij,mj->mi", whiten, offset)), axis=1)
        half = 0.5 * (FREEDOM + size)
        constant = (
            jax.scipy.special.gammaln(half)
            - jax.scipy.special.gammaln(FREEDOM / 2)
            - 0.5 * size * jnp.log(FREEDOM * jnp.pi)
        )
        volume = jnp.sum(jnp.log(jnp.einsum("mii->mi", self.roots)), axis=1)
        logs = constant - volume - half * jnp.log1p(square / FREEDOM)
        return jax.nn.logsumexp(logs) - jnp.log(float(self.centers.shape[0]))


def _fit(key: Array, draws: Draws) -> Mixture:
    """A mixture around a subset of the draws, each component shaped by its neighbourhood."""
    center_key, cloud_key = jax.random.split(key)
    count = draws.values.shape[0]
    edges = jnp.cumsum(jnp.exp(draws.log_weights))

    def pick(key: Array, wanted: int) -> Array:
        # By inversion: a Gumbel draw for each of the weights takes longer than all the rest here.
        at = jnp.searchsorted(edges, edges[-1] * jax.random.uniform(key, (wanted,)), side="right")
        return draws.values[jnp.minimum(at, count - 1)]

    centers, cloud = pick(center_key, COMPONENTS), pick(cloud_key, min(count, 1024))
    spread = jnp.maximum(jnp.std(cloud, axis=0), 1e-6)
    apart = jnp.sum(jnp.square((centers[:, None] - cloud[None]) / spread[None, None]), axis=-1)
    near = min(NEIGHBOURS, cloud.shape[0])
    _, index = jax.lax.top_k(-apart, near)

    def root(center: Array, index: Array) -> Array:
        offsets = cloud[index] - cloud[index].mean(0, keepdims=True)
        covariance = offsets.T @ offsets / near
        floor = 1e-3 * jnp.diag(covariance) + 1e-10 * jnp.square(spread)
        return WIDTH * jnp.linalg.cholesky(covariance + jnp.diag(floor))

    return Mixture(centers, jax.vmap(root)(centers, index))


class Contrastive(NamedTuple):
    """sPCE (lower) and sNMC (upper) of each history `[N]`, and the cap log(L + 1)."""

    lower: np.ndarray
    upper: np.ndarray
    cap: float


def contrastive_bounds(
    model: Model,
    key: Array,
    truth: np.ndarray,
    actions: np.ndarray,
    observations: np.ndarray,
    contrasts: int,
) -> Contrastive:
    """Bound the gain by sPCE and sNMC with fresh prior draws for each history.

    model: of the world.
    key: of the judge.
    truth: `[N, D]`.
    actions: `[N, T, size]`.
    observations: `[N, T, ...]`.
    contrasts: L, prior draws.
    Returns: bounds of each history, and their cap.
    """
    inputs = judge_seeds(key, len(truth)), truth, actions, observations
    lower, upper = run_in_batches(_contrastive(model, contrasts), inputs, len(truth))
    return Contrastive(lower.astype(float), upper.astype(float), float(np.log(contrasts + 1)))


@lru_cache(maxsize=32)
def _contrastive(model: Model, contrasts: int):
    """The same, compiled."""
    unknowns = unknowns_of(model)
    chunk = min(CHUNK, contrasts)
    rounds = -(-contrasts // chunk)

    def run(seed: Array, truth: Array, actions: Array, observations: Array):
        key = judge_key(seed)
        own = history_log_likelihood(model, truth[:, None], actions, observations)[0]

        def part(index: Array) -> Array:
            draws = unknowns.sample(jax.random.fold_in(key, index), chunk).T
            logs = history_log_likelihood(model, draws, actions, observations)
            counted = index * chunk + jnp.arange(chunk) < contrasts
            return jax.nn.logsumexp(jnp.where(counted, logs, -jnp.inf))

        total = jax.nn.logsumexp(jax.lax.map(part, jnp.arange(rounds)))
        lower = own - (jnp.logaddexp(own, total) - jnp.log(contrasts + 1.0))
        return lower, own - (total - jnp.log(float(contrasts)))

    many = cached_program(
        lambda *histories: jax.lax.map(lambda h: run(*h), histories),
        judge_program_name(model, f"contrastive {contrasts}"),
    )
    return jax.jit(many)
