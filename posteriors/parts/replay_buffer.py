"""A ring buffer of past events with fixed capacity, shared by all methods that need the past.

`full` names the policy once the capacity is reached: "forget" drops the oldest event, "reservoir"
keeps a uniform sample and weights it up, "fold" turns the evicted event into a normal factor (a
Laplace step at the current estimate); discrete unknowns have no such factor, and forget. "auto"
folds where the factor is small; otherwise it keeps a reservoir, or forgets where events have an
order.

See also: buffer_likelihood.py for the log likelihood of the buffer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..base import Array, Event, Model
from ..errors import UsageError
from ..placeholders import example_event
from .block_gaussian import block_matmul
from .curvature import Curvature, curvature_of
from .unknowns import Unknowns, unknowns_of

POLICIES = ("auto", "fold", "forget", "reservoir")
WIDEST = 256
"""Widest block of a normal factor that "auto" folds into: its cost is the width squared."""
CHUNK = 16
"""Events evaluated at once: enough to fill vector lanes, little waste on a short past."""


class Buffer(NamedTuple):
    """Stored events, and the normal factor of the folded ones.

    events: a block `[rows, ...]`, used as a ring; rows beyond the capacity stay empty.
    seen: `[]` int32, number of events of positive weight so far.
    before: the model's statistics before the oldest stored event.
    precision: `[B, b, b]`, P of the factor exp(-u P u / 2 + l u); B independent groups of the model
        (size 0 unless folding).
    linear: `[D]`, l of that factor.
    """

    events: Event
    seen: Array
    before: Any
    precision: Array
    linear: Array


def event_count(buffer: Buffer) -> Array:
    """Count the events that a sweep over the buffer evaluates, `[]` int32.

    buffer: any state of it.
    """
    return jnp.minimum(buffer.seen, buffer.events.weight.shape[0])


@dataclass(frozen=True)
class ReplayBuffer:
    """Pure functions over a `Buffer`.

    model: the model whose events are stored.
    capacity: number of events.
    full: one of `POLICIES`; `auto` is replaced by the policy it stands for.
    """

    model: Model
    capacity: int
    full: str

    def __post_init__(self) -> None:
        """Resolve `full` and refuse values that do not go together."""
        if self.full not in POLICIES:
            raise UsageError(f"full={self.full!r}: choose one of {', '.join(POLICIES)}")
        if self.capacity < 1:
            raise UsageError(f"capacity={self.capacity}: must be at least 1")
        if self.full == "auto":
            small = self.unknowns.size // max(self.model.independent, 1) <= WIDEST
            full = "fold" if small else ("forget" if self.ordered else "reservoir")
            object.__setattr__(self, "full", full)
        if self.full == "reservoir" and self.ordered:
            name = type(self.model).__name__
            raise UsageError(f"full=reservoir loses the order that {name} needs")
        # Made now rather than inside a trace.
        _ = self._curvature

    @cached_property
    def unknowns(self) -> Unknowns:
        """Coordinates of the model."""
        return unknowns_of(self.model)

    @cached_property
    def ordered(self) -> bool:
        """Whether the model's likelihood depends on the order of events."""
        return bool(jax.tree.leaves(self.model.init_stats()))

    @property
    def folds(self) -> bool:
        """Whether evicted events become a normal factor."""
        return self.full == "fold" and not self.unknowns.discrete

    @property
    def rows(self) -> int:
        """Slots of the buffer: the capacity, rounded up to whole chunks."""
        return -(-self.capacity // self._chunk) * self._chunk

    @property
    def _chunk(self) -> int:
        """Events evaluated at once."""
        return min(CHUNK, self.capacity)

    @property
    def _groups(self) -> int:
        """Blocks of the normal factor."""
        return max(self.model.independent, 1) if self.folds else 0

    @property
    def _width(self) -> int:
        """Width of a block of the normal factor."""
        return self.unknowns.size // self._groups if self.folds else 0

    @cached_property
    def _curvature(self) -> Curvature | None:
        """Score and information of an evicted event, None unless folding."""
        return curvature_of(self.model) if self.folds else None

    def empty(self) -> Buffer:
        """Make a buffer without events."""
        events = jax.tree.map(
            lambda x: jnp.zeros((self.rows, *x.shape), x.dtype), example_event(self.model)
        )
        size = self.unknowns.size if self.folds else 0
        normal = jnp.zeros((self._groups, self._width, self._width)), jnp.zeros(size)
        return Buffer(events, jnp.zeros((), jnp.int32), self.model.init_stats(), *normal)

    def find_slot(self, key: Array, buffer: Buffer, event: Event) -> tuple[Array, Array, Event]:
        """Choose the slot of an event, for a method that stores something beside every event.

        key: for the reservoir's draw.
        buffer: the state before the event.
        event: the new event; weight 0 is stored nowhere.

        Returns: the slot `[]`, whether the event is stored `[]` bool, and the event that leaves
        (weight 0 if none does), as `write` takes them.
        """
        stored = real = event.weight > 0
        slot = buffer.seen % self.capacity
        if self.full == "reservoir":
            draw = jax.random.randint(key, (), 0, buffer.seen + 1)
            slot = jnp.where(buffer.seen < self.capacity, buffer.seen, draw)
            stored, slot = real & (slot < self.capacity), jnp.minimum(slot, self.capacity - 1)
        old = jax.tree.map(lambda x: x[slot], buffer.events)
        leaving = stored & (buffer.seen >= self.capacity)
        return slot, stored, old._replace(weight=jnp.where(leaving, old.weight, 0.0))

    def write(
        self, buffer: Buffer, event: Event, params: Array, slot: Array, stored: Array, gone: Event
    ) -> Buffer:
        """Store an event in the slot that `find_slot` chose.

        buffer: the state before the event.
        event: the new event.
        params: `[D]`, the current estimate, at which the evicted event is linearised.
        slot, stored, gone: from `find_slot`.
        """
        before, precision, linear = buffer.before, buffer.precision, buffer.linear
        if self._curvature is not None:
            score, root = self._curvature(params, before, gone)
            parts = root.reshape(-1, self._groups, self._width)
            fisher = gone.weight * jnp.einsum("rbi,rbj->bij", parts, parts)
            pull = gone.weight * score + block_matmul(fisher, params[:, None])[:, 0]
            # An empty slot holds zeros, for which the model need not be finite.
            precision = precision + jnp.where(gone.weight > 0, fisher, 0.0)
            linear = linear + jnp.where(gone.weight > 0, pull, 0.0)
        if self.ordered:
            before = self.model.update_stats(before, gone)
        events = jax.tree.map(
            lambda block, new: block.at[slot].set(jnp.where(stored, new, block[slot])),
            buffer.events,
            event,
        )
        return Buffer(events, buffer.seen + (event.weight > 0), before, precision, linear)

    def push(self, key: Array, buffer: Buffer, event: Event, params: Array) -> Buffer:
        """Store one event; an event of weight 0 changes nothing.

        key: for the reservoir's draw.
        buffer: the state before the event.
        event: the new event.
        params: `[D]`, the current estimate.
        """
        return self.write(buffer, event, params, *self.find_slot(key, buffer, event))

    def extend(self, key: Array, buffer: Buffer, events: Event, params: Array) -> Buffer:
        """Store every event of a block, in order.

        key: split into one key an event.
        buffer: the state before the events.
        events: a block `[N, ...]`.
        params: `[D]`, the current estimate.
        """

        def step(buffer: Buffer, item: tuple[Array, Event]) -> tuple[Buffer, None]:
            return self.push(item[0], buffer, item[1], params), None

        keys = jax.random.split(key, events.weight.shape[0])
        return jax.lax.scan(step, buffer, (keys, events))[0]

    def scale(self, buffer: Buffer) -> Array:
        """Compute the factor `[]` by which a reservoir's sums stand for all events seen.

        buffer: the state of a reservoir.
        """
        return jnp.maximum(buffer.seen, self.capacity) / self.capacity

    def scale_up(self, buffer: Buffer, total: Any) -> Any:
        """Scale sums over stored events to all events seen; only a reservoir changes them.

        buffer: the state that was summed over.
        total: a tree of sums.
        """
        if self.full != "reservoir":
            return total
        return jax.tree.map(lambda x: x * self.scale(buffer), total)

    def sum_over_events(self, function: Callable[[Any, Event], Any], buffer: Buffer) -> Any:
        """Sum a function over the stored events.

        function: `(stats, event) -> tree`, where stats are those that preceded the event.
        buffer: the state to sum over.

        Returns: the tree of sums, scaled up for a reservoir.
        """

        def sum_block(events: Event, _: Any) -> Any:
            values = jax.vmap(lambda event: function((), event))(events)
            return jax.tree.map(lambda x: x.sum(0), values)

        if self.ordered:
            return self.sum_in_order(lambda s, event, _: function(s, event), buffer, None)
        return self.sum_in_blocks(sum_block, buffer, None)

    def sum_in_order(
        self, function: Callable[[Any, Event, Any], Any], buffer: Buffer, beside: Any
    ) -> Any:
        """Sum a function over the stored events, oldest first.

        function: `(stats, event, row) -> tree`.
        buffer: the state to sum over.
        beside: a tree of arrays `[rows, ...]` stored beside the events, or None.

        Returns: the tree of sums, scaled up for a reservoir.
        """

        def step(carry: tuple[Any, Any], item: tuple[Event, Any]) -> tuple[tuple, None]:
            stats, total = carry
            event, row = item
            total = jax.tree.map(jnp.add, total, function(stats, event, row))
            return (self.model.update_stats(stats, event), total), None

        order = self._slots_in_order(buffer)
        items = jax.tree.map(lambda x: x[order], (buffer.events, beside))
        first_row = jax.tree.map(lambda x: x[0], beside)
        shape = jax.eval_shape(function, buffer.before, example_event(self.model), first_row)
        zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shape)
        return self.scale_up(buffer, jax.lax.scan(step, (buffer.before, zeros), items)[0][1])

    def sum_in_blocks(
        self, function: Callable[[Event, Any], Any], buffer: Buffer, beside: Any
    ) -> Any:
        """Sum a function over chunks of stored events, in any order; else as `sum_in_order`.

        function: `(events, rows) -> tree`, already summed over the chunk.
        buffer, beside: as in `sum_in_order`.
        """
        chunk, everything = self._chunk, (buffer.events, beside)
        if self.rows == chunk:
            return self.scale_up(buffer, function(*everything))

        def body(i: Array, total: Any) -> Any:
            part = jax.tree.map(
                lambda x: jax.lax.dynamic_slice_in_dim(x, i * chunk, chunk), everything
            )
            return jax.tree.map(jnp.add, total, function(*part))

        used = jnp.minimum(buffer.seen, self.rows)
        shape = jax.eval_shape(function, *jax.tree.map(lambda x: x[:chunk], everything))
        zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shape)
        total = jax.lax.fori_loop(0, (used + chunk - 1) // chunk, body, zeros)
        return self.scale_up(buffer, total)

    def _slots_in_order(self, buffer: Buffer) -> Array:
        """The slots `[rows]`, oldest event first."""
        index = jnp.arange(self.rows)
        first = jnp.where(buffer.seen > self.capacity, buffer.seen % self.capacity, 0)
        return jnp.where(index < self.capacity, (index + first) % self.capacity, index)
