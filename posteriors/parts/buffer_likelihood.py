"""Log likelihood of the buffered and folded events, its gradient, and minibatch estimates.

All functions take particles `[D, S]` on the last axis, which is contiguous and therefore fast on a
CPU.

See also: replay_buffer.py for the events themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from ..base import Array, Event
from ..errors import UsageError
from .block_gaussian import block_matmul
from .replay_buffer import Buffer, ReplayBuffer, event_count
from .unknowns import log_likelihood
from .vmap_last import WIDE, vmap_last


@dataclass(frozen=True)
class BufferLikelihood:
    """Pure functions of a `Buffer` and of particles.

    store: the replay buffer that the events are in.
    batch: events drawn for one `estimate_gradient`; 0 takes all.
    """

    store: ReplayBuffer
    batch: int = 0

    def __post_init__(self) -> None:
        """Refuse minibatches where the events have an order."""
        if self.batch < 0:
            raise UsageError(f"batch={self.batch}: must be at least 1, or 0 for all events")
        if self.batch and self.store.ordered:
            name = type(self.store.model).__name__
            raise UsageError(f"batch={self.batch}: the events of {name} have an order: use batch=0")

    def log_density(self, buffer: Buffer, particles: Array) -> Array:
        """Compute the log likelihood `[S]` of all stored and folded events.

        buffer: the events.
        particles: `[D, S]`.
        """
        total = self.store.sum_over_events(
            lambda stats, event: self._log_event(particles, stats, event), buffer
        )
        if self.store.folds:
            total = total + _log_factor(buffer.precision, buffer.linear, particles)
        return total

    def value_and_grad(
        self, buffer: Buffer, particles: Array, shares: Any = None, noise: Any = None
    ) -> tuple[Array, Array]:
        """Compute the log likelihood and its gradient.

        buffer: the events.
        particles: `[D, S]`.
        shares: `[rows, S]`, how often each particle counts each stored event; once if None.
        noise: `[rows, S]`, added to the observation as each particle sees it; folded events have
            none.

        Returns: values `[S]` and gradients `[D, S]`.
        """
        beside = shares, noise
        if self.store.ordered:
            pair = self.store.sum_in_order(
                lambda *item: self._pair_of_event(particles, *item), buffer, beside
            )
        else:
            pair = self.store.sum_in_blocks(
                lambda *items: self._pair_of_block(particles, *items), buffer, beside
            )
        return self._add_factor(buffer, particles, pair)

    def estimate_gradient(
        self,
        key: Array,
        buffer: Buffer,
        particles: Array,
        shares: Any = None,
        noise: Any = None,
    ) -> tuple[Array, Array]:
        """Compute `value_and_grad`, or estimate it without bias from `batch` random events.

        key: for the minibatch.
        buffer, particles, shares, noise: as in `value_and_grad`.

        Returns: values `[S]` and gradients `[D, S]`.
        """
        if not self.batch:
            return self.value_and_grad(buffer, particles, shares, noise)
        used = jnp.minimum(buffer.seen, self.store.capacity)
        slots = jax.random.randint(key, (self.batch,), 0, jnp.maximum(used, 1))
        items = jax.tree.map(lambda x: x[slots], (buffer.events, (shares, noise)))
        pair = self._pair_of_block(particles, *items)
        pair = jax.tree.map(lambda x: x * (used / self.batch), pair)
        return self._add_factor(buffer, particles, self.store.scale_up(buffer, pair))

    def push_with_change(
        self,
        key: Array,
        buffer: Buffer,
        event: Event,
        params: Array,
        particles: Array,
        density: Array,
        logs: Array,
    ) -> tuple[Buffer, Array]:
        """Store an event, and say by how much that changes `log_density` at the particles.

        key: for the reservoir's draw.
        buffer: the state before the event.
        event: the new event.
        params: `[D]`, the current estimate.
        particles: `[D, S]`.
        density: `[S]`, `log_density` at the particles before the event.
        logs: `[S]`, the weighted log likelihood of the event itself.

        Returns: the new state and the change `[S]`.
        """
        store = self.store
        slot, stored, gone = store.find_slot(key, buffer, event)
        new = store.write(buffer, event, params, slot, stored, gone)
        lost = self._log_event(particles, buffer.before, gone)
        # Values that the leaving event had ruled out stay so: minus infinity has no inverse.
        change = jnp.where(stored, logs, 0.0) - jnp.where(jnp.isfinite(lost), lost, 0.0)
        if store.folds:
            # The difference of stored numbers, so that `density` follows `log_density` exactly.
            precision, linear = new.precision - buffer.precision, new.linear - buffer.linear
            change = change + _log_factor(precision, linear, particles)
        if store.full == "reservoir":
            growth = store.scale(new) / store.scale(buffer)
            change = (growth - 1) * density + store.scale(new) * change
        return new, change

    def evaluations(self, buffer: Buffer) -> Array:
        """Count the events that one `estimate_gradient` evaluates, `[]` int32.

        buffer: the events.
        """
        count = event_count(buffer)
        return jnp.minimum(count, self.batch) if self.batch else count

    def _log_one(self, u: Array, stats: Any, event: Event) -> Array:
        """Weighted log likelihood `[]` of one event at `u [D]`."""
        value = log_likelihood(self.store.model, u, stats, event.action, event.observation)
        # A masked slot holds zeros, for which the model need not be finite.
        return jnp.where(event.weight > 0, event.weight * value, 0.0)

    def _log_event(self, particles: Array, stats: Any, event: Event, noise: Any = None) -> Array:
        """Weighted log likelihood `[S]` of one event, with `noise [S]` on its observation."""
        if noise is None:
            return vmap_last(lambda u: self._log_one(u, stats, event), particles)
        # Noise rides along as one more coordinate: `vmap_last` maps a single array.
        joined = jnp.concatenate([particles, noise[None, :]])
        return vmap_last(lambda v: self._log_one(v[:-1], stats, _shift(event, v[-1])), joined)

    def _pair_of_event(
        self, particles: Array, stats: Any, event: Event, beside: Any
    ) -> tuple[Array, Array]:
        """Values `[S]` and gradients `[D, S]` of one event."""
        share, noise = beside
        values, pull = jax.vjp(lambda p: self._log_event(p, stats, event, noise), particles)
        weights = jnp.ones_like(values) if share is None else share
        return values * weights, pull(weights)[0]

    def _pair_of_block(self, particles: Array, events: Event, beside: Any) -> tuple[Array, Array]:
        """Values `[S]` and gradients `[D, S]` of a block of events together."""
        shares, noise = beside
        size = self.store.unknowns.size

        # Summed before the gradient is taken: [events, D, S] never exists.
        def total(p: Array) -> Array:
            if size >= WIDE:  # events inside particles: twice as fast for one network
                logs = vmap_last(each, p if noise is None else jnp.concatenate([p, noise]))
            else:
                logs = jax.vmap(lambda event, by: self._log_event(p, (), event, by))(events, noise)
            return jnp.sum(logs if shares is None else logs * shares, axis=0)

        def each(v: Array) -> Array:
            if noise is None:
                return jax.vmap(lambda e: self._log_one(v, (), e))(events)
            u, nudges = v[:size], v[size:]
            return jax.vmap(lambda e, by: self._log_one(u, (), _shift(e, by)))(events, nudges)

        values, pull = jax.vjp(total, particles)
        return values, pull(jnp.ones_like(values))[0]

    def _add_factor(self, buffer: Buffer, particles: Array, pair: Any) -> tuple[Array, Array]:
        """Values and gradients with those of the folded events added."""
        value, grad = pair
        if self.store.folds:
            pushed = block_matmul(buffer.precision, particles)
            value += buffer.linear @ particles - 0.5 * jnp.sum(particles * pushed, axis=0)
            grad += buffer.linear[:, None] - pushed
        return value, grad


def _shift(event: Event, by: Array) -> Event:
    """The event with something added to its observation."""
    return event._replace(observation=event.observation + by)


def _log_factor(precision: Array, linear: Array, particles: Array) -> Array:
    """`l u - u P u / 2` for `particles [D, S]`, `[S]`."""
    pushed = block_matmul(precision, particles)
    return linear @ particles - 0.5 * jnp.sum(particles * pushed, axis=0)
