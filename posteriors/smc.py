"""Sequential Monte Carlo: weighted particles, resampled at low ESS and moved to stay diverse.

`absorb` reweights and resamples; `refine` is one Metropolis move of every particle on the log
posterior of the kept events (moves.py). A model with moving unknowns gets a plain particle
filter: its paths are not kept, so nothing is moved. Forgetting reweights by what the events now
count for less. After a gap so long that this leaves few particles, as many as are forgotten (a
share of 1 - factor) come from the prior anew, and all are weighed as draws of that mixture. Where
nobody can draw from a static target's prior, particles begin at its stated start, and weights mean
something once moves have forgotten it. Not here: the moves themselves.
Sources: Chopin (2002); Gordon, Salmond and Smith (1993); Kitagawa (1996) for the resampling;
Meng and Wong (1996) for the evidence behind the mixture's weights.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from .base import Array, Belief, Draws, Event, Info, Model, Options, Posterior, Span, UsageError
from .fading import RESERVOIR, faded
from .history import History, kept, memory
from .idle import nothing_to_refine
from .motion import sampled_motion
from .moves import MOVES
from .trailing import across
from .unknowns import likelihood, normalise, systematic, unknowns_of

TOO_FEW = 0.5
"""Share of the effective particles that forgetting must leave, or else it starts anew with some."""
HALVINGS = 30
"""Of the range of log likelihoods, to find the evidence: a billionth of it is left."""


@dataclass(frozen=True)
class SMC(Options):
    """particles: S. move: see moves.py. ess: resample below this share of S.

    step_size: scale of the move, 1 being its textbook value. capacity, full: history.py.
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


class State(NamedTuple):
    """particles `[D, S]`, log_weights `[S]` normalised, target `[S]` their log posterior density.

    stats, time `[]`, history (None where nothing is moved), step_size `[]`.
    """

    particles: Array
    log_weights: Array
    target: Array
    stats: Any
    time: Array
    history: History | None
    step_size: Array


