"""An extended Kalman filter in a few directions of a network's unknowns: no memory, no iteration.

The unknowns are a fixed point plus a combination of `dimensions` orthonormal directions, in prior
standard deviations, of which the combination is Gaussian. Every event is one linearised Kalman
step. The directions are random around a prior draw; or, with `warmup`, those in which Adam moved
from one event to the next while it climbed the first events, around where it arrived. Not here:
dynamics, or doubt outside the directions.
Source: Duran-Martin, Kara and Murphy (2022), who take the directions from a singular value
decomposition of Adam's iterates; Gram-Schmidt as they arrive spans the same at a constant cost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from .base import Array, Belief, Event, Info, Model, Options, Posterior, UsageError, provides
from .blocks import apply, contract, trusted
from .climbing import Guess, climbing
from .curvature import curvature_of
from .fading import guess_fades, tempered
from .history import memory
from .idle import nothing_to_refine
from .unknowns import Unknowns, fixed_continuous, needs_prior, uniform_draws

AGAIN = 8
"""Warm-up events whose information a refine adds, once the warm-up is over."""
RIDGE = 1e-6
"""Added to a covariance's diagonal, relative to it, before its Cholesky factor is taken."""
NEGLIGIBLE = 1e-3
"""Share of a move outside the directions so far, under which it gives no new one."""


