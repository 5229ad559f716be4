"""A fixed-capacity memory of past events and its log density.

Not here: what to do with it. Backends share this one buffer and differ in how they climb it.
When it is full, `full` names what happens: "forget" drops the oldest event, "reservoir" keeps a
uniform sample and weights it up, "fold" turns the evicted event into a normal factor (a Laplace
step at the current guess); discrete unknowns have no such factor, and forget. "auto" folds where
the factor is small, else keeps a reservoir, or forgets where events have an order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .base import Array, Event, Model, UsageError, example_event
from .curvature import curvature_of
from .trailing import WIDE, across
from .unknowns import likelihood, unknowns_of

POLICIES = ("auto", "fold", "forget", "reservoir")
WIDEST = 256
"""Widest block of a normal factor that "auto" folds into: its cost is the width squared."""
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
    extend(key, history, events, guess [D]) -> history: push every event of a block.
    place(key, history, event) -> (slot [], kept [] bool, the event that leaves), and
    put(history, event, guess [D], *place) -> history: push in two steps, for a backend that keeps
        something of its own beside every event.
    update(key, history, event, guess [D], particles [D, S], density [S], logs [S])
        -> (history, change [S]): push, and by how much it changes `log_density` at the particles,
        given that density before and the event's own weighted log likelihood.
    log_density(history, particles [D, S]) -> [S], log likelihood of what is kept or folded.
    value_and_grad(history, particles [D, S], shares [rows, S], noise [rows, S]) -> ([S], [D, S]);
        where given, each particle counts each kept event `shares` times and sees it with `noise`
        added to the observation (not what was folded).
    climb(key, history, particles, shares, noise) -> the same, or its unbiased estimate from
        `batch` events drawn at random.
    reduce(function(stats, event) -> tree, history) -> tree, summed over kept events.
    evaluated(history) -> `[]` int32, the events that one `climb` evaluates.
    full: which of the policies holds, "auto" resolved.
    """

    empty: Callable[[], History]
    push: Callable[[Array, History, Event, Array], History]
    extend: Callable[[Array, History, Event, Array], History]
    place: Callable[[Array, History, Event], tuple[Array, Array, Event]]
    put: Callable[[History, Event, Array, Array, Array, Event], History]
    update: Callable[..., tuple[History, Array]]
    log_density: Callable[[History, Array], Array]
    value_and_grad: Callable[..., tuple[Array, Array]]
    climb: Callable[..., tuple[Array, Array]]
    reduce: Callable[[Callable[[Any, Event], Any], History], Any]
    evaluated: Callable[[History], Array]
    full: str


