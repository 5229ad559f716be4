"""Sequential Monte Carlo: weighted particles, resampled at low ESS and moved to stay diverse.

`absorb` reweights and resamples; `refine` is one Metropolis move of every particle on the log
posterior of the kept events (moves.py). A model with moving unknowns gets a plain particle
filter: its paths are not kept, so nothing is moved. Where nobody can draw from a static target's
prior, particles begin at its stated start, and weights mean something once moves have forgotten it.
Not here: the moves themselves.
Sources: Chopin (2002); Gordon, Salmond and Smith (1993); Kitagawa (1996) for the resampling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from .base import Array, Belief, Draws, Event, Info, Model, Options, Posterior, Span, UsageError
from .history import History, kept, memory
from .idle import nothing_to_refine
from .motion import sampled_motion
from .moves import MOVES
from .trailing import across
from .unknowns import likelihood, normalise, systematic, unknowns_of


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
    level = -jnp.log(float(count))

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

    return Posterior(init, absorb, refine, belief)


def ess(log_weights: Array) -> Array:
    """Effective sample size `[]` of normalised log weights (Kong 1992)."""
    return 1 / jnp.sum(jnp.exp(2 * log_weights))
