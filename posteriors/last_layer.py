"""A point estimate of a network's body, and an exact Gaussian over its last layer.

The body climbs by minibatches. Given the body, the outcome is linear in the head, so the head's
belief is a sum over events in the features that the body gives them. Every event adds its term
when it is absorbed. Terms go stale as the body moves: each `refine` also computes those of
`rebuild` kept events anew, into a second sum that takes the first one's place once it has passed
over all of them, so that no call ever costs more for a longer past. Outcomes that are not normal
enter by a Gauss-Newton step at the climbed head. Not here: doubt about the body.
Sources: Snoek et al. (2015) and Riquelme, Tucker and Snoek (2018) for the exact last layer;
Kristiadi, Hein and Hennig (2020) for the Gauss-Newton one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .base import Arms, Array, Belief, Event, Info, Model, Posterior, Span, UsageError
from .climbing import Climbed, Guess, climbing
from .curvature import curvature_of
from .fading import guess_fades
from .history import History, memory
from .outcomes import Scalar, outcome_kind
from .unknowns import Unknowns, fixed_continuous, uniform_draws

RIDGE = 1e-6
"""Added to a precision's diagonal, relative to it: features may be all but collinear."""


@dataclass(frozen=True)
class LastLayer(Climbed):
    """particles: S draws of the head. rebuild: kept events whose terms a refine computes anew.

    decay: events after which the step size has fallen by the square root of two, and so on as one
    over the square root; 0 keeps it. The start is a prior draw (jitter 1): random features tell
    contexts apart before the body has learnt anything.
    """

    refine: ClassVar[int] = 1
    search: ClassVar[Any] = {"step_size": Span(1e-3, 1e-1), "decay": (0.0, 100.0, 1000.0)}

    particles: int = 16
    rebuild: int = 32
    step_size: float = 0.01
    decay: float = 1000.0
    capacity: int = 4096
    batch: int = 64
    jitter: float = 1.0


class Terms(NamedTuple):
    """What events say of the head: precision `[B, b, b]` and linear `[B, b]`, their sums."""

    precision: Array
    linear: Array


class State(NamedTuple):
    """guess of all unknowns; head: the terms that are believed.

    sweep: terms computed anew, from kept events before `position` `[]` of those before number
    `start` `[]`; counted `[]` of them. since: terms of events from `start` on. step_size `[]`.
    """

    guess: Guess
    head: Terms
    sweep: Terms
    since: Terms
    start: Array
    position: Array
    counted: Array
    step_size: Array


def build(model: Model, config: LastLayer) -> Posterior:
    """Climb all unknowns; believe a Gaussian of the head given the rest."""
    unknowns, head = headed(model)
    if config.full == "fold":
        raise UsageError("full=fold: last-layer computes kept events anew: use reservoir or forget")
    if config.rebuild < 1:
        raise UsageError(f"rebuild={config.rebuild}: must be at least 1")
    full = "reservoir" if config.full == "auto" else config.full
    store = memory(model, config.capacity, full, config.batch)
    climb = climbing(unknowns, store, config.jitter)
    size = head.stop - head.start
    groups = model.actions.count if isinstance(model.actions, Arms) else 1
    groups = groups if size % groups == 0 else 1
    terms = terms_of(model, unknowns, head, groups)
    mean, sd = (x[head].reshape(groups, -1) for x in unknowns.gaussian())
    prior = Terms(
        jnp.asarray(np.stack([np.diag(1 / s**2) for s in sd]), unknowns.dtype),
        jnp.asarray(mean / sd**2, unknowns.dtype),
    )
    nothing = jax.tree.map(jnp.zeros_like, prior)

    def init(key: Array) -> State:
        zero = jnp.zeros((), jnp.int32)
        step_size = jnp.asarray(config.step_size, unknowns.dtype)
        return State(climb.start(key), nothing, nothing, nothing, zero, zero, zero, step_size)

    def absorb(key: Array, state: State, events: Event) -> State:
        def keep(history: History, item: tuple[Array, Event]) -> tuple[History, None]:
            key, event = item
            # Numbered in the order of arrival: a sweep leaves out what came after its start.
            event = event._replace(id=history.seen)
            return store.push(key, history, event, state.guess.values), None

        keys = jax.random.split(key, events.weight.shape[0])
        history = jax.lax.scan(keep, state.guess.history, (keys, events))[0]
        made = terms(state.guess.values, events)
        return state._replace(
            guess=state.guess._replace(history=history),
            head=plus(state.head, made),
            since=plus(state.since, made),
        )

    def refine(key: Array, state: State) -> tuple[State, Info]:
        guess, step_size = state.guess, state.step_size
        if config.decay:
            step_size = step_size * jax.lax.rsqrt(1 + guess.history.seen / config.decay)
        value, gradient = store.climb(key, guess.history, guess.values[:, None])
        guess, info = climb.step(guess, value[0], gradient[:, 0], step_size)
        return swept(state._replace(guess=guess)), info

    def swept(state: State) -> State:
        """The state after `rebuild` more kept events, and after the swap if they were the last."""
        history = state.guess.history
        slots = state.position + jnp.arange(config.rebuild)
        used = jnp.minimum(history.seen, config.capacity)
        events = jax.tree.map(lambda x: jnp.take(x, slots, axis=0, mode="clip"), history.events)
        old = (slots < used) & (events.id < state.start)
        events = events._replace(weight=jnp.where(old, events.weight, 0.0))
        sweep = plus(state.sweep, terms(state.guess.values, events))
        counted = state.counted + jnp.sum(old & (events.weight > 0), dtype=jnp.int32)
        position = state.position + config.rebuild
        done = position >= used
        # A reservoir stands for all that was seen.
        share = state.start / jnp.maximum(counted, 1) if full == "reservoir" else 1.0
        new = plus(jax.tree.map(lambda x: share * x, sweep), state.since)
        zero = jnp.zeros_like(position)
        return state._replace(
            head=either(done, new, state.head),
            sweep=either(done, nothing, sweep),
            since=either(done, nothing, state.since),
            start=jnp.where(done, history.seen, state.start),
            position=jnp.where(done, zero, position),
            counted=jnp.where(done, zero, counted),
        )

    def belief(key: Array, state: State, now: Array) -> Belief:
        heads = drawn(key, plus(prior, state.head), config.particles)
        guess = jnp.broadcast_to(state.guess.values, (config.particles, unknowns.size))
        return uniform_draws(
            jnp.concatenate([guess[:, : head.start], heads, guess[:, head.stop :]], axis=1)
        )

    in_memory = guess_fades(store)

    def fade(key: Array, state: State, factor: Array) -> State:
        assert in_memory is not None
        sums = state.head, state.sweep, state.since
        head, sweep, since = jax.tree.map(lambda x: factor * x, sums)
        faded = state._replace(head=head, sweep=sweep, since=since)
        return in_memory(key, faded, factor)

    return Posterior(init, absorb, refine, belief, in_memory and fade)