def memory(model: Model, capacity: int, full: str, batch: int = 0) -> Memory:
    """A memory of `capacity` events for a model; `full` is one of `POLICIES`.

    batch: events behind each `climb`; 0 takes all.
    """
    unknowns = unknowns_of(model)
    if full not in POLICIES:
        raise UsageError(f"full={full!r}: choose one of {', '.join(POLICIES)}")
    if capacity < 1:
        raise UsageError(f"capacity={capacity}: must be at least 1")
    if batch < 0:
        raise UsageError(f"batch={batch}: must be at least 1, or 0 for all events")
    ordered = bool(jax.tree.leaves(model.init_stats()))
    if full == "auto":
        small = unknowns.size // max(model.independent, 1) <= WIDEST
        full = "fold" if small else ("forget" if ordered else "reservoir")
    if batch and ordered:
        raise UsageError(
            f"batch={batch}: the events of {type(model).__name__} have an order: use batch=0"
        )
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

    def extend(key: Array, history: History, events: Event, guess: Array) -> History:
        def step(history: History, item: tuple[Array, Event]) -> tuple[History, None]:
            return push(item[0], history, item[1], guess), None

        keys = jax.random.split(key, events.weight.shape[0])
        return jax.lax.scan(step, history, (keys, events))[0]

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

    def in_order(history: History) -> Array:
        """The slots `[rows]`, oldest event first."""
        index = jnp.arange(rows)
        first = jnp.where(history.seen > capacity, history.seen % capacity, 0)
        return jnp.where(index < capacity, (index + first) % capacity, index)

    def reduce(function: Callable[[Any, Event], Any], history: History) -> Any:
        """Sum `function` over kept events, each with the stats that preceded it."""

        def block(events: Event, _: Any) -> Any:
            values = jax.vmap(lambda event: function((), event))(events)
            return jax.tree.map(lambda x: x.sum(0), values)

        if ordered:
            return in_turn(lambda stats, event, _: function(stats, event), history, None)
        return in_blocks(block, history, None)

    def in_turn(function: Callable[[Any, Event, Any], Any], history: History, beside: Any) -> Any:
        """Sum `function(stats, event, rows of what is kept beside it)` over events in order."""

        def step(carry: tuple[Any, Any], item: tuple[Event, Any]) -> tuple[tuple, None]:
            stats, total = carry
            event, row = item
            total = jax.tree.map(jnp.add, total, function(stats, event, row))
            return (model.update_stats(stats, event), total), None

        order = in_order(history)
        items = jax.tree.map(lambda x: x[order], (history.events, beside))
        one_row = jax.tree.map(lambda x: x[0], beside)
        shape = jax.eval_shape(function, history.before, example_event(model), one_row)
        zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shape)
        return scaled(history, jax.lax.scan(step, (history.before, zeros), items)[0][1])

    def in_blocks(block: Callable[[Event, Any], Any], history: History, beside: Any) -> Any:
        """Sum `block(events, rows of what is kept beside them)` over chunks in any order."""
        everything = history.events, beside
        if rows == chunk:
            return scaled(history, block(*everything))

        def body(i: Array, total: Any) -> Any:
            part = jax.tree.map(
                lambda x: jax.lax.dynamic_slice_in_dim(x, i * chunk, chunk), everything
            )
            return jax.tree.map(jnp.add, total, block(*part))

        used = jnp.minimum(history.seen, rows)
        shape = jax.eval_shape(block, *jax.tree.map(lambda x: x[:chunk], everything))
        zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shape)
        total = jax.lax.fori_loop(0, (used + chunk - 1) // chunk, body, zeros)
        return scaled(history, total)

    def one_log(u: Array, stats: Any, event: Event) -> Array:
        value = likelihood(model, u, stats, event.action, event.observation)
        # A masked slot holds zeros, for which the model need not be finite.
        return jnp.where(event.weight > 0, event.weight * value, 0.0)

    def one(particles: Array, stats: Any, event: Event, noise: Any = None) -> Array:
        if noise is None:
            return across(lambda u: one_log(u, stats, event), particles)
        # Noise rides along as one more coordinate: `across` maps a single array.
        seen = jnp.concatenate([particles, noise[None, :]])
        return across(lambda v: one_log(v[:-1], stats, shifted(event, v[-1])), seen)

    def shifted(event: Event, by: Array) -> Event:
        return event._replace(observation=event.observation + by)

    def log_density(history: History, particles: Array) -> Array:
        total = reduce(lambda stats, event: one(particles, stats, event), history)
        if fold:
            total = total + normal_factor(history.precision, history.linear, particles)
        return total

    def both(particles: Array, stats: Any, event: Event, beside: Any) -> tuple[Array, Array]:
        share, noise = beside
        values, pull = jax.vjp(lambda p: one(p, stats, event, noise), particles)
        weights = jnp.ones_like(values) if share is None else share
        return values * weights, pull(weights)[0]

    def both_of_block(particles: Array, events: Event, beside: Any) -> tuple[Array, Array]:
        shares, noise = beside

        # Summed before the gradient is taken: [events, D, S] never exists.
        def total(p: Array) -> Array:
            if unknowns.size >= WIDE:  # events inside particles: twice as fast for one network
                logs = across(each, p if noise is None else jnp.concatenate([p, noise]))
            else:
                logs = jax.vmap(lambda event, by: one(p, (), event, by))(events, noise)
            return jnp.sum(logs if shares is None else logs * shares, axis=0)

        def each(v: Array) -> Array:
            if noise is None:
                return jax.vmap(lambda e: one_log(v, (), e))(events)
            u, nudges = v[: unknowns.size], v[unknowns.size :]
            return jax.vmap(lambda e, by: one_log(u, (), shifted(e, by)))(events, nudges)

        values, pull = jax.vjp(total, particles)
        return values, pull(jnp.ones_like(values))[0]

    def with_factor(history: History, particles: Array, pair: Any) -> tuple[Array, Array]:
        value, grad = pair
        if fold:
            pushed = pushed_by(history.precision, particles)
            value += history.linear @ particles - 0.5 * jnp.sum(particles * pushed, axis=0)
            grad += history.linear[:, None] - pushed
        return value, grad

    def value_and_grad(
        history: History, particles: Array, shares: Any = None, noise: Any = None
    ) -> tuple[Array, Array]:
        beside = shares, noise
        if ordered:
            pair = in_turn(lambda *item: both(particles, *item), history, beside)
        else:
            pair = in_blocks(lambda *items: both_of_block(particles, *items), history, beside)
        return with_factor(history, particles, pair)

    def climb(
        key: Array, history: History, particles: Array, shares: Any = None, noise: Any = None
    ) -> tuple[Array, Array]:
        if not batch:
            return value_and_grad(history, particles, shares, noise)
        used = jnp.minimum(history.seen, capacity)
        slots = jax.random.randint(key, (batch,), 0, jnp.maximum(used, 1))
        items = jax.tree.map(lambda x: x[slots], (history.events, (shares, noise)))
        pair = jax.tree.map(lambda x: x * (used / batch), both_of_block(particles, *items))
        return with_factor(history, particles, scaled(history, pair))

    def evaluated(history: History) -> Array:
        return jnp.minimum(kept(history), batch) if batch else kept(history)

    return Memory(
        empty, push, extend, place, put, update, log_density, value_and_grad, climb, reduce,
        evaluated, full,
    )  # fmt: skip


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
