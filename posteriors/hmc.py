"""Hamiltonian Monte Carlo: S warm-started chains, one transition of each a refine, by BlackJAX.

All chains take a leapfrog step together, so a gradient is one sweep over the memory with particles
on the last axis. Step size and masses follow the chains while events arrive, ever more slowly
while none do: the chains then keep the posterior. Not here: choosing how far to travel.
Sources: Duane et al. (1987); Neal (2011); Andrieu and Thoms (2008) for the adaptation; Vrugt et al.
(2009) for chains that are left behind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from .base import Array, Belief, Event, Info, Model, Options, Posterior, Span, UsageError
from .fading import history_fades
from .history import History, Memory, memory
from .trailing import across
from .unknowns import Unknowns, fixed_continuous, uniform_draws

SHORTEST = 0.5
"""Each chain's step is uniform from this share of the adapted size: no orbit is closed for all."""
LOST, PATIENCE = 20.0, 20
"""After so many refines on no new event a chain whose log density is more than so many nats for
each unknown below the median is left behind, and goes on from where another is (compare outlier
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
    """particles: S chains. leapfrogs: gradients a transition. acceptance: what the step size is
    adapted to. step_size: what it begins with, in standard deviations, times D^-1/4. capacity,
    full, batch: the memory (history.py).

    settle: refines on no new event before adaptation begins to slow down.

    batch: each transition sees the posterior of its own few events, at both ends alike. It accepts
    what is right for those, not for all: the chains come to lie too wide, the more so the fewer.
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
    """chains `[D, S]`, their running mean and variance `[D]`, the events, refines since the last
    one `[]`, step_size and acceptance (wanted) `[]`."""

    chains: Array
    mean: Array
    variance: Array
    history: History
    quiet: Array
    step_size: Array
    acceptance: Array


def build(model: Model, config: HMC) -> Posterior:
    """Chains whose masses are the inverse variances of their own running moments."""
    unknowns = fixed_continuous("hmc", model)
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
    store = memory(model, config.capacity, config.full, config.batch)
    log_density = together(unknowns, store)
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
        history = store.extend(key, state.history, events, jnp.mean(state.chains, axis=1))
        quiet = jnp.where(jnp.any(events.weight > 0), 0.0, state.quiet)
        return state._replace(history=history, quiet=quiet)

    def refine(key: Array, state: State) -> tuple[State, Info]:
        chain_key, step_key, batch_key = jax.random.split(key, 3)
        share = jax.random.uniform(step_key, (count,), unknowns.dtype, SHORTEST, 1.0)

        def density(u: Array) -> Array:
            return log_density(u, batch_key, state.history)

        def transition(key: Array, u: Array, step_size: Any) -> tuple[Any, Any]:
            start = hmc.init(u, density)
            return kernel(key, start, density, step_size, state.variance, config.leapfrogs)

        keys = jax.random.split(chain_key, count)
        end, how = jax.vmap(transition)(keys, state.chains.T, state.step_size * share)
        donors = instead(end.logdensity, LOST * unknowns.size)
        chains = jnp.where(state.quiet >= PATIENCE, end.position[donors], end.position).T
        rate = (1 + jnp.maximum(state.quiet - config.settle, 0)) ** -DECAY
        accepted = jnp.mean(how.acceptance_rate)
        step_size = state.step_size * jnp.exp(GAIN * rate * (accepted - state.acceptance))
        mean, variance = follow(state.mean, state.variance, chains, rate * count / (count + PAST))
        log_density_now = jnp.mean(end.logdensity)
        healthy = jnp.all(jnp.isfinite(chains)) & jnp.isfinite(log_density_now)
        work = (count * (config.leapfrogs + 1) * store.evaluated(state.history)).astype(mean.dtype)
        info = Info(work, healthy, {"acceptance": accepted, "step_size": state.step_size})
        return State(
            chains,
            mean,
            jnp.maximum(variance, least),
            state.history,
            state.quiet + 1,
            jnp.clip(step_size, *RANGE),
            state.acceptance,
        ), info

    def belief(key: Array, state: State, now: Array) -> Belief:
        return uniform_draws(state.chains.T)

    return Posterior(init, absorb, refine, belief, history_fades(store))


def instead(log_density: Array, below: float) -> Array:
    """Which chain `[S]` to go on from, for each: its own, unless `log_density [S]` is so far below
    the median or no number; then the lost ones share out the others in turn, which are alike."""
    lost = ~(log_density >= jnp.median(jnp.nan_to_num(log_density, nan=-jnp.inf)) - below)
    lost &= ~jnp.all(lost)
    kept = jnp.argsort(lost, stable=True)
    turn = (jnp.cumsum(lost) - 1) % jnp.maximum(jnp.sum(~lost), 1)
    return jnp.where(lost, kept[turn], jnp.arange(len(lost)))


def follow(mean: Array, variance: Array, chains: Array, rate: Array) -> tuple[Array, Array]:
    """Moments `[D]` of a mixture: a share `rate` of `chains [D, S]`, the rest as it was."""
    new = mean + rate * (jnp.mean(chains, axis=1) - mean)
    spread = jnp.mean(jnp.square(chains - new[:, None]), axis=1)
    return new, (1 - rate) * (variance + jnp.square(new - mean)) + rate * spread


def together(unknowns: Unknowns, store: Memory) -> Callable[[Array, Array, History], Array]:
    """`(u [D], key, history) -> []`, the log posterior density, for BlackJAX to map over chains.

    Mapped, value and gradient of all chains are one sweep over the memory. The key is that of a
    minibatch, and stands for the same one however often it is used.
    """

    def sweep(particles: Array, key: Array, history: History) -> tuple[Array, Array]:
        value, gradient = store.climb(jax.random.clone(key), history, particles)
        logs, pull = jax.vjp(lambda u: across(unknowns.log_prior, u), particles)
        return value + logs, gradient + pull(jnp.ones_like(logs))[0]

    @jax.custom_batching.custom_vmap
    def both(u: Array, key: Array, history: History) -> tuple[Array, Array]:
        value, gradient = sweep(u[:, None], key, history)
        return value[0], gradient[:, 0]

    @both.def_vmap
    def both_of_many(size: int, mapped: Any, u: Array, key: Array, history: History) -> Any:
        value, gradient = sweep(u.T, key, history)
        return (value, gradient.T), (True, True)

    @jax.custom_vjp
    def log_density(u: Array, key: Array, history: History) -> Array:
        return both(u, key, history)[0]

    log_density.defvjp(both, lambda gradient, weight: (weight * gradient, None, None))
    return log_density
