"""A fixed-capacity memory of past events and its log density.

Not here: what to do with it. Backends share this one buffer and differ in how they climb it.
When it is full, `full` names what happens: "forget" drops the oldest event, "reservoir" keeps a
uniform sample and weights it up, "fold" turns the evicted event into a normal factor (a Laplace
step at the current guess).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .base import Array, Event, Model, UsageError, example_event
from .curvature import curvature_of
from .unknowns import across, likelihood, unknowns_of

POLICIES = ("fold", "forget", "reservoir")
CHUNK = 16
"""Events evaluated at once: enough to fill vector lanes, little waste on a short history."""


class History(NamedTuple):
    """events: block `[C, ...]`, a ring. seen: `[]` int32, events of positive weight so far.

    before: the model's stats before the oldest kept event. precision `[D, D]`, linear `[D]`:
    the normal factor exp(-u P u / 2 + l u) of folded events (of size 0 unless folding).
    """

    events: Event
    seen: Array
    before: Any
    precision: Array
    linear: Array


class Memory(NamedTuple):
    """Functions over a `History`, bound to a model and a capacity.

    empty() -> history.
    push(key, history, event, guess [D]) -> history; an event of weight 0 changes nothing.
    log_density(history, particles [D, S]) -> [S], log likelihood of what is kept or folded.
    value_and_grad(history, particles [D, S]) -> ([S], [D, S]).
    reduce(function(stats, event) -> tree, history) -> tree, summed over kept events.
    """

    empty: Callable[[], History]
    push: Callable[[Array, History, Event, Array], History]
    log_density: Callable[[History, Array], Array]
    value_and_grad: Callable[[History, Array], tuple[Array, Array]]
    reduce: Callable[[Callable[[Any, Event], Any], History], Any]


def memory(model: Model, capacity: int, full: str) -> Memory:
    """A memory of `capacity` events for a model; `full` is one of `POLICIES`."""
    unknowns = unknowns_of(model)
    if full not in POLICIES:
        raise UsageError(f"full={full!r}: choose one of {', '.join(POLICIES)}")
    if capacity < 1:
        raise UsageError(f"capacity={capacity}: must be at least 1")
    ordered = bool(jax.tree.leaves(model.init_stats()))
    if full == "reservoir" and ordered:
        raise UsageError(f"full=reservoir loses the order that {type(model).__name__} needs")
    fold = full == "fold" and not unknowns.discrete
    curvature = curvature_of(model) if fold else None
    chunk = min(CHUNK, capacity)
    rows = -(-capacity // chunk) * chunk
    size = unknowns.size if fold else 0

    def empty() -> History:
        events = jax.tree.map(lambda x: jnp.zeros((rows, *x.shape), x.dtype), example_event(model))
        normal = jnp.zeros((size, size)), jnp.zeros(size)
        return History(events, jnp.zeros((), jnp.int32), model.init_stats(), *normal)

    def push(key: Array, history: History, event: Event, guess: Array) -> History:
        keep = real = event.weight > 0
        slot = history.seen % capacity
        evicting = real & (history.seen >= capacity)
        if full == "reservoir":
            draw = jax.random.randint(key, (), 0, history.seen + 1)
            slot = jnp.where(history.seen < capacity, history.seen, draw)
            keep, evicting = real & (slot < capacity), jnp.zeros((), bool)
            slot = jnp.minimum(slot, capacity - 1)
        old = jax.tree.map(lambda x: x[slot], history.events)
        before, precision, linear = history.before, history.precision, history.linear
        if curvature is not None:
            score, root = curvature(guess, before, old)
            weight = jnp.where(evicting, old.weight, 0.0)
            fisher = weight * root.T @ root
            precision = precision + fisher
            linear = linear + weight * score + fisher @ guess
        if ordered:
            gone = old._replace(weight=jnp.where(evicting, old.weight, 0.0))
            before = model.update_stats(before, gone)
        events = jax.tree.map(
            lambda block, new, kept: block.at[slot].set(jnp.where(keep, new, kept)),
            history.events,
            event,
            old,
        )
        return History(events, history.seen + real, before, precision, linear)

    def scaled(history: History, total: Any) -> Any:
        if full != "reservoir":
            return total
        factor = jnp.maximum(history.seen, capacity) / capacity
        return jax.tree.map(lambda x: x * factor, total)

    def in_order(history: History) -> Event:
        index = jnp.arange(rows)
        first = jnp.where(history.seen > capacity, history.seen % capacity, 0)
        order = jnp.where(index < capacity, (index + first) % capacity, index)
        return jax.tree.map(lambda x: x[order], history.events)

    def reduce(function: Callable[[Any, Event], Any], history: History) -> Any:
        """Sum `function` over kept events, each with the stats that preceded it."""
        if ordered:

            def step(carry: tuple[Any, Any], event: Event) -> tuple[tuple[Any, Any], None]:
                stats, total = carry
                total = jax.tree.map(jnp.add, total, function(stats, event))
                return (model.update_stats(stats, event), total), None

            shape = jax.eval_shape(function, history.before, example_event(model))
            zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shape)
            (_, total), _ = jax.lax.scan(step, (history.before, zeros), in_order(history))
            return scaled(history, total)

        def block(events: Event) -> Any:
            values = jax.vmap(lambda event: function((), event))(events)
            return jax.tree.map(lambda x: x.sum(0), values)

        if rows == chunk:
            return scaled(history, block(history.events))

        def body(i: Array, total: Any) -> Any:
            part = jax.tree.map(
                lambda x: jax.lax.dynamic_slice_in_dim(x, i * chunk, chunk), history.events
            )
            return jax.tree.map(jnp.add, total, block(part))

        used = jnp.minimum(history.seen, rows)
        shape = jax.eval_shape(block, jax.tree.map(lambda x: x[:chunk], history.events))
        zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shape)
        total = jax.lax.fori_loop(0, (used + chunk - 1) // chunk, body, zeros)
        return scaled(history, total)

    def one(particles: Array, stats: Any, event: Event) -> Array:
        def log_prob(u: Array) -> Array:
            return likelihood(model, u, stats, event.action, event.observation)

        # A masked slot holds zeros, for which the model need not be finite.
        values = across(log_prob, particles)
        return jnp.where(event.weight > 0, event.weight * values, 0.0)

    def log_density(history: History, particles: Array) -> Array:
        total = reduce(lambda stats, event: one(particles, stats, event), history)
        if fold:
            quadratic = jnp.sum(particles * (history.precision @ particles), axis=0)
            total = total + history.linear @ particles - 0.5 * quadratic
        return total

    def value_and_grad(history: History, particles: Array) -> tuple[Array, Array]:
        def both(stats: Any, event: Event) -> tuple[Array, Array]:
            values, pull = jax.vjp(lambda p: one(p, stats, event), particles)
            return values, pull(jnp.ones_like(values))[0]

        value, grad = reduce(both, history)
        if fold:
            pushed = history.precision @ particles
            value += history.linear @ particles - 0.5 * jnp.sum(particles * pushed, axis=0)
            grad += history.linear[:, None] - pushed
        return value, grad

    return Memory(empty, push, log_density, value_and_grad, reduce)


def kept(history: History) -> Array:
    """Number of events that a sweep over the buffer evaluates, `[]` int32."""
    return jnp.minimum(history.seen, history.events.weight.shape[0])
