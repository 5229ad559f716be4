"""Laplace: a Gaussian, exact where the model is linear-Gaussian, Gauss-Newton elsewhere.

`absorb` is one Kalman step (linearised where needed), so the exact recursion and the online
generalised Gauss-Newton are the same lines. `refine` is one damped Newton step on the buffered
events; where the recursion is exact it is the identity. Moving unknowns are carried forward by
their (linearised) dynamics. Where the recursion is exact and nothing moves the covariance is kept
factored, so that features of any scale from 1e-6 to 1e9 are learnt rightly in float32.

Cost: absorbing an event costs the square of a block's width; a refine step also inverts each block.
Take it when: the posterior has one mode and blocks are at most a few hundred wide.
Not when: the posterior has several modes, or unknowns are discrete.
Source: Kalman (1960); Martens (2020); Ritter, Botev and Barber (2018) for the online form.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from ..base import Array, Belief, Event, Gaussian, Info, Model, Options, Posterior, Span, provides
from ..errors import UsageError
from ..parts.block_gaussian import (
    block_matmul,
    block_matvec,
    clip_step,
    condition_covariance,
    condition_factor,
    factor_of,
    joint_step,
    root_of,
)
from ..parts.buffer_likelihood import BufferLikelihood
from ..parts.curvature import curvature_of, positive_root
from ..parts.dynamics import gaussian_dynamics
from ..parts.no_refine import no_refine
from ..parts.replay_buffer import WIDEST, Buffer, ReplayBuffer, event_count
from ..parts.tempering import RESERVOIR, fade_buffer, temper
from ..parts.unknowns import unknowns_of
from ..parts.vmap_last import vmap_last

BACKTRACKS = 5
"""Newton step lengths tried at once: 1, 1/2, 1/4, ..."""


@dataclass(frozen=True)
class Laplace(Options):
    """Options of the Gaussian.

    structure: "full", "diagonal", or "auto" (the model's independent groups, which is exact, but
        diagonal where a group is wider than 256).
    particles: draws scored by a rule that needs draws.
    capacity: events in the replay buffer behind `refine`.
    full: policy of a full buffer (../parts/replay_buffer.py).
    jitter: distance of the start from the prior mean, in prior standard deviations.
    """

    # A Newton step an event besides the event's own step costs far more than it adds.
    learns_at_once: ClassVar[bool] = True
    search: ClassVar[Any] = {"structure": ("auto", "diagonal"), "jitter": Span(1e-3, 1.0)}

    structure: str = "auto"
    particles: int = 128
    capacity: int = 512
    full: str = "auto"
    jitter: float = 0.1


class State(NamedTuple):
    """State of the method.

    mean: `[D]`.
    lost: `[D]`, rounding errors of `mean`, given back at the next step (Kahan 1965); after 10^5
        events a step is far below the mean's last digit. None where nothing accumulates.
    covariance: `[B, b, b]`; its factor (../parts/block_gaussian.py) where the recursion is exact.
    stats: the model's running statistics.
    time: `[]`, seconds, of the last event.
    buffer: the events, None without `refine`.
    """

    mean: Array
    lost: Array | None
    covariance: Array
    stats: Any
    time: Array
    buffer: Buffer | None


def build(model: Model, config: Laplace) -> Posterior:
    """Build a posterior that is a Gaussian over the model's unconstrained coordinates.

    model: a model with continuous unknowns, which may move by normal dynamics.
    config: the options.

    Raises: UsageError if the model does not fit or `structure` is unknown.
    """
    unknowns = unknowns_of(model)
    if unknowns.discrete:
        raise UsageError(
            f"posterior laplace needs continuous unknowns; those of {type(model).__name__} are "
            "discrete: use exact or smc"
        )
    wide = unknowns.size // model.independent > WIDEST
    auto = unknowns.size if wide else model.independent
    shapes = {"full": 1, "diagonal": unknowns.size, "auto": auto}
    if config.structure not in shapes:
        raise UsageError(f"structure={config.structure!r}: choose full, diagonal or auto")
    groups = shapes[config.structure]
    width = unknowns.size // groups
    coarse = groups > model.independent  # blocks leave out correlations of the posterior
    linear = provides(model, "linear") and unknowns.normal
    moving = gaussian_dynamics(model, groups) if model.latent else None
    store = None
    if not linear and moving is None:
        store = ReplayBuffer(model, config.capacity, config.full)
    exact = linear and moving is None and not coarse
    curvature = curvature_of(model)
    center, spread = unknowns.gaussian()

    def init(key: Array) -> State:
        mean, sd = jnp.asarray(center, unknowns.dtype), jnp.asarray(spread, unknowns.dtype)
        if not linear:
            mean = mean + config.jitter * sd * jax.random.normal(key, mean.shape)
        variance = jnp.square(sd).reshape(groups, width)
        # A diagonal is its own factor.
        covariance = jax.vmap(jnp.diag)(variance)
        buffer = store.empty() if store else None
        lost = jnp.zeros_like(mean) if linear and moving is None else None
        return State(mean, lost, covariance, model.init_stats(), jnp.zeros(()), buffer)

    def conditioned(mean: Array, before: Array, stats: Any, event: Event) -> tuple[Array, Array]:
        """The mean's step, and the covariance after an event."""
        root = jnp.sqrt(event.weight)
        if exact:
            x, scale = model.linear(event.action)
            after, gain = condition_factor(before, root * x / scale)
            return gain * root * (event.observation - x @ mean) / scale, after
        score, rows = curvature(mean, stats, event)
        score, rows = event.weight * score, root * rows
        after = condition_covariance(before, rows)
        step = joint_step(before, rows, score) if coarse else block_matvec(after, score)
        return step if linear else clip_step(step, score), after

    def absorb_one(state: State, item: tuple[Array, Event]) -> tuple[State, None]:
        key, event = item
        mean, covariance = state.mean, state.covariance
        if moving is not None:
            mean, covariance = moving(mean, covariance, event.action, event.time - state.time)
        step, covariance = conditioned(mean, covariance, state.stats, event)
        real = event.weight > 0
        lost = state.lost
        if lost is not None:
            step = step + lost
            lost = jnp.where(real, step - ((mean + step) - mean), lost)
        # A masked event carries no time of its own.
        mean = jnp.where(real, mean + step, state.mean)
        covariance = jnp.where(real, covariance, state.covariance)
        time = jnp.where(real, event.time, state.time)
        buffer = state.buffer
        if store is not None and buffer is not None:
            buffer = store.push(key, buffer, event, mean)
        stats = model.update_stats(state.stats, event)
        return State(mean, lost, covariance, stats, time, buffer), None

    def absorb(key: Array, state: State, events: Event) -> State:
        keys = jax.random.split(key, events.weight.shape[0])
        return jax.lax.scan(absorb_one, state, (keys, events))[0]

    def whole(covariance: Array) -> Array:
        if not exact:
            return covariance
        root = root_of(covariance)
        return root @ jnp.swapaxes(root, 1, 2)

    def belief(key: Array, state: State, now: Array) -> Belief:
        mean, covariance = state.mean, state.covariance
        if moving is not None:
            still = jnp.zeros(model.actions.size)
            mean, covariance = moving(mean, covariance, still, now - state.time)
        root = root_of(covariance) if exact else None
        return Gaussian(mean, whole(covariance), root)

    def fade(key: Array, state: State, factor: Array) -> State:
        sd = jnp.asarray(spread, unknowns.dtype)
        blocks = sd.reshape(groups, width)
        unit = blocks[:, :, None] * blocks[:, None, :]
        lost = 0.0 if state.lost is None else state.lost
        away = (state.mean - jnp.asarray(center, unknowns.dtype) + lost) / sd
        before = whole(state.covariance)
        scaled = before / unit
        nearer, wider = temper(away, scaled, factor)
        step = sd * (nearer - away) + lost
        mean = state.mean + step
        # By differences, so that a factor of 1 changes no digit.
        covariance = before + unit * (wider - scaled)
        if exact:
            tempered = factor_of(jnp.linalg.cholesky(covariance))
            covariance = jnp.where(factor < 1, tempered, state.covariance)
        return state._replace(
            mean=mean,
            lost=None if state.lost is None else step - (mean - state.mean),
            covariance=covariance,
            buffer=None if state.buffer is None else fade_buffer(state.buffer, factor),
        )

    refine = no_refine() if store is None else _newton(model, store, spread, groups)
    forgets = moving is None and (store is None or store.full != RESERVOIR)
    return Posterior(init, absorb, refine, belief, fade if forgets else None)


