"""Sequential Monte Carlo: weighted particles, resampled at low ESS and moved to stay diverse.

`absorb` reweights and resamples; `refine` is one Metropolis move of every particle on the log
posterior of the buffered events. A model with moving unknowns has a plain particle filter: its
paths are not stored, so nothing is moved. Forgetting reweights by the likelihood that events lose.
After a gap so long that this leaves few particles, a share of 1 - factor is drawn from the prior
anew, and all are weighted as draws of that mixture. For a static target whose prior has no draws,
particles begin at its stated start, and weights mean something once moves have forgotten it.

Cost: absorbing an event is S likelihoods; a refine step is S likelihoods of all buffered events.
Take it when: unknowns are discrete or moving, or the posterior has several modes in few dimensions.
Not when: there are more than some tens of continuous unknowns.
Source: Chopin (2002); Gordon, Salmond and Smith (1993); Kitagawa (1996) for the resampling;
Meng and Wong (1996) for the evidence behind the mixture's weights.
See also: ../parts/mcmc_moves.py for the moves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from ..base import Array, Belief, Draws, Event, Info, Model, Options, Posterior, Span
from ..errors import UsageError
from ..parts.buffer_likelihood import BufferLikelihood
from ..parts.draws import normalise, resample_systematic
from ..parts.dynamics import sampled_dynamics
from ..parts.mcmc_moves import MOVES
from ..parts.no_refine import no_refine
from ..parts.replay_buffer import Buffer, ReplayBuffer, event_count
from ..parts.tempering import RESERVOIR, fade_buffer
from ..parts.unknowns import log_likelihood, unknowns_of
from ..parts.vmap_last import vmap_last
from ..searches.evidence import evidence_of
from ..searches.particles import weigh_objects
from ..spaces.base import require_ability

TOO_FEW = 0.5
"""Share of the effective particles below which forgetting draws some from the prior anew."""
HALVINGS = 30
"""Bisections of the range of log likelihoods that find the evidence to a billionth of it."""


@dataclass(frozen=True)
class SMC(Options):
    """Options of the particles.

    particles: S.
    move: a name of `MOVES` (../parts/mcmc_moves.py).
    ess: resample below this share of S.
    step_size: scale of the move, 1 being its textbook value.
    capacity: events in the replay buffer.
    full: policy of a full buffer (../parts/replay_buffer.py).
    steps: proposals a particle in one refine step, over a space of candidates.
    """

    refine: ClassVar[int] = 5
    search: ClassVar[Any] = {
        "step_size": Span(0.1, 3.0),
        "ess": Span(0.1, 0.9, log=False),
        "move": ("evolution", "walk", "hmc"),
    }

    particles: int = 128
    move: str = "evolution"
    ess: float = 0.5
    step_size: float = 1.0
    capacity: int = 512
    full: str = "auto"
    steps: int = 8


class State(NamedTuple):
    """State of the method.

    particles: `[D, S]`.
    log_weights: `[S]`, normalised.
    target: `[S]`, log posterior density of the particles.
    stats: the model's running statistics.
    time: `[]`, seconds, of the last event.
    buffer: the events, None where nothing is moved.
    step_size: `[]`.
    """

    particles: Array
    log_weights: Array
    target: Array
    stats: Any
    time: Array
    buffer: Buffer | None
    step_size: Array


def build(model: Model, config: SMC) -> Posterior:
    """Build a posterior of weighted particles over the model's unknowns.

    model: any model.
    config: the options.

    Raises: UsageError if an option is out of range.
    """
    unknowns = unknowns_of(model)
    count = config.particles
    if config.move not in MOVES:
        raise UsageError(f"move={config.move!r}: choose one of {', '.join(MOVES)}")
    if not 0 <= config.ess <= 1:
        raise UsageError(f"ess={config.ess}: must lie between 0 and 1")
    if evidence := evidence_of(model):
        require_ability("posterior smc", evidence.space, "neighbours", "use exact")
        return weigh_objects(evidence, count, config.steps, config.ess)
    store = None if model.latent else ReplayBuffer(model, config.capacity, config.full)
    likelihood = BufferLikelihood(store) if store else None
    drift = sampled_dynamics(model) if model.latent else None
    level = -math.log(count)

    def init(key: Array) -> State:
        particles = unknowns.sample(key, count).T
        return State(
            particles,
            jnp.full(count, level, jnp.result_type(float)),
            vmap_last(unknowns.log_prior, particles),
            model.init_stats(),
            jnp.zeros(()),
            store.empty() if store else None,
            jnp.asarray(config.step_size, jnp.result_type(float)),
        )

    def absorb_one(state: State, item: tuple[Array, Event]) -> tuple[State, None]:
        key, event = item
        move_key, push_key, resample_key = jax.random.split(key, 3)
        real = event.weight > 0
        particles, buffer = state.particles, state.buffer
        if drift is not None:
            elapsed = jnp.where(real, event.time - state.time, 0.0)
            particles = drift(move_key, particles, event.action, elapsed)
        logs = vmap_last(
            lambda u: log_likelihood(model, u, state.stats, event.action, event.observation),
            particles,
        )
        logs = jnp.where(real, event.weight * logs, 0.0)
        if likelihood is not None and buffer is not None:
            updated = normalise(state.log_weights + logs)
            mean = particles @ jnp.exp(updated).astype(particles.dtype)
            density = state.target - vmap_last(unknowns.log_prior, particles)
            # A full buffer loses an old event as well: weights follow the target of the moves.
            buffer, logs = likelihood.push_with_change(
                push_key, buffer, event, mean, particles, density, logs
            )
        log_weights = normalise(state.log_weights + logs)
        target = state.target + logs
        low = _ess(log_weights) < config.ess * count

        def resample(_: None) -> tuple[Array, Array, Array]:
            index = resample_systematic(resample_key, log_weights)
            return particles[:, index], jnp.full_like(log_weights, level), target[index]

        particles, log_weights, target = jax.lax.cond(
            low, resample, lambda _: (particles, log_weights, target), None
        )
        time = jnp.where(real, event.time, state.time)
        stats = model.update_stats(state.stats, event)
        return State(particles, log_weights, target, stats, time, buffer, state.step_size), None

    def absorb(key: Array, state: State, events: Event) -> State:
        keys = jax.random.split(key, events.weight.shape[0])
        return jax.lax.scan(absorb_one, state, (keys, events))[0]

    def belief(key: Array, state: State, now: Array) -> Belief:
        particles = state.particles
        if drift is not None:
            still = jnp.zeros(model.actions.size)
            particles = drift(key, particles, still, now - state.time)
        return Draws(particles.T, state.log_weights)

    if store is None or likelihood is None:
        return Posterior(init, absorb, no_refine(), belief)

    move = MOVES["discrete" if unknowns.discrete else config.move](unknowns, count)

    def log_target(buffer: Buffer, particles: Array) -> Array:
        return vmap_last(unknowns.log_prior, particles) + likelihood.log_density(buffer, particles)

    def slope(buffer: Buffer, particles: Array) -> tuple[Array, Array]:
        value, gradient = likelihood.value_and_grad(buffer, particles)
        return unknowns.add_log_prior(particles, value, gradient)

    def refine(key: Array, state: State) -> tuple[State, Info]:
        buffer = state.buffer
        assert buffer is not None
        moved = move(
            key,
            state.particles,
            jnp.exp(state.log_weights),
            state.target,
            state.step_size,
            lambda p: log_target(buffer, p),
            lambda p: slope(buffer, p),
        )
        healthy = jnp.any(jnp.isfinite(moved.target))
        work = moved.evaluations * count * event_count(buffer)
        info = Info(
            work.astype(jnp.result_type(float)),
            healthy,
            {"acceptance": moved.acceptance, "ess": _ess(state.log_weights)},
        )
        return state._replace(particles=moved.particles, target=moved.target), info

    def fade(key: Array, state: State, factor: Array) -> State:
        before = state.buffer
        assert before is not None
        density = state.target - vmap_last(unknowns.log_prior, state.particles)
        # Particles that an event has ruled out stay so: no share of minus infinity is less.
        fallen = jnp.where(jnp.isfinite(density), (factor - 1) * density, 0.0)
        log_weights = normalise(state.log_weights + fallen)
        buffer = fade_buffer(before, factor)

        def renewed(_: None) -> tuple[Array, Array, Array]:
            which_key, stay_key, prior_key = jax.random.split(key, 3)
            stay = jax.random.uniform(stay_key, (count,)) < factor
            old = state.particles[:, resample_systematic(which_key, state.log_weights)]
            new = jnp.where(stay[None, :], old, unknowns.sample(prior_key, count).T)
            logs = likelihood.log_density(before, new)
            weights = normalise(_mixture_weights(logs, factor, jnp.mean(stay, dtype=logs.dtype)))
            return new, weights, log_target(buffer, new)

        def reweighted(_: None) -> tuple[Array, Array, Array]:
            return state.particles, log_weights, state.target + fallen

        few = _ess(log_weights) < TOO_FEW * _ess(state.log_weights)
        particles, log_weights, target = jax.lax.cond(few, renewed, reweighted, None)
        return state._replace(
            particles=particles, log_weights=log_weights, target=target, buffer=buffer
        )

    forgets = store.full != RESERVOIR
    return Posterior(init, absorb, refine, belief, fade if forgets else None)


def _mixture_weights(logs: Array, factor: Array, share: Array) -> Array:
    """Log weights `[S]`, up to a constant, towards prior times likelihood^factor.

    logs: `[S]`, log likelihoods of draws of which a `share` came from the posterior, the rest from
        the prior. The evidence, by which their densities differ, is the one number for which the
        draws' own weights give that share; it is bisected.
    """
    sound = jnp.isfinite(logs)
    high = jnp.max(jnp.where(sound, logs, -jnp.inf))
    low = jnp.min(jnp.where(sound, logs, jnp.inf))

    def mixture(evidence: Array) -> Array:
        """Log density of the draws over the prior's."""
        return jnp.logaddexp(jnp.log1p(-share), jnp.log(share) + logs - evidence)

    def halve(_: int, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = 0.5 * (low + high)
        # The posterior's density over the mixture's has a mean of 1 over draws of the mixture.
        mean = jnp.mean(jnp.where(sound, jnp.exp(logs - middle - mixture(middle)), 0.0))
        return jnp.where(mean > 1, middle, low), jnp.where(mean > 1, high, middle)

    low, high = jax.lax.fori_loop(0, HALVINGS, halve, (low, high))
    return jnp.where(sound, factor * logs, -jnp.inf) - mixture(0.5 * (low + high))


def _ess(log_weights: Array) -> Array:
    """Effective sample size `[]` of normalised log weights (Kong 1992)."""
    return 1 / jnp.sum(jnp.exp(2 * log_weights))