def build(model: Model, config: SMC) -> Posterior:
    """Particles over the model's unknowns."""
    unknowns = unknowns_of(model)
    count = config.particles
    if config.move not in MOVES:
        raise UsageError(f"move={config.move!r}: choose one of {', '.join(MOVES)}")
    if not 0 <= config.ess <= 1:
        raise UsageError(f"ess={config.ess}: must lie between 0 and 1")
    store = None if model.latent else memory(model, config.capacity, config.full)
    drift = sampled_motion(model) if model.latent else None
    level = -math.log(count)

    def init(key: Array) -> State:
        particles = unknowns.sample(key, count).T
        return State(
            particles,
            jnp.full(count, level, jnp.result_type(float)),
            across(unknowns.log_prior, particles),
            model.init_stats(),
            jnp.zeros(()),
            store.empty() if store else None,
            jnp.asarray(config.step_size, jnp.result_type(float)),
        )

    def absorb_one(state: State, item: tuple[Array, Event]) -> tuple[State, None]:
        key, event = item
        move_key, keep_key, resample_key = jax.random.split(key, 3)
        real = event.weight > 0
        particles, history = state.particles, state.history
        if drift is not None:
            elapsed = jnp.where(real, event.time - state.time, 0.0)
            particles = drift(move_key, particles, event.action, elapsed)
        logs = across(
            lambda u: likelihood(model, u, state.stats, event.action, event.observation),
            particles,
        )
        logs = jnp.where(real, event.weight * logs, 0.0)
        if store is not None and history is not None:
            likely = normalise(state.log_weights + logs)
            guess = particles @ jnp.exp(likely).astype(particles.dtype)
            density = state.target - across(unknowns.log_prior, particles)
            # A full memory loses an old event as well: the weights follow what moves will target.
            history, logs = store.update(keep_key, history, event, guess, particles, density, logs)
        log_weights = normalise(state.log_weights + logs)
        target = state.target + logs
        low = ess(log_weights) < config.ess * count

        def resample(_: None) -> tuple[Array, Array, Array]:
            index = systematic(resample_key, log_weights)
            return particles[:, index], jnp.full_like(log_weights, level), target[index]

        particles, log_weights, target = jax.lax.cond(
            low, resample, lambda _: (particles, log_weights, target), None
        )
        time = jnp.where(real, event.time, state.time)
        stats = model.update_stats(state.stats, event)
        return State(particles, log_weights, target, stats, time, history, state.step_size), None

    def absorb(key: Array, state: State, events: Event) -> State:
        keys = jax.random.split(key, events.weight.shape[0])
        return jax.lax.scan(absorb_one, state, (keys, events))[0]

    def belief(key: Array, state: State, now: Array) -> Belief:
        particles = state.particles
        if drift is not None:
            still = jnp.zeros(model.actions.size)
            particles = drift(key, particles, still, now - state.time)
        return Draws(particles.T, state.log_weights)

    if store is None:
        return Posterior(init, absorb, nothing_to_refine(), belief)

    move = MOVES["discrete" if unknowns.discrete else config.move](unknowns, count)

    def log_target(history: History, particles: Array) -> Array:
        return across(unknowns.log_prior, particles) + store.log_density(history, particles)

    def slope(history: History, particles: Array) -> tuple[Array, Array]:
        value, grad = store.value_and_grad(history, particles)
        logs, pull = jax.vjp(lambda p: across(unknowns.log_prior, p), particles)
        return value + logs, grad + pull(jnp.ones_like(logs))[0]

    def refine(key: Array, state: State) -> tuple[State, Info]:
        history = state.history
        assert history is not None
        moved = move(
            key,
            state.particles,
            jnp.exp(state.log_weights),
            state.target,
            state.step_size,
            lambda p: log_target(history, p),
            lambda p: slope(history, p),
        )
        healthy = jnp.any(jnp.isfinite(moved.target))
        work = moved.evaluations * count * kept(history)
        info = Info(
            work.astype(jnp.result_type(float)),
            healthy,
            {"acceptance": moved.acceptance, "ess": ess(state.log_weights)},
        )
        return state._replace(particles=moved.particles, target=moved.target), info

    def fade(key: Array, state: State, factor: Array) -> State:
        before = state.history
        assert before is not None
        density = state.target - across(unknowns.log_prior, state.particles)
        # What an event has ruled out stays so: no share of minus infinity is less.
        fallen = jnp.where(jnp.isfinite(density), (factor - 1) * density, 0.0)
        log_weights = normalise(state.log_weights + fallen)
        history = faded(before, factor)

        def renewed(_: None) -> tuple[Array, Array, Array]:
            which_key, stay_key, prior_key = jax.random.split(key, 3)
            stay = jax.random.uniform(stay_key, (count,)) < factor
            old = state.particles[:, systematic(which_key, state.log_weights)]
            new = jnp.where(stay[None, :], old, unknowns.sample(prior_key, count).T)
            logs = store.log_density(before, new)
            weights = normalise(mixture_weights(logs, factor, jnp.mean(stay, dtype=logs.dtype)))
            return new, weights, log_target(history, new)

        def reweighted(_: None) -> tuple[Array, Array, Array]:
            return state.particles, log_weights, state.target + fallen

        few = ess(log_weights) < TOO_FEW * ess(state.log_weights)
        particles, log_weights, target = jax.lax.cond(few, renewed, reweighted, None)
        return state._replace(
            particles=particles, log_weights=log_weights, target=target, history=history
        )

    forgets = store.full != RESERVOIR
    return Posterior(init, absorb, refine, belief, fade if forgets else None)


def mixture_weights(logs: Array, factor: Array, share: Array) -> Array:
    """Log weights `[S]`, up to a constant, towards prior times likelihood^factor.

    logs `[S]`: log likelihoods of draws of which a `share` came from the posterior, the rest from
    the prior. How far their densities are from each other, the evidence, is the one number that
    makes the draws' own weights say that much of them did come from either; bisected.
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


def ess(log_weights: Array) -> Array:
    """Effective sample size `[]` of normalised log weights (Kong 1992)."""
    return 1 / jnp.sum(jnp.exp(2 * log_weights))
