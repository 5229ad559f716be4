"""Subspace EKF: an extended Kalman filter in a few directions of a network's unknowns.

The unknowns are a fixed point plus a combination of `dimensions` orthonormal directions, in prior
standard deviations; the combination is Gaussian. Every event is one linearised Kalman step, without
a buffer or iteration. The directions are random around a prior draw; or, with `warmup`, those in
which Adam moved from one event to the next while it climbed the first events, around its last
estimate.

Cost: absorbing an event is one gradient and d^2; there is nothing to refine once warmed up.
Take it when: a network has to learn online at a constant cost an event.
Not when: unknowns move, or uncertainty outside the directions matters.
Source: Duran-Martin, Kara and Murphy (2022), who take the directions from a singular value
decomposition of Adam's iterates; Gram-Schmidt as they arrive spans the same at a constant cost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from ..base import Array, Belief, Event, Info, Model, Options, Posterior, provides
from ..errors import UsageError
from ..parts.block_gaussian import block_matvec, clip_step, condition_covariance
from ..parts.buffer_likelihood import BufferLikelihood
from ..parts.curvature import curvature_of
from ..parts.draws import uniform_draws
from ..parts.map_estimate import MapEstimator, MapState
from ..parts.no_refine import no_refine
from ..parts.replay_buffer import ReplayBuffer
from ..parts.requirements import require_fixed_continuous, require_proper_prior
from ..parts.tempering import estimate_fade, temper
from ..parts.unknowns import Unknowns

AGAIN = 8
"""Warm-up events whose information a refine adds, once the warm-up is over."""
RIDGE = 1e-6
"""Added to a covariance's diagonal, relative to it, before its Cholesky factor is taken."""
NEGLIGIBLE = 1e-3
"""Share of a move outside the directions so far, under which it gives no new one."""


@dataclass(frozen=True)
class SubspaceEKF(Options):
    """Options of the filter.

    particles: S draws.
    dimensions: d directions; 0, or more than there are unknowns, are all.
    structure: "full", or "diagonal" in the directions.
    warmup: events to climb first, during which the belief is the prior; fewer than d give as many
        directions.
    step_size: of Adam in the warm-up, in prior standard deviations.
    jitter: distance of the start from the prior mean, in prior standard deviations; 1 is a prior
        draw.
    """

    learns_at_once: ClassVar[bool] = True
    search: ClassVar[Any] = {"dimensions": (32, 64, 128, 256), "structure": ("full", "diagonal")}

    particles: int = 16
    dimensions: int = 128
    structure: str = "full"
    warmup: int = 0
    step_size: float = 0.02
    jitter: float = 1.0


class State(NamedTuple):
    """State of the method.

    estimate: the fixed point, with the warm-up's events.
    directions: `[d, D]`, 0 beyond `found`.
    found: `[]` int32, directions so far.
    mean: `[d]`, of their combination.
    covariance: `[B, b, b]`, of their combination.
    before: `[D]`, the estimate at the last direction.
    again: `[]` int32, warm-up events whose information has been added.
    stats: the model's running statistics.
    step_size: `[]`.
    """

    estimate: MapState
    directions: Array
    found: Array
    mean: Array
    covariance: Array
    before: Array
    again: Array
    stats: Any
    step_size: Array


