"""A normal fitted to the posterior by climbing the evidence lower bound.

Reparametrised draws from the normal give the slope of the expected log density; that of its entropy
is exact. Not here: normals with a full covariance, but a low rank of D - 1 can be one.
Sources: Kingma and Welling (2014), Rezende, Mohamed and Wierstra (2014), Kucukelbir et al. (2017)
in unconstrained coordinates; Ong, Nott and Smith (2018) for the low rank.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import optax

from .ascent import finite_only
from .base import Array, Belief, Event, Gaussian, Info, Model, Options, Posterior, Span, UsageError
from .fading import history_fades
from .history import WIDEST, History, memory
from .trailing import across
from .unknowns import fixed_continuous, uniform_draws

STRUCTURES = ("mean-field", "low-rank")


@dataclass(frozen=True)
class Variational(Options):
    """structure: "mean-field", a diagonal covariance, or "low-rank", one of rank `rank` besides.

    samples: draws a step, in pairs mirrored at the mean. particles: draws scored by a rule that
    needs draws. step_size: Adam's; means in prior standard deviations, log scales in nats.
    capacity, full, batch: the memory (history.py). jitter: see point.
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
    """In prior standard deviations about the prior mean: mean `[D]`, log_scale `[D]`, and
    factor `[D, R]`; the covariance is diag(exp(2 log_scale)) + factor factor'."""

    mean: Array
    log_scale: Array
    factor: Array


class State(NamedTuple):
    """The normal, moments of Adam, the events climbed, step_size `[]`."""

    normal: Normal
    moments: Any
    history: History
    step_size: Array


def build(model: Model, config: Variational) -> Posterior:
    """A normal over the model's unconstrained coordinates."""
    unknowns = fixed_continuous("variational", model)
    if config.structure not in STRUCTURES:
        raise UsageError(f"structure={config.structure!r}: choose one of {', '.join(STRUCTURES)}")
    if config.samples < 2 or config.samples % 2:
        raise UsageError(f"samples={config.samples}: must be an even number, for mirrored pairs")
    if config.rank < 1:
        raise UsageError(f"rank={config.rank}: must be at least 1")
    size, pairs = unknowns.size, config.samples // 2
    rank = config.rank if config.structure == "low-rank" else 0
    store = memory(model, config.capacity, config.full, config.batch)
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
        guess = center + spread * state.normal.mean
        return state._replace(history=store.extend(key, state.history, events, guess))

    def slope(key: Array, history: History, points: Array) -> tuple[Array, Array]:
        """Log posterior `[M]` and its slope `[D, M]` at `points [D, M]` in prior sds."""
        particles = center[:, None] + spread[:, None] * points
        value, gradient = store.climb(key, history, particles)
        logs, pull = jax.vjp(lambda u: across(unknowns.log_prior, u), particles)
        return value + logs, spread[:, None] * (gradient + pull(jnp.ones_like(logs))[0])

    def refine(key: Array, state: State) -> tuple[State, Info]:
        own_key, shared_key, batch_key = jax.random.split(key, 3)
        half = jax.random.normal(own_key, (size, pairs), unknowns.dtype)
        common = jax.random.normal(shared_key, (rank, pairs), unknowns.dtype)
        noise = mirrored(half), mirrored(common)
        points, pull = jax.vjp(lambda normal: drawn(normal, *noise), state.normal)
        value, gradient = slope(batch_key, state.history, points)
        gradient, finite = finite_only(gradient)
        expected = pull(gradient / config.samples)[0]
        spread_out, outward = jax.value_and_grad(entropy)(state.normal)
        upward = jax.tree.map(jnp.add, expected, outward)
        updates, moments = adam.update(upward, state.moments)
        normal = jax.tree.map(lambda x, by: x + state.step_size * by, state.normal, updates)
        healthy = finite & jnp.all(jnp.isfinite(normal.mean))
        work = (config.samples * store.evaluated(state.history)).astype(unknowns.dtype)
        info = Info(work, healthy, {"evidence_bound": jnp.mean(value) + spread_out})
        return state._replace(normal=normal, moments=moments), info

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
        return uniform_draws((center[:, None] + spread[:, None] * drawn(normal, half, common)).T)

    return Posterior(init, absorb, refine, belief, history_fades(store))


def mirrored(noise: Array) -> Array:
    """`[N, M / 2]` -> `[N, M]`, each draw and its mirror: what is linear then has no noise."""
    return jnp.concatenate([noise, -noise], axis=1)


def drawn(normal: Normal, noise: Array, common: Array) -> Array:
    """Points `[D, M]` of a normal from standard noise `[D, M]` and `[R, M]`."""
    own = jnp.exp(normal.log_scale)[:, None] * noise
    return normal.mean[:, None] + own + normal.factor @ common


def entropy(normal: Normal) -> Array:
    """Of a normal, up to a constant, `[]`: half the log determinant, by Sylvester's identity."""
    rank = normal.factor.shape[1]
    scaled = normal.factor * jnp.exp(-normal.log_scale)[:, None]
    small = jnp.eye(rank, dtype=scaled.dtype) + scaled.T @ scaled
    return jnp.sum(normal.log_scale) + 0.5 * jnp.linalg.slogdet(small)[1]
