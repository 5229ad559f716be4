"""Hamiltonian Monte Carlo: S warm-started chains, one transition of each a refine, by BlackJAX.

All chains take a leapfrog step together, so a gradient is one sweep over the buffer with particles
on the last axis. Step size and masses follow the chains while events arrive, ever more slowly
while none do: the chains then keep the posterior.

Cost: a refine step is S (leapfrogs + 1) gradients over the buffered events.
Take it when: accurate draws are worth many gradients, or as a reference for the other methods.
Not when: the model has discrete or moving unknowns, or decisions are due within microseconds.
Source: Duane et al. (1987); Neal (2011); Andrieu and Thoms (2008) for the adaptation; Vrugt et al.
(2009) for chains that are left behind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from ..base import Array, Belief, Event, Info, Model, Options, Posterior, Span
from ..errors import UsageError
from ..parts.buffer_likelihood import BufferLikelihood
from ..parts.draws import uniform_draws
from ..parts.replay_buffer import Buffer, ReplayBuffer
from ..parts.requirements import require_fixed_continuous
from ..parts.tempering import buffer_fade
from ..parts.unknowns import Unknowns

SHORTEST = 0.5
"""Each chain's step is uniform from this share of the adapted size: no orbit is closed for all."""
LOST, PATIENCE = 20.0, 20
"""After so many refines on no new event a chain whose log density is more than so many nats for
each unknown below the median is left behind, and continues from another (compare outlier
chains in Vrugt et al. 2009). Of a normal posterior of one unknown one draw in 10^9 lies so low, of
two one in 10^17."""
FLOOR = 1e-3
"""Least scale of a coordinate, in prior standard deviations."""
PAST = 20
"""Draws that the past is worth in the running moments, against the S of this refine."""
GAIN = 1.0
"""Change of the log step size for an acceptance that is off by all."""
DECAY = 0.6
"""After n refines on no new event adaptation is n^-0.6 of what it was (Robbins and Monro 1951)."""
RANGE = 1e-4, 4.0
"""Step sizes that adaptation stays between, in standard deviations of the chains."""


@dataclass(frozen=True)
class HMC(Options):
    """Options of the chains.

    particles: S chains.
    leapfrogs: gradients a transition.
    acceptance: acceptance rate that the step size is adapted to.
    step_size: its first value, in standard deviations, times D^-1/4.
    capacity: events in the replay buffer.
    full: policy of a full buffer (../parts/replay_buffer.py).
    batch: events behind a step, 0 for all. A transition sees the same events at both ends. It
        accepts by those and not by all, so the chains become too wide, the more so the fewer
        events.
    settle: refine steps on no new event before adaptation begins to slow down.
    """

    refine: ClassVar[int] = 2
    search: ClassVar[Any] = {
        "leapfrogs": (2, 4, 8, 16),
        "acceptance": Span(0.6, 0.95, log=False),
    }

    particles: int = 32
    leapfrogs: int = 8
    acceptance: float = 0.8
    step_size: float = 1.0
    capacity: int = 512
    full: str = "auto"
    batch: int = 0
    settle: int = 0


class State(NamedTuple):
    """State of the method.

    chains: `[D, S]`.
    mean, variance: `[D]`, running moments of the chains.
    buffer: the events.
    quiet: `[]`, refine steps since the last event.
    step_size: `[]`.
    acceptance: `[]`, the rate aimed at.
    """

    chains: Array
    mean: Array
    variance: Array
    buffer: Buffer
    quiet: Array
    step_size: Array
    acceptance: Array


