"""Last layer: a point estimate of a network's body, an exact Gaussian over its head.

The body climbs by minibatches. Given the body, the outcome is linear in the head, so the head's
belief is a sum over events in the features that the body gives them. Every event adds its term
when it is absorbed. Terms become stale as the body moves: each `refine` also computes those of
`rebuild` buffered events anew, into a second sum that takes the first one's place once it has
passed over all of them, so that no call ever costs more for a longer past. Outcomes that are not
normal enter by a Gauss-Newton step at the estimated head.

Cost: a refine step is one minibatch gradient and `rebuild` outer products of head width.
Take it when: the model is a network and its features are good enough after a few hundred events.
Not when: uncertainty about the body matters, or the model has no head.
Source: Snoek et al. (2015) and Riquelme, Tucker and Snoek (2018) for the exact last layer;
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

from ..base import Arms, Array, Belief, Event, Info, Model, Posterior, Span
from ..errors import UsageError
from ..parts.buffer_likelihood import BufferLikelihood
from ..parts.curvature import curvature_of
from ..parts.draws import uniform_draws
from ..parts.map_estimate import MapEstimator, MapOptions, MapState
from ..parts.outcomes import Scalar, outcome_kind
from ..parts.replay_buffer import Buffer, ReplayBuffer
from ..parts.requirements import require_fixed_continuous
from ..parts.tempering import estimate_fade
from ..parts.unknowns import Unknowns

RIDGE = 1e-6
"""Added to a precision's diagonal, relative to it: features may be all but collinear."""