def _newton(model: Model, store: ReplayBuffer, spread: Any, groups: int):
    """Build `refine`: one Newton step with backtracking on the log posterior of the buffered
    events.
    """
    unknowns = unknowns_of(model)
    curvature, likelihood = curvature_of(model), BufferLikelihood(store)
    width = unknowns.size // groups

    def refine(key: Array, state: State) -> tuple[State, Info]:
        buffer = state.buffer
        assert buffer is not None

        def pieces(stats: Any, event: Event) -> tuple[Array, Array]:
            score, rows = curvature(state.mean, stats, event)
            blocks = rows.reshape(-1, groups, width)
            fisher = jnp.einsum("rbi,rbj->bij", blocks, blocks)
            real = event.weight > 0
            return (
                jnp.where(real, event.weight * score, 0.0),
                jnp.where(real, event.weight * fisher, 0.0),
            )

        score, information = store.sum_over_events(pieces, buffer)
        if buffer.linear.shape[0]:
            score += buffer.linear - block_matmul(buffer.precision, state.mean[:, None])[:, 0]
            information += _regroup(buffer.precision, groups)
        score += jax.grad(unknowns.log_prior)(state.mean)
        if unknowns.separable:
            prior = 1 / jnp.square(jnp.asarray(spread, unknowns.dtype))
            information += jax.vmap(jnp.diag)(prior.reshape(groups, width))
        else:  # moments of single numbers, or of a start, are not the prior
            rows = positive_root(jax.hessian(unknowns.log_prior)(state.mean))
            information += _regroup((rows.T @ rows)[None], groups)
        covariance = jnp.linalg.inv(information)
        covariance = 0.5 * (covariance + jnp.swapaxes(covariance, 1, 2))
        step = block_matvec(covariance, score)
        lengths = jnp.concatenate([jnp.zeros(1), 0.5 ** jnp.arange(BACKTRACKS)])
        trials = state.mean[:, None] + step[:, None] * lengths[None, :]
        values = likelihood.log_density(buffer, trials) + vmap_last(unknowns.log_prior, trials)
        values = jnp.where(jnp.isfinite(values), values, -jnp.inf)
        best = jnp.argmax(values)
        healthy = jnp.all(jnp.isfinite(covariance)) & jnp.isfinite(values[best])
        mean = jnp.where(healthy, trials[:, best], state.mean)
        covariance = jnp.where(healthy, covariance, state.covariance)
        work = (event_count(buffer) * (2 + BACKTRACKS)).astype(mean.dtype)
        info = Info(work, healthy, {"log_posterior": values[best], "step": lengths[best]})
        return state._replace(mean=mean, covariance=covariance), info

    return refine


def _regroup(blocks: Array, groups: int) -> Array:
    """Cut blocks `[B, b, b]` of a matrix into `groups` other blocks, dropping the rest."""
    if blocks.shape[0] == groups:
        return blocks
    matrix = jax.scipy.linalg.block_diag(*blocks)
    width = matrix.shape[0] // groups
    tiled = matrix.reshape(groups, width, groups, width)
    return jnp.einsum("bibj->bij", tiled)
