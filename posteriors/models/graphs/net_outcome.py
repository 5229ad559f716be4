"""Outcome of a network of categorical nodes that is too large for a table of all its states."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from numpyro.distributions import constraints

from ...base import Array, Distribution


class NetOutcome(Distribution):
    """The levels of all nodes, `[n]`, each drawn given those of its parents.

    levels: number of levels of each node.
    conditional: `(states [K, n]) -> [n, K]`, probability of each node's level given the others.
    forced: `[n]` int32, the level at which an action holds a node, -1 for none.
    """

    def __init__(
        self,
        levels: tuple[int, ...],
        conditional: Callable[[Array], Array],
        forced: Array,
    ) -> None:
        self.levels, self.conditional, self.forced = levels, conditional, forced
        self._range = constraints.independent(constraints.integer_interval(0, max(levels) - 1), 1)
        super().__init__(batch_shape=(), event_shape=(len(levels),), validate_args=False)

    @property
    def support(self) -> Any:
        """Levels from 0 to the largest of any node."""
        return self._range

    def log_prob(self, value: Any, intermediates: Any = None) -> Array:
        """Compute the log probability `[]` of a state `[n]`."""
        value = value.astype(jnp.int32)
        each = jnp.log(self.conditional(value[None])[:, 0])
        held = jnp.where(self.forced == value, 0.0, -jnp.inf)
        inside = jnp.all((value >= 0) & (value < jnp.asarray(self.levels)))
        return jnp.where(inside, jnp.sum(jnp.where(self.forced >= 0, held, each)), -jnp.inf)

    def sample(self, key: Any, sample_shape: tuple[int, ...] = ()) -> Array:
        """Draw a state `[n]`; each round settles the nodes whose parents are settled."""
        count = len(self.levels)
        uniforms = jax.random.uniform(key, (count,))
        nodes, levels = jnp.arange(count), jnp.asarray(self.levels)

        def settle(_: int, state: Array) -> Array:
            drawn, total = jnp.zeros(count, jnp.int32), jnp.zeros(count)
            for level in range(max(self.levels) - 1):
                # Row j asks for node j at this level, all others as they are.
                at = jnp.where(nodes[:, None] == nodes[None, :], level, state[None, :])
                share = jnp.diagonal(self.conditional(jnp.minimum(at, levels[None, :] - 1)))
                total = total + jnp.where(level < levels, share, 0.0)
                drawn = drawn + (uniforms >= total)
            drawn = jnp.minimum(drawn, levels - 1)
            return jnp.where(self.forced >= 0, self.forced, drawn).astype(jnp.int32)

        return jax.lax.fori_loop(0, count, settle, jnp.zeros(count, jnp.int32))
