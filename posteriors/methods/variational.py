"""Variational inference: a normal fitted by climbing the evidence lower bound.

Reparametrised draws from the normal give the slope of the expected log density; that of its entropy
is exact. A low rank of D - 1 is a full covariance.

Cost: a refine step is `samples` gradients over the buffered events.
Take it when: a posterior is nearly Gaussian and too wide for a full covariance matrix.
Not when: the posterior has more than one mode, or its variances have to be exact (see laplace).
Source: Kingma and Welling (2014), Rezende, Mohamed and Wierstra (2014), Kucukelbir et al. (2017)
in unconstrained coordinates; Ong, Nott and Smith (2018) for the low rank.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import optax

from ..base import Array, Belief, Event, Gaussian, Info, Model, Options, Posterior, Span
from ..errors import UsageError
from ..parts.buffer_likelihood import BufferLikelihood
from ..parts.draws import uniform_draws
from ..parts.optimiser import drop_nonfinite
from ..parts.replay_buffer import WIDEST, Buffer, ReplayBuffer
from ..parts.requirements import require_fixed_continuous
from ..parts.tempering import buffer_fade
from ..parts.vmap_last import vmap_last

STRUCTURES = ("mean-field", "low-rank")


@dataclass(frozen=True)
class Variational(Options):
    """Options of the fitted normal.

    structure: "mean-field", a diagonal covariance, or "low-rank", one of rank `rank` besides.
    rank: of the low-rank part.
    samples: draws a step, in pairs mirrored at the mean.
    particles: draws scored by a rule that needs draws.
    step_size: of Adam; means in prior standard deviations, log scales in nats.
    capacity: events in the replay buffer.
    full: policy of a full buffer (../parts/replay_buffer.py).
    batch: events behind a step, 0 for all.
    jitter: distance of the start from the prior mean, in prior standard deviations.
    """

    refine: ClassVar[int] = 5
    search: ClassVar[Any] = {
        "step_size": Span(1e-3, 0.3),
        "structure": STRUCTURES,
        "samples": (2, 8, 32),
    }

    structure: str = "mean-field"
    rank: int = 4
    samples: int = 8
    particles: int = 128
    step_size: float = 0.05
    capacity: int = 512
    full: str = "auto"
    batch: int = 0
    jitter: float = 0.1


class Normal(NamedTuple):
    """A normal in prior standard deviations about the prior mean.

    Its covariance is diag(exp(2 log_scale)) + factor factor'.

    mean: `[D]`.
    log_scale: `[D]`.
    factor: `[D, R]`.
    """

    mean: Array
    log_scale: Array
    factor: Array


class State(NamedTuple):
    """State of the method.

    normal: the belief.
    optimiser: moments of Adam.
    buffer: the events climbed.
    step_size: `[]`.
    """

    normal: Normal
    optimiser: Any
    buffer: Buffer
    step_size: Array


def build(model: Model, config: Variational) -> Posterior:
    """Build a posterior that is a normal over the model's unconstrained coordinates.

    model: a model with fixed continuous unknowns.
    config: the options.

    Raises: UsageError if the model does not fit or an option is out of range.
    """
    unknowns = require_fixed_continuous("variational", model)
    if config.structure not in STRUCTURES:
        raise UsageError(f"structure={config.structure!r}: choose one of {', '.join(STRUCTURES)}")
    if config.samples < 2 or config.samples % 2:
        raise UsageError(f"samples={config.samples}: must be an even number, for mirrored pairs")
    if config.rank < 1:
        raise UsageError(f"rank={config.rank}: must be at least 1")
    size, pairs = unknowns.size, config.samples // 2
    rank = config.rank if config.structure == "low-rank" else 0
    store = ReplayBuffer(model, config.capacity, config.full)
    likelihood = BufferLikelihood(store, config.batch)
    adam = optax.scale_by_adam()
    center, spread = (jnp.asarray(x, unknowns.dtype) for x in unknowns.gaussian())

    def init(key: Array) -> State:
        mean_key, factor_key = jax.random.split(key)
        mean = config.jitter * jax.random.normal(mean_key, (size,), unknowns.dtype)
        # A factor of nothing has no slope: by symmetry it would stay so.
        factor = config.jitter * jax.random.normal(factor_key, (size, rank), unknowns.dtype)
        normal = Normal(mean, jnp.zeros_like(mean), factor / max(rank, 1) ** 0.5)
        step_size = jnp.asarray(config.step_size, unknowns.dtype)
        return State(normal, adam.init(normal), store.empty(), step_size)

    def absorb(key: Array, state: State, events: Event) -> State:
        params = center + spread * state.normal.mean
        return state._replace(buffer=store.extend(key, state.buffer, events, params))

    def slope(key: Array, buffer: Buffer, points: Array) -> tuple[Array, Array]:
        """Log posterior `[M]` and its slope `[D, M]` at `points [D, M]` in prior sds."""
        particles = center[:, None] + spread[:, None] * points
        value, gradient = likelihood.estimate_gradient(key, buffer, particles)
        logs, pull = jax.vjp(lambda u: vmap_last(unknowns.log_prior, u), particles)
        return value + logs, spread[:, None] * (gradient + pull(jnp.ones_like(logs))[0])

    def refine(key: Array, state: State) -> tuple[State, Info]:
        own_key, shared_key, batch_key = jax.random.split(key, 3)
        half = jax.random.normal(own_key, (size, pairs), unknowns.dtype)
        common = jax.random.normal(shared_key, (rank, pairs), unknowns.dtype)
        noise = mirror_noise(half), mirror_noise(common)
        points, pull = jax.vjp(lambda normal: draw_points(normal, *noise), state.normal)
        value, gradient = slope(batch_key, state.buffer, points)
        gradient, finite = drop_nonfinite(gradient)
        expected = pull(gradient / config.samples)[0]
        spread_out, outward = jax.value_and_grad(entropy)(state.normal)
        upward = jax.tree.map(jnp.add, expected, outward)
        updates, optimiser = adam.update(upward, state.optimiser)
        normal = jax.tree.map(lambda x, by: x + state.step_size * by, state.normal, updates)
        healthy = finite & jnp.all(jnp.isfinite(normal.mean))
        work = (config.samples * likelihood.evaluations(state.buffer)).astype(unknowns.dtype)
        info = Info(work, healthy, {"evidence_bound": jnp.mean(value) + spread_out})
        return state._replace(normal=normal, optimiser=optimiser), info

    def belief(key: Array, state: State, now: Array) -> Belief:
        normal = state.normal
        mean, scale = center + spread * normal.mean, spread * jnp.exp(normal.log_scale)
        if not rank:
            return Gaussian(mean, jnp.square(scale)[:, None, None])
        factor = spread[:, None] * normal.factor
        if size <= WIDEST:
            return Gaussian(mean, (jnp.diag(jnp.square(scale)) + factor @ factor.T)[None])
        own_key, shared_key = jax.random.split(key)
        half = jax.random.normal(own_key, (size, config.particles), unknowns.dtype)
        common = jax.random.normal(shared_key, (rank, config.particles), unknowns.dtype)
        return uniform_draws(
            (center[:, None] + spread[:, None] * draw_points(normal, half, common)).T
        )

    return Posterior(init, absorb, refine, belief, buffer_fade(store))


def mirror_noise(noise: Array) -> Array:
    """Append the mirror of each draw, so that linear functions of the draws have no noise.

    noise: `[N, M / 2]`.

    Returns: `[N, M]`.
    """
    return jnp.concatenate([noise, -noise], axis=1)


def draw_points(normal: Normal, noise: Array, common: Array) -> Array:
    """Turn standard noise into points of a normal.

    normal: the normal.
    noise: `[D, M]`, for the diagonal part.
    common: `[R, M]`, for the low-rank part.

    Returns: `[D, M]`.
    """
    own = jnp.exp(normal.log_scale)[:, None] * noise
    return normal.mean[:, None] + own + normal.factor @ common


def entropy(normal: Normal) -> Array:
    """Compute the entropy of a normal up to a constant: half the log determinant.

    By Sylvester's identity only an `[R, R]` matrix is factorised.

    normal: the normal.

    Returns: `[]`, nats.
    """
    rank = normal.factor.shape[1]
    scaled = normal.factor * jnp.exp(-normal.log_scale)[:, None]
    small = jnp.eye(rank, dtype=scaled.dtype) + scaled.T @ scaled
    return jnp.sum(normal.log_scale) + 0.5 * jnp.linalg.slogdet(small)[1]