def build(model: Model, config: SubspaceEKF) -> Posterior:
    """Build a posterior that is a Gaussian over the combination of the directions.

    model: a model with fixed continuous unknowns and a proper prior.
    config: the options.

    Raises: UsageError if the model does not fit or an option is out of range.
    """
    unknowns = require_fixed_continuous("subspace-ekf", model)
    require_proper_prior("subspace-ekf", model, "laplace")
    if config.structure not in ("full", "diagonal"):
        raise UsageError(f"structure={config.structure!r}: choose full or diagonal")
    for name in ("dimensions", "warmup"):
        if getattr(config, name) < 0:
            raise UsageError(f"{name}={getattr(config, name)}: must be at least 0")
    warmup = config.warmup
    if warmup and jax.tree.leaves(model.init_stats()):
        raise UsageError(
            f"posterior subspace-ekf: warmup={warmup}: the events of {type(model).__name__} have "
            "an order: use warmup=0"
        )
    size = min(config.dimensions or unknowns.size, unknowns.size)
    groups = 1 if config.structure == "full" else size
    store = ReplayBuffer(model, max(warmup, 1), "forget")
    estimator = MapEstimator(unknowns, BufferLikelihood(store), config.jitter)
    filter_one = _filtering(model, unknowns)
    spread = jnp.asarray(unknowns.gaussian()[1], unknowns.dtype)

    def init(key: Array) -> State:
        estimate_key, direction_key = jax.random.split(key)
        estimate = estimator.init(estimate_key)
        directions, found = jnp.zeros((size, unknowns.size)), 0
        if size == unknowns.size:
            directions, found = jnp.eye(size), size
        elif not warmup:
            normal = jax.random.normal(direction_key, (unknowns.size, size), unknowns.dtype)
            directions, found = jnp.linalg.qr(normal)[0].T, size
        block = jnp.eye(size // groups)
        return State(
            estimate,
            directions,
            jnp.asarray(found, jnp.int32),
            jnp.zeros(size),
            jnp.broadcast_to(block, (groups, *block.shape)),
            estimate.params,
            jnp.zeros((), jnp.int32),
            model.init_stats(),
            jnp.asarray(config.step_size, unknowns.dtype),
        )

    def warm(key: Array, state: State, event: Event) -> State:
        """Store an event, and the direction in which the estimate has moved since the last."""
        push_key, random_key = jax.random.split(key)
        buffer = store.push(push_key, state.estimate.buffer, event, state.estimate.params)
        moved = (state.estimate.params - state.before) / spread
        aside = jax.random.normal(random_key, moved.shape, moved.dtype)
        seen = state.estimate.buffer.seen
        # Evenly over the warm-up.
        due = (seen + 1) * size // warmup
        state = state._replace(estimate=state.estimate._replace(buffer=buffer))

        def add(state: State) -> State:
            direction = _orthogonal(moved, state.directions)
            new = jnp.linalg.norm(direction) > NEGLIGIBLE * jnp.linalg.norm(moved)
            direction = jnp.where(new, direction, _orthogonal(aside, state.directions))
            direction = _orthogonal(direction / jnp.linalg.norm(direction), state.directions)
            direction = direction / jnp.linalg.norm(direction)
            return state._replace(
                directions=state.directions.at[state.found].set(direction),
                found=state.found + 1,
                before=state.estimate.params,
            )

        return jax.lax.cond(due > state.found, add, lambda s: s, state)

    def absorb_one(state: State, item: tuple[Array, Event]) -> tuple[State, None]:
        key, event = item
        if warmup:
            warming = state.estimate.buffer.seen < warmup
            new = jax.lax.cond(
                warming, lambda s: warm(key, s, event), lambda s: filter_one(s, event), state
            )
        else:
            new = filter_one(state, event)
        real = event.weight > 0
        return jax.tree.map(lambda a, b: jnp.where(real, a, b), new, state), None

    def absorb(key: Array, state: State, events: Event) -> State:
        keys = jax.random.split(key, events.weight.shape[0])
        return jax.lax.scan(absorb_one, state, (keys, events))[0]

    def refine(key: Array, state: State) -> tuple[State, Info]:
        return jax.lax.cond(state.estimate.buffer.seen < warmup, climb, recall, key, state)

    def climb(key: Array, state: State) -> tuple[State, Info]:
        estimate, info = estimator.step(key, state.estimate, state.step_size)
        return state._replace(estimate=estimate), info._replace(diagnostics={})

    def recall(key: Array, state: State) -> tuple[State, Info]:
        """Add the information of more warm-up events; the point has climbed them already."""
        slots = state.again + jnp.arange(AGAIN)
        events = jax.tree.map(
            lambda x: jnp.take(x, slots, axis=0, mode="clip"), state.estimate.buffer.events
        )
        weight = jnp.where(slots < warmup, events.weight, 0.0)
        rows = jax.vmap(lambda event: curvature(state.estimate.params, (), event)[1])(events)
        rows = rows * jnp.sqrt(weight)[:, None, None] * spread[None, None, :]
        rows = rows.reshape(-1, rows.shape[2]) @ state.directions.T
        covariance = condition_covariance(state.covariance, rows)
        again = jnp.minimum(state.again + AGAIN, warmup)
        work = (again - state.again).astype(covariance.dtype)
        healthy = jnp.all(jnp.isfinite(covariance)) & jnp.all(jnp.isfinite(state.mean))
        return state._replace(covariance=covariance, again=again), Info(work, healthy, {})

    def belief(key: Array, state: State, now: Array) -> Belief:
        prior_key, noise_key = jax.random.split(key)
        width = size // groups
        ridge = RIDGE * jnp.einsum("bii->bi", state.covariance)
        root = jnp.linalg.cholesky(state.covariance + jax.vmap(jnp.diag)(ridge))
        noise = jax.random.normal(noise_key, (config.particles, groups, width))
        offsets = jnp.einsum("bij,sbj->sbi", root, noise).reshape(config.particles, size)
        moved = (state.mean[None, :] + offsets) @ state.directions
        values = state.estimate.params[None, :] + spread[None, :] * moved
        if warmup:
            prior = unknowns.sample(prior_key, config.particles)
            values = jnp.where(state.estimate.buffer.seen < warmup, prior, values)
        return uniform_draws(values)

    fade_events = estimate_fade(store)

    def fade(key: Array, state: State, factor: Array) -> State:
        """Towards the prior around the point, which stays where it is."""
        assert fade_events is not None
        mean, covariance = temper(state.mean, state.covariance, factor)
        return fade_events(key, state._replace(mean=mean, covariance=covariance), factor)

    curvature = curvature_of(model)
    return Posterior(init, absorb, refine if warmup else no_refine(), belief, fade)


def _filtering(model: Model, unknowns: Unknowns) -> Callable[[State, Event], State]:
    """`step(state, event)`: one Kalman step, linearised at the mean."""
    curvature = curvature_of(model)
    spread = jnp.asarray(unknowns.gaussian()[1], unknowns.dtype)
    exact = provides(model, "linear")

    def step(state: State, event: Event) -> State:
        u = state.estimate.params + spread * (state.mean @ state.directions)
        score, rows = curvature(u, state.stats, event)
        score = event.weight * (state.directions @ (spread * score))
        rows = jnp.sqrt(event.weight) * (rows * spread[None, :]) @ state.directions.T
        covariance = condition_covariance(state.covariance, rows)
        move = block_matvec(covariance, score)
        return state._replace(
            mean=state.mean + (move if exact else clip_step(move, score)),
            covariance=covariance,
            stats=model.update_stats(state.stats, event),
        )

    return step


def _orthogonal(vector: Array, directions: Array) -> Array:
    """The part of `vector [D]` outside orthonormal `directions [d, D]`, rows of 0 among them."""
    return vector - (directions @ vector) @ directions