def headed(model: Model) -> tuple[Unknowns, slice]:
    """The coordinates of a model and where those of its head are."""
    name = type(model).__name__
    if not model.head:
        raise UsageError(
            f"posterior last-layer needs a network's last layer, and {name} names no head: use "
            "laplace, or a model such as mlp"
        )
    unknowns = fixed_continuous("last-layer", model)
    if jax.tree.leaves(model.init_stats()):
        raise UsageError(
            f"posterior last-layer takes events in any order, and those of {name} have one: use "
            "point"
        )
    spans = sorted((unknowns.span(n) for n in model.head), key=lambda s: s.start)
    if any(a.stop != b.start for a, b in pairwise(spans)):
        raise UsageError(
            f"posterior last-layer: the head of {name} is {', '.join(model.head)}: put them next "
            "to each other in prior()"
        )
    return unknowns, slice(spans[0].start, spans[-1].stop)


def terms_of(
    model: Model, unknowns: Unknowns, head: slice, groups: int
) -> Callable[[Array, Event], Terms]:
    """`terms(u [D], events) -> Terms`, those of a block of events together.

    With arms an event is about one block of the head alone, that of its arm.
    """
    kind = outcome_kind(model)
    normal = isinstance(kind, Scalar) and kind.normal
    curvature = curvature_of(model, head)

    def one(u: Array, event: Event) -> tuple[Array, Array]:
        score, rows = curvature(u, (), event)
        if not normal:
            return score, rows
        outcome = model.predict(unknowns.constrain(u), (), event.action)
        # The second row is the scale's, of which the head is no part.
        return (event.observation - outcome.mean) / jnp.sqrt(outcome.variance), rows[:1]

    def terms(u: Array, events: Event) -> Terms:
        first, rows = jax.vmap(lambda event: one(u, event))(events)
        real = events.weight > 0
        each = jnp.repeat(real, rows.shape[1])
        # Masked once flat: on three axes XLA leaves its fast product, and this takes six times as
        # long; so it does with the weight on the wide factor.
        flat = jnp.where(each[:, None], rows.reshape(-1, rows.shape[2]), 0.0)
        weight = jnp.repeat(events.weight, rows.shape[1])
        predicted = weight * (flat @ u[head])
        if normal:
            linear = (weight * jnp.where(real, first, 0.0) + predicted) @ flat
        else:
            linear = events.weight @ jnp.where(real[:, None], first, 0.0) + predicted @ flat
        # All blocks but one are 0 in a row, so their sum is that one, and one product serves all.
        narrow = flat.reshape(flat.shape[0], groups, -1).sum(1) * weight[:, None]
        width = narrow.shape[1]
        products = (narrow.T @ flat).reshape(width, groups, width)
        return Terms(jnp.swapaxes(products, 0, 1), linear.reshape(groups, width))

    return terms


def drawn(key: Array, terms: Terms, count: int) -> Array:
    """`[count, B b]` draws of a Gaussian given by its terms."""
    groups, width = terms.linear.shape
    ridge = RIDGE * jnp.einsum("bii->bi", terms.precision)
    root = jnp.linalg.cholesky(terms.precision + jax.vmap(jnp.diag)(ridge))

    def solve(right: Array, transpose: bool) -> Array:
        return jax.lax.linalg.triangular_solve(
            root, right, left_side=True, lower=True, transpose_a=transpose
        )

    noise = jax.random.normal(key, (groups, width, count), terms.linear.dtype)
    draws = solve(noise + solve(terms.linear[:, :, None], False), True)
    return draws.reshape(groups * width, count).T


def plus(one: Terms, two: Terms) -> Terms:
    return jax.tree.map(jnp.add, one, two)


def either(condition: Array, one: Terms, two: Terms) -> Terms:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), one, two)
