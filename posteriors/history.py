"""A fixed-capacity memory of past events and its log density.

Not here: what to do with it. Backends share this one buffer and differ in how they climb it.
When it is full, `full` names what happens: "forget" drops the oldest event, "reservoir" keeps a
uniform sample and weights it up, "fold" turns the evicted event into a normal factor (a Laplace
step at the current guess); discrete unknowns have no such factor, and forget.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .base import Array, Event, Model, UsageError, example_event
from .curvature import curvature_of
from .trailing import across
from .unknowns import likelihood, unknowns_of

POLICIES = ("fold", "forget", "reservoir")
CHUNK = 16
"""Events evaluated at once: enough to fill vector lanes, little waste on a short history."""


class History(NamedTuple):
    """events: block `[C, ...]`, a ring. seen: `[]` int32, events of positive weight so far.

    before: the model's stats before the oldest kept event. precision `[B, b, b]` (the model's
    independent groups), linear `[D]`: the normal factor exp(-u P u / 2 + l u) of folded events
    (of size 0 unless folding).
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
    update(key, history, event, guess [D], particles [D, S], density [S], logs [S])
        -> (history, change [S]): push, and by how much it changes `log_density` at the particles,
        given that density before and the event's own weighted log likelihood.
    log_density(history, particles [D, S]) -> [S], log likelihood of what is kept or folded.
    value_and_grad(history, particles [D, S]) -> ([S], [D, S]).
    reduce(function(stats, event) -> tree, history) -> tree, summed over kept events.
    """

    empty: Callable[[], History]
    push: Callable[[Array, History, Event, Array], History]
    update: Callable[..., tuple[History, Array]]
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
    groups = max(model.independent, 1) if fold else 0
    width = unknowns.size // groups if fold else 0

    def empty() -> History:
        events = jax.tree.map(lambda x: jnp.zeros((rows, *x.shape), x.dtype), example_event(model))
        normal = jnp.zeros((groups, width, width)), jnp.zeros(size)
        return History(events, jnp.zeros((), jnp.int32), model.init_stats(), *normal)

    def place(key: Array, history: History, event: Event) -> tuple[Array, Array, Event]:
        """The slot for an event, whether it is kept, and the event that leaves (weight 0: none)."""
        keep = real = event.weight > 0
        slot = history.seen % capacity
        if full == "reservoir":
            draw = jax.random.randint(key, (), 0, history.seen + 1)
            slot = jnp.where(history.seen < capacity, history.seen, draw)
            keep, slot = real & (slot < capacity), jnp.minimum(slot, capacity - 1)
        old = jax.tree.map(lambda x: x[slot], history.events)
        leaving = keep & (history.seen >= capacity)
        return slot, keep, old._replace(weight=jnp.where(leaving, old.weight, 0.0))

    def push(key: Array, history: History, event: Event, guess: Array) -> History:
        return put(history, event, guess, *place(key, history, event))

    def put(
        history: History, event: Event, guess: Array, slot: Array, keep: Array, gone: Event
    ) -> History:
        before, precision, linear = history.before, history.precision, history.linear
        if curvature is not None:
            score, root = curvature(guess, before, gone)
            parts = root.reshape(-1, groups, width)
            fisher = gone.weight * jnp.einsum("rbi,rbj->bij", parts, parts)
            pull = gone.weight * score + pushed_by(fisher, guess[:, None])[:, 0]
            # An empty slot holds zeros, for which the model need not be finite.
            precision = precision + jnp.where(gone.weight > 0, fisher, 0.0)
            linear = linear + jnp.where(gone.weight > 0, pull, 0.0)
        if ordered:
            before = model.update_stats(before, gone)
        events = jax.tree.map(
            lambda block, new: block.at[slot].set(jnp.where(keep, new, block[slot])),
            history.events,
            event,
        )
        return History(events, history.seen + (event.weight > 0), before, precision, linear)

    def update(
        key: Array,
        history: History,
        event: Event,
        guess: Array,
        particles: Array,
        density: Array,
        logs: Array,
    ) -> tuple[History, Array]:
        slot, keep, gone = place(key, history, event)
        new = put(history, event, guess, slot, keep, gone)
        lost = one(particles, history.before, gone)
        # What the leaving event had ruled out stays so: minus infinity has no inverse.
        change = jnp.where(keep, logs, 0.0) - jnp.where(jnp.isfinite(lost), lost, 0.0)
        if fold:
            # The difference of what is stored, so that `density` follows `log_density` exactly.
            precision, linear = new.precision - history.precision, new.linear - history.linear
            change = change + normal_factor(precision, linear, particles)
        if full == "reservoir":
            growth = scale(new) / scale(history)
            change = (growth - 1) * density + scale(new) * change
        return new, change

    def scale(history: History) -> Array:
        return jnp.maximum(history.seen, capacity) / capacity

    def scaled(history: History, total: Any) -> Any:
        if full != "reservoir":
            return total
        return jax.tree.map(lambda x: x * scale(history), total)

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
            total = total + normal_factor(history.precision, history.linear, particles)
        return total

    def value_and_grad(history: History, particles: Array) -> tuple[Array, Array]:
        def both(stats: Any, event: Event) -> tuple[Array, Array]:
            values, pull = jax.vjp(lambda p: one(p, stats, event), particles)
            return values, pull(jnp.ones_like(values))[0]

        value, grad = reduce(both, history)
        if fold:
            pushed = pushed_by(history.precision, particles)
            value += history.linear @ particles - 0.5 * jnp.sum(particles * pushed, axis=0)
            grad += history.linear[:, None] - pushed
        return value, grad

    return Memory(empty, push, update, log_density, value_and_grad, reduce)


def normal_factor(precision: Array, linear: Array, particles: Array) -> Array:
    """`l u - u P u / 2` for `particles [D, S]`, `[S]`."""
    pushed = pushed_by(precision, particles)
    return linear @ particles - 0.5 * jnp.sum(particles * pushed, axis=0)


def pushed_by(precision: Array, particles: Array) -> Array:
    """Block-diagonal `precision [B, b, b]` times `particles [D, S]`, `[D, S]`."""
    parts = particles.reshape(*precision.shape[:2], -1)
    return jnp.einsum("bij,bjs->bis", precision, parts).reshape(particles.shape)


def kept(history: History) -> Array:
    """Number of events that a sweep over the buffer evaluates, `[]` int32."""
    return jnp.minimum(history.seen, history.events.weight.shape[0])