@dataclass(frozen=True)
class SubspaceEKF(Options):
    """particles: S draws. dimensions: d directions; 0, or more than there are unknowns, are all.

    structure: "full", or "diagonal" in the directions. warmup: events to climb first, during which
    the belief is the prior; fewer than d give as many directions. step_size: Adam's in the warm-up,
    in prior standard deviations. jitter: how far from the prior mean the point starts, in those too
    (1 is a prior draw).
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
    """guess: the fixed point, with the warm-up's events. directions `[d, D]`, of which `found` `[]`
    are there (0 elsewhere); mean `[d]` and covariance `[B, b, b]` of their combination.

    before `[D]`: the guess at the last direction; again `[]`: warm-up events whose information has
    been added. stats: the model's. step_size `[]`.
    """

    guess: Guess
    directions: Array
    found: Array
    mean: Array
    covariance: Array
    before: Array
    again: Array
    stats: Any
    step_size: Array


def build(model: Model, config: SubspaceEKF) -> Posterior:
    """A Gaussian over the combination of the directions."""
    unknowns = fixed_continuous("subspace-ekf", model)
    needs_prior("subspace-ekf", model, "laplace")
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
    store = memory(model, max(warmup, 1), "forget")
    climb = climbing(unknowns, store, config.jitter)
    filter_one = filtering(model, unknowns)
    spread = jnp.asarray(unknowns.gaussian()[1], unknowns.dtype)

    def init(key: Array) -> State:
        guess_key, direction_key = jax.random.split(key)
        guess = climb.start(guess_key)
        directions, found = jnp.zeros((size, unknowns.size)), 0
        if size == unknowns.size:
            directions, found = jnp.eye(size), size
        elif not warmup:
            normal = jax.random.normal(direction_key, (unknowns.size, size), unknowns.dtype)
            directions, found = jnp.linalg.qr(normal)[0].T, size
        block = jnp.eye(size // groups)
        return State(
            guess,
            directions,
            jnp.asarray(found, jnp.int32),
            jnp.zeros(size),
            jnp.broadcast_to(block, (groups, *block.shape)),
            guess.values,
            jnp.zeros((), jnp.int32),
            model.init_stats(),
            jnp.asarray(config.step_size, unknowns.dtype),
        )

    def warm(key: Array, state: State, event: Event) -> State:
        """Keep an event, and the direction in which the guess has moved since the one before."""
        keep_key, random_key = jax.random.split(key)
        history = store.push(keep_key, state.guess.history, event, state.guess.values)
        moved = (state.guess.values - state.before) / spread
        aside = jax.random.normal(random_key, moved.shape, moved.dtype)
        seen = state.guess.history.seen
        # Evenly over the warm-up.
        due = (seen + 1) * size // warmup
        state = state._replace(guess=state.guess._replace(history=history))

        def add(state: State) -> State:
            one = orthogonal(moved, state.directions)
            new = jnp.linalg.norm(one) > NEGLIGIBLE * jnp.linalg.norm(moved)
            one = jnp.where(new, one, orthogonal(aside, state.directions))
            one = orthogonal(one / jnp.linalg.norm(one), state.directions)
            return state._replace(
                directions=state.directions.at[state.found].set(one / jnp.linalg.norm(one)),
                found=state.found + 1,
                before=state.guess.values,
            )

        return jax.lax.cond(due > state.found, add, lambda s: s, state)

    def absorb_one(state: State, item: tuple[Array, Event]) -> tuple[State, None]:
        key, event = item
        if warmup:
            warming = state.guess.history.seen < warmup
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
        return jax.lax.cond(state.guess.history.seen < warmup, climbed, recalled, key, state)

    def climbed(key: Array, state: State) -> tuple[State, Info]:
        history = state.guess.history
        value, gradient = store.climb(key, history, state.guess.values[:, None])
        guess, info = climb.step(state.guess, value[0], gradient[:, 0], state.step_size)
        return state._replace(guess=guess), info._replace(diagnostics={})

    def recalled(key: Array, state: State) -> tuple[State, Info]:
        """Narrower by what more warm-up events tell; the point has heard them already."""
        slots = state.again + jnp.arange(AGAIN)
        events = jax.tree.map(
            lambda x: jnp.take(x, slots, axis=0, mode="clip"), state.guess.history.events
        )
        weight = jnp.where(slots < warmup, events.weight, 0.0)
        rows = jax.vmap(lambda event: curvature(state.guess.values, (), event)[1])(events)
        rows = rows * jnp.sqrt(weight)[:, None, None] * spread[None, None, :]
        rows = rows.reshape(-1, rows.shape[2]) @ state.directions.T
        covariance = contract(state.covariance, rows)
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
        values = state.guess.values[None, :] + spread[None, :] * moved
        if warmup:
            prior = unknowns.sample(prior_key, config.particles)
            values = jnp.where(state.guess.history.seen < warmup, prior, values)
        return uniform_draws(values)

    in_memory = guess_fades(store)

    def fade(key: Array, state: State, factor: Array) -> State:
        """Towards the prior around the point, which stays where it is."""
        assert in_memory is not None
        mean, covariance = tempered(state.mean, state.covariance, factor)
        return in_memory(key, state._replace(mean=mean, covariance=covariance), factor)

    curvature = curvature_of(model)
    return Posterior(init, absorb, refine if warmup else nothing_to_refine(), belief, fade)


def filtering(model: Model, unknowns: Unknowns) -> Callable[[State, Event], State]:
    """`step(state, event)`: one Kalman step, linearised at the mean."""
    curvature = curvature_of(model)
    spread = jnp.asarray(unknowns.gaussian()[1], unknowns.dtype)
    exact = provides(model, "linear")

    def step(state: State, event: Event) -> State:
        u = state.guess.values + spread * (state.mean @ state.directions)
        score, rows = curvature(u, state.stats, event)
        score = event.weight * (state.directions @ (spread * score))
        rows = jnp.sqrt(event.weight) * (rows * spread[None, :]) @ state.directions.T
        covariance = contract(state.covariance, rows)
        move = apply(covariance, score)
        return state._replace(
            mean=state.mean + (move if exact else trusted(move, score)),
            covariance=covariance,
            stats=model.update_stats(state.stats, event),
        )

    return step


def orthogonal(vector: Array, directions: Array) -> Array:
    """The part of `vector [D]` outside orthonormal `directions [d, D]`, rows of 0 among them."""
    return vector - (directions @ vector) @ directions
