"""A point estimate with a linear epinet on its head: one network that answers for a random index.

The guess is climbed alone, at index 0. A draw shifts its head by sum_k z_k (V_k + P_k), z normal:
P_k are directions of the prior, fixed, V_k are learnt so that a shifted head explains the events
while V stays small. Where there are no events the shift is the prior's, where there are many it
vanishes. For a model that names no head all unknowns are shifted: a linear hypermodel. The body
sees nothing of the shifts. Not here: an epinet that is itself a network, or reads the input.
Sources: Osband et al. (2023), epinets; Dwaracherla et al. (2020), hypermodels and index noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .ascent import ascent
from .base import Array, Belief, Event, Info, Model, Posterior, Span, UsageError
from .climbing import Climbed, Guess, climbing
from .fading import guess_fades
from .history import memory
from .unknowns import fixed_continuous, needs_prior, uniform_draws


@dataclass(frozen=True)
class Epinet(Climbed):
    """particles: indices of the belief. width: K, numbers in an index. pairs: indices z a step
    averages over, each with -z.

    prior_scale: of the directions P, in prior standard deviations. perturb: how strongly each
    event pulls the indices apart, by its own score in a direction drawn once: 1 makes up for the
    noise of the observations, 0 leaves what the directions still add. The rest: see point.
    """

    search: ClassVar[Any] = {
        "step_size": Span(1e-3, 1.0), "prior_scale": Span(0.1, 10.0), "perturb": (0.0, 1.0),
    }  # fmt: skip

    particles: int = 32
    width: int = 8
    pairs: int = 4
    prior_scale: float = 1.0
    perturb: float = 0.0


class State(NamedTuple):
    """The guess; learnt `[D, K]`, the V, and Adam's moments of it; directions `[D, K]`, P before
    its scale (both 0 outside the head); signs `[rows, K]` beside the kept events, of length 1 a
    row (None unless they perturb); step_size, prior_scale and perturb `[]`."""

    guess: Guess
    learnt: Array
    moments: Any
    directions: Array
    signs: Array | None
    step_size: Array
    prior_scale: Array
    perturb: Array


def build(model: Model, config: Epinet) -> Posterior:
    """Climb the log posterior of the kept events, and what each index adds to it."""
    unknowns = fixed_continuous("epinet", model)
    needs_prior("epinet", model, "hmc")
    for name in ("width", "pairs"):
        if getattr(config, name) < 1:
            raise UsageError(
                f"posterior epinet: {name}={getattr(config, name)}: must be at least 1"
            )
    perturbs, full = config.perturb > 0, config.full
    if perturbs and full == "auto":
        full = "forget" if jax.tree.leaves(model.init_stats()) else "reservoir"
    if perturbs and full == "fold":
        raise UsageError(
            "posterior epinet: full=fold forgets how events pull: use forget or reservoir, or "
            "perturb=0"
        )
    width, pairs = config.width, config.pairs
    store = memory(model, config.capacity, full, config.batch)
    climb, climb_shift = climbing(unknowns, store, config.jitter), ascent(unknowns)
    spread = jnp.asarray(unknowns.gaussian()[1], unknowns.dtype)[:, None]
    shifted = np.zeros((unknowns.size, 1))
    for name in model.head:
        shifted[unknowns.span(name)] = 1
    head = jnp.asarray(shifted if model.head else np.ones_like(shifted), unknowns.dtype)

    def init(key: Array) -> State:
        start_key, direction_key = jax.random.split(key)
        guess = climb.start(start_key)
        learnt = jnp.zeros((unknowns.size, width), unknowns.dtype)
        noise = jax.random.normal(direction_key, learnt.shape, unknowns.dtype)
        signs = jnp.zeros((guess.history.events.weight.shape[0], width), unknowns.dtype)
        scalars = config.step_size, config.prior_scale, config.perturb
        return State(
            guess,
            learnt,
            climb_shift.init(learnt),
            head * spread * noise / np.sqrt(width),
            signs if perturbs else None,
            *(jnp.asarray(x, unknowns.dtype) for x in scalars),
        )

    def absorb_one(state: State, item: tuple[Array, Event]) -> tuple[State, None]:
        place_key, sign_key = jax.random.split(item[0])
        guess, signs = state.guess, state.signs
        placed = slot, keep, _ = store.place(place_key, guess.history, item[1])
        history = store.put(guess.history, item[1], guess.values, *placed)
        if signs is not None:
            new = jax.random.rademacher(sign_key, (width,), signs.dtype) / np.sqrt(width)
            signs = signs.at[slot].set(jnp.where(keep, new, signs[slot]))
        return state._replace(guess=guess._replace(history=history), signs=signs), None

    def absorb(key: Array, state: State, events: Event) -> State:
        keys = jax.random.split(key, events.weight.shape[0])
        return jax.lax.scan(absorb_one, state, (keys, events))[0]

    def shift(state: State, index: Array) -> Array:
        """How far each index `[n, K]` shifts the unknowns, `[D, n]`."""
        return (state.learnt + state.prior_scale * state.directions) @ index.T

    def refine(key: Array, state: State) -> tuple[State, Info]:
        index_key, climb_key = jax.random.split(key)
        half = jax.random.normal(index_key, (pairs, width), state.learnt.dtype)
        index = jnp.concatenate([half, -half])
        guess, alone = state.guess, state.guess.values[:, None]
        columns, shares = [alone, alone + shift(state, index)], None
        if state.signs is not None:
            columns.append(jnp.repeat(alone, width, axis=1))
            once = jnp.ones((state.signs.shape[0], 1 + 2 * pairs), state.signs.dtype)
            shares = jnp.concatenate([once, 1 + state.signs], axis=1)
        particles = jnp.concatenate(columns, axis=1)
        value, gradient = store.climb(climb_key, guess.history, particles, shares)
        pull = gradient[:, 1 : 1 + 2 * pairs] @ index / (2 * pairs)
        if state.signs is not None:
            pull += state.perturb * (gradient[:, 1 + 2 * pairs :] - gradient[:, :1])
        pull = head * (pull - state.learnt / jnp.square(spread))
        made = climb_shift.step(state.learnt, pull, state.moments, state.step_size)
        guess, info = climb.step(
            guess, value[0], gradient[:, 0], state.step_size, particles.shape[1]
        )
        healthy = jnp.all(jnp.isfinite(made[0]))
        learnt, moments = jax.tree.map(
            lambda new, old: jnp.where(healthy, new, old), made, (state.learnt, state.moments)
        )
        state = state._replace(guess=guess, learnt=learnt, moments=moments)
        return state, info._replace(healthy=info.healthy & healthy)

    def belief(key: Array, state: State, now: Array) -> Belief:
        index = jax.random.normal(key, (config.particles, width), state.learnt.dtype)
        return uniform_draws((state.guess.values[:, None] + shift(state, index)).T)

    return Posterior(init, absorb, refine, belief, guess_fades(store))