@dataclass(frozen=True)
class LastLayer(MapOptions):
    """Options besides those of point.

    particles: S draws of the head.
    rebuild: buffered events whose terms a refine step computes anew.
    decay: events after which the step size has fallen by the square root of two, and so on as one
        over the square root; 0 disables the decay.
    jitter: 1 starts at a prior draw: random features tell contexts apart before the body has learnt
        anything.
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
    """Sums over events: the head's natural parameters.

    precision: `[B, b, b]`.
    linear: `[B, b]`.
    """

    precision: Array
    linear: Array


class State(NamedTuple):
    """State of the method.

    estimate: of all unknowns.
    head: the terms that the belief is made of.
    sweep: terms computed anew, of buffered events before `position` and before number `start`.
    since: terms of events from number `start` on.
    start, position: `[]` int32.
    counted: `[]` int32, events in `sweep`.
    step_size: `[]`.
    """

    estimate: MapState
    head: Terms
    sweep: Terms
    since: Terms
    start: Array
    position: Array
    counted: Array
    step_size: Array


def build(model: Model, config: LastLayer) -> Posterior:
    """Build a posterior that climbs all unknowns and has a Gaussian of the head given the rest.

    model: a network that names a head.
    config: the options.

    Raises: UsageError if the model does not fit or an option is out of range.
    """
    unknowns, head = _find_head(model)
    if config.full == "fold":
        raise UsageError("full=fold: last-layer computes kept events anew: use reservoir or forget")
    if config.rebuild < 1:
        raise UsageError(f"rebuild={config.rebuild}: must be at least 1")
    full = "reservoir" if config.full == "auto" else config.full
    store = ReplayBuffer(model, config.capacity, full)
    estimator = MapEstimator(unknowns, BufferLikelihood(store, config.batch), config.jitter)
    size = head.stop - head.start
    groups = model.actions.count if isinstance(model.actions, Arms) else 1
    groups = groups if size % groups == 0 else 1
    terms = _terms_of(model, unknowns, head, groups)
    mean, sd = (x[head].reshape(groups, -1) for x in unknowns.gaussian())
    prior = Terms(
        jnp.asarray(np.stack([np.diag(1 / s**2) for s in sd]), unknowns.dtype),
        jnp.asarray(mean / sd**2, unknowns.dtype),
    )
    nothing = jax.tree.map(jnp.zeros_like, prior)

    def init(key: Array) -> State:
        zero = jnp.zeros((), jnp.int32)
        step_size = jnp.asarray(config.step_size, unknowns.dtype)
        return State(estimator.init(key), nothing, nothing, nothing, zero, zero, zero, step_size)

    def absorb(key: Array, state: State, events: Event) -> State:
        def push(buffer: Buffer, item: tuple[Array, Event]) -> tuple[Buffer, None]:
            key, event = item
            # Numbered in the order of arrival: a sweep leaves out what came after its start.
            event = event._replace(id=buffer.seen)
            return store.push(key, buffer, event, state.estimate.params), None

        keys = jax.random.split(key, events.weight.shape[0])
        buffer = jax.lax.scan(push, state.estimate.buffer, (keys, events))[0]
        new = terms(state.estimate.params, events)
        return state._replace(
            estimate=state.estimate._replace(buffer=buffer),
            head=_plus(state.head, new),
            since=_plus(state.since, new),
        )

    def refine(key: Array, state: State) -> tuple[State, Info]:
        estimate, step_size = state.estimate, state.step_size
        if config.decay:
            step_size = step_size * jax.lax.rsqrt(1 + estimate.buffer.seen / config.decay)
        estimate, info = estimator.step(key, estimate, step_size)
        return sweep_on(state._replace(estimate=estimate)), info

    def sweep_on(state: State) -> State:
        """The state after `rebuild` more kept events, and after the swap if they were the last."""
        buffer = state.estimate.buffer
        slots = state.position + jnp.arange(config.rebuild)
        used = jnp.minimum(buffer.seen, config.capacity)
        events = jax.tree.map(lambda x: jnp.take(x, slots, axis=0, mode="clip"), buffer.events)
        old = (slots < used) & (events.id < state.start)
        events = events._replace(weight=jnp.where(old, events.weight, 0.0))
        sweep = _plus(state.sweep, terms(state.estimate.params, events))
        counted = state.counted + jnp.sum(old & (events.weight > 0), dtype=jnp.int32)
        position = state.position + config.rebuild
        done = position >= used
        # A reservoir stands for all that was seen.
        share = state.start / jnp.maximum(counted, 1) if full == "reservoir" else 1.0
        new = _plus(jax.tree.map(lambda x: share * x, sweep), state.since)
        zero = jnp.zeros_like(position)
        return state._replace(
            head=_either(done, new, state.head),
            sweep=_either(done, nothing, sweep),
            since=_either(done, nothing, state.since),
            start=jnp.where(done, buffer.seen, state.start),
            position=jnp.where(done, zero, position),
            counted=jnp.where(done, zero, counted),
        )

    def belief(key: Array, state: State, now: Array) -> Belief:
        heads = _draw_heads(key, _plus(prior, state.head), config.particles)
        whole = jnp.broadcast_to(state.estimate.params, (config.particles, unknowns.size))
        return uniform_draws(
            jnp.concatenate([whole[:, : head.start], heads, whole[:, head.stop :]], axis=1)
        )

    fade_events = estimate_fade(store)

    def fade(key: Array, state: State, factor: Array) -> State:
        assert fade_events is not None
        sums = state.head, state.sweep, state.since
        head, sweep, since = jax.tree.map(lambda x: factor * x, sums)
        faded = state._replace(head=head, sweep=sweep, since=since)
        return fade_events(key, faded, factor)

    return Posterior(init, absorb, refine, belief, fade_events and fade)


def _find_head(model: Model) -> tuple[Unknowns, slice]:
    """The coordinates of a model and where those of its head are."""
    name = type(model).__name__
    if not model.head:
        raise UsageError(
            f"posterior last-layer needs a network's last layer, and {name} names no head: use "
            "laplace, or a model such as mlp"
        )
    unknowns = require_fixed_continuous("last-layer", model)
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


def _terms_of(
    model: Model, unknowns: Unknowns, head: slice, groups: int
) -> Callable[[Array, Event], Terms]:
    """Build `terms(u [D], events) -> Terms`, the sum over a block of events.

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


def _draw_heads(key: Array, terms: Terms, count: int) -> Array:
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


def _plus(one: Terms, two: Terms) -> Terms:
    return jax.tree.map(jnp.add, one, two)


def _either(condition: Array, one: Terms, two: Terms) -> Terms:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), one, two)