def build(model: Model, config: HMC) -> Posterior:
    """Build a posterior of chains whose masses are the inverse variances of their running moments.

    model: a model with fixed continuous unknowns.
    config: the options.

    Raises: UsageError if the model does not fit or an option is out of range.
    """
    unknowns = require_fixed_continuous("hmc", model)
    if config.leapfrogs < 1:
        raise UsageError(f"leapfrogs={config.leapfrogs}: must be at least 1")
    if config.settle < 0:
        raise UsageError(f"settle={config.settle}: must be at least 0")
    if not 0 < config.acceptance < 1:
        raise UsageError(f"acceptance={config.acceptance}: must lie between 0 and 1")
    # Here rather than above: importing it takes longer than all the rest.
    from blackjax.mcmc import hmc

    kernel = hmc.build_kernel()
    count = config.particles
    store = ReplayBuffer(model, config.capacity, config.full)
    likelihood = BufferLikelihood(store, config.batch)
    log_density = build_chain_density(unknowns, likelihood)
    center, spread = (jnp.asarray(x, unknowns.dtype) for x in unknowns.gaussian())
    least = jnp.square(FLOOR * spread)

    def init(key: Array) -> State:
        chains = unknowns.sample(key, count).T
        step_size = jnp.asarray(config.step_size * unknowns.size**-0.25, unknowns.dtype)
        acceptance = jnp.asarray(config.acceptance, unknowns.dtype)
        quiet = jnp.zeros((), unknowns.dtype)
        moments = center, jnp.square(spread)
        return State(chains, *moments, store.empty(), quiet, step_size, acceptance)

    def absorb(key: Array, state: State, events: Event) -> State:
        buffer = store.extend(key, state.buffer, events, jnp.mean(state.chains, axis=1))
        quiet = jnp.where(jnp.any(events.weight > 0), 0.0, state.quiet)
        return state._replace(buffer=buffer, quiet=quiet)

    def refine(key: Array, state: State) -> tuple[State, Info]:
        chain_key, step_key, batch_key = jax.random.split(key, 3)
        share = jax.random.uniform(step_key, (count,), unknowns.dtype, SHORTEST, 1.0)

        def density(u: Array) -> Array:
            return log_density(u, batch_key, state.buffer)

        def transition(key: Array, u: Array, step_size: Any) -> tuple[Any, Any]:
            start = hmc.init(u, density)
            return kernel(key, start, density, step_size, state.variance, config.leapfrogs)

        keys = jax.random.split(chain_key, count)
        end, how = jax.vmap(transition)(keys, state.chains.T, state.step_size * share)
        donors = choose_donors(end.logdensity, LOST * unknowns.size)
        chains = jnp.where(state.quiet >= PATIENCE, end.position[donors], end.position).T
        rate = (1 + jnp.maximum(state.quiet - config.settle, 0)) ** -DECAY
        accepted = jnp.mean(how.acceptance_rate)
        step_size = state.step_size * jnp.exp(GAIN * rate * (accepted - state.acceptance))
        mean, variance = blend_moments(
            state.mean, state.variance, chains, rate * count / (count + PAST)
        )
        log_density_now = jnp.mean(end.logdensity)
        healthy = jnp.all(jnp.isfinite(chains)) & jnp.isfinite(log_density_now)
        work = (count * (config.leapfrogs + 1) * likelihood.evaluations(state.buffer)).astype(
            mean.dtype
        )
        info = Info(work, healthy, {"acceptance": accepted, "step_size": state.step_size})
        return State(
            chains,
            mean,
            jnp.maximum(variance, least),
            state.buffer,
            state.quiet + 1,
            jnp.clip(step_size, *RANGE),
            state.acceptance,
        ), info

    def belief(key: Array, state: State, now: Array) -> Belief:
        return uniform_draws(state.chains.T)

    return Posterior(init, absorb, refine, belief, buffer_fade(store))


def choose_donors(log_density: Array, below: float) -> Array:
    """Choose the chain that each continues from: its own, unless it is lost.

    A chain is lost if its log density is too far below the median or no number; the lost ones share
    out the other chains in turn.

    log_density: `[S]`.
    below: nats below the median.

    Returns: `[S]` indices.
    """
    lost = ~(log_density >= jnp.median(jnp.nan_to_num(log_density, nan=-jnp.inf)) - below)
    lost &= ~jnp.all(lost)
    order = jnp.argsort(lost, stable=True)
    rank = (jnp.cumsum(lost) - 1) % jnp.maximum(jnp.sum(~lost), 1)
    return jnp.where(lost, order[rank], jnp.arange(len(lost)))


def blend_moments(mean: Array, variance: Array, chains: Array, rate: Array) -> tuple[Array, Array]:
    """Compute the moments of a mixture: a share of the chains, the rest as it was.

    mean, variance: `[D]`, the moments so far.
    chains: `[D, S]`.
    rate: `[]`, share of the chains.

    Returns: mean and variance `[D]`.
    """
    new = mean + rate * (jnp.mean(chains, axis=1) - mean)
    spread = jnp.mean(jnp.square(chains - new[:, None]), axis=1)
    return new, (1 - rate) * (variance + jnp.square(new - mean)) + rate * spread


def build_chain_density(
    unknowns: Unknowns, likelihood: BufferLikelihood
) -> Callable[[Array, Array, Buffer], Array]:
    """Build `(u [D], key, buffer) -> []`, the log posterior, for BlackJAX to map over chains.

    Mapped, value and gradient of all chains are one sweep over the buffer. The key is that of a
    minibatch, and stands for the same one however often it is used.

    unknowns: the model's coordinates.
    likelihood: of the buffered events.
    """

    def sweep(particles: Array, key: Array, buffer: Buffer) -> tuple[Array, Array]:
        value, gradient = likelihood.estimate_gradient(jax.random.clone(key), buffer, particles)
        return unknowns.add_log_prior(particles, value, gradient)

    @jax.custom_batching.custom_vmap
    def both(u: Array, key: Array, buffer: Buffer) -> tuple[Array, Array]:
        value, gradient = sweep(u[:, None], key, buffer)
        return value[0], gradient[:, 0]

    @both.def_vmap
    def both_of_many(size: int, mapped: Any, u: Array, key: Array, buffer: Buffer) -> Any:
        value, gradient = sweep(u.T, key, buffer)
        return (value, gradient.T), (True, True)

    @jax.custom_vjp
    def log_density(u: Array, key: Array, buffer: Buffer) -> Array:
        return both(u, key, buffer)[0]

    log_density.defvjp(both, lambda gradient, weight: (weight * gradient, None, None))
    return log_density
