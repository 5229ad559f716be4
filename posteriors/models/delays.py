"""Which component sets off which, and when? Causal graphs in continuous time, loops allowed.

Whenever a component comes on, each of its children comes on once more with probability `STRENGTH`,
after a gamma delay; nothing comes on by itself. Which activation caused which is summed over
exactly: one child's parents are independent of another's given all that was seen, and for each
set of parents a table holds which of their last activations have had their effect at the child.
The belief thus is a product over children, each over sets of parents. It is no `Model` of the
contract, whose events are an action and one observation: here time is in between, and nothing
having come on yet is a fact as well. Not here: the published observer (published_delays.py).
Source: Bramley, Mayrhofer, Gerstenberg and Lagnado (2017), and the devices of their later studies.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln, xlogy

from ..base import Array

STRENGTH = 0.9
"""Probability that an activation has its effect at a child."""
ODDITY = 1e-9
"""Density, a second, of coming on for no reason: a cause that is no longer remembered."""
GRID = 2048
"""Points at which the delay's distribution is tabulated: looking it up is what simulating costs."""


@dataclass(frozen=True)
class Delay:
    """Gamma delays in seconds. window: causes no longer ago than this are remembered for sure only
    if they are few (`Devices.memory`); the distribution is tabulated up to it."""

    shape: float
    rate: float
    window: float

    def density(self, elapsed: Array) -> Array:
        """Density, a second, of a delay; 0 where not positive."""
        positive = elapsed > 0
        at = jnp.where(positive, elapsed, 1.0)
        logs = self.shape * np.log(self.rate) + xlogy(self.shape - 1, at) - self.rate * at
        return jnp.where(positive, jnp.exp(logs - gammaln(self.shape)), 0.0)

    def late(self, elapsed: Array) -> Array:
        """Probability of a delay longer than this."""
        return 1.0 - looked_up(cumulative(self), elapsed / self.window)

    def drawn(self, uniform: Array, elapsed: Array) -> Array:
        """A delay known to be longer than `elapsed`, from uniform numbers of the same shape."""
        begun = 1.0 - self.late(elapsed)
        share = begun + uniform * (1 - begun)
        return jnp.maximum(looked_up(quantiles(self), share), elapsed)


def looked_up(table: np.ndarray, share: Array) -> Array:
    """A table over equal steps from 0 to 1, linear in between and constant beyond."""
    at = jnp.clip(share, 0.0, 1.0) * (len(table) - 1)
    low = jnp.minimum(at.astype(jnp.int32), len(table) - 2)
    values = jnp.asarray(table, at.dtype)
    return values[low] + (at - low) * (values[low + 1] - values[low])


@lru_cache(maxsize=8)
def cumulative(delay: Delay) -> np.ndarray:
    """Probability of a delay up to each of `GRID` times from 0 to the window, where it is 1."""
    from scipy.special import gammainc

    values = gammainc(delay.shape, delay.rate * np.linspace(0.0, delay.window, GRID))
    return values / values[-1]


@lru_cache(maxsize=8)
def quantiles(delay: Delay) -> np.ndarray:
    """The delay, seconds, that has each of `GRID` shares from 0 to 1 below it."""
    from scipy.special import gammainc

    fine = np.linspace(0.0, delay.window, 16 * GRID)
    shares = gammainc(delay.shape, delay.rate * fine)
    return np.interp(np.linspace(0.0, 1.0, GRID), shares / shares[-1], fine)


class Belief(NamedTuple):
    """For each child and set of parents (n and Q = 2^(n-1) of them).

    patterns `[n, Q, 2^memory]`: probability of which remembered causes have had their effect, bit
    b for the b-th newest. logs `[n, Q]`: log likelihood without what is still to come. causes `[n,
    Q, memory]`: when they were, seconds, newest first; -inf where there is none.
    """

    patterns: Array
    logs: Array
    causes: Array


@dataclass(frozen=True)
class Devices:
    """nodes: components. memory: activations of a child's parents that may still have their effect;
    older ones are taken to have none to come."""

    nodes: int
    delay: Delay
    memory: int = 6

    @property
    def sets(self) -> np.ndarray:
        """Whether a component is in a child's set of parents, `[n, Q, n]` of 0 and 1."""
        n = self.nodes
        made = np.zeros((n, 2 ** (n - 1), n), int)
        for child in range(n):
            others = [i for i in range(n) if i != child]
            for bit, parent in enumerate(others):
                made[child, :, parent] = np.arange(2 ** (n - 1)) >> bit & 1
        return made

    def graph(self, chosen: Array) -> Array:
        """`[n]` sets of parents -> `[n, n]` of 0 and 1; [i, j] is an arrow from i to j."""
        return jnp.take_along_axis(jnp.asarray(self.sets), chosen[:, None, None], 1)[:, 0].T

    def init(self) -> Belief:
        """Nothing has happened; every graph is as likely."""
        shape = self.nodes, 2 ** (self.nodes - 1)
        patterns = jnp.zeros((*shape, 2**self.memory)).at[..., 0].set(1.0)
        return Belief(patterns, jnp.zeros(shape), jnp.full((*shape, self.memory), -jnp.inf))

    def observe(self, belief: Belief, time: Array, node: Array, effect: Array) -> Belief:
        """A component came on, by a click or (effect) by a cause."""
        belief = self._caused(belief, time, node, effect)
        return self._remember(belief, time, node)

    def _caused(self, belief: Belief, time: Array, node: Array, effect: Array) -> Belief:
        bits = np.arange(2**self.memory)
        had = (bits[None] >> np.arange(self.memory)[:, None] & 1).astype(np.float32)
        without = bits[None] ^ (1 << np.arange(self.memory)[:, None])
        old, causes = belief.patterns[node], belief.causes[node]
        density = jnp.where(jnp.isfinite(causes), self.delay.density(time - causes), 0.0)
        new = ODDITY * old
        for slot in range(self.memory):
            new = new + density[:, slot, None] * had[None, slot] * old[:, without[slot]]
        total = new.sum(-1)
        patterns = jnp.where(effect, new / total[:, None], old)
        logs = belief.logs[node] + jnp.where(effect, jnp.log(total), 0.0)
        return Belief(
            belief.patterns.at[node].set(patterns), belief.logs.at[node].set(logs), belief.causes
        )

    def _remember(self, belief: Belief, time: Array, node: Array) -> Belief:
        cause = jnp.asarray(self.sets)[:, :, node] == 1
        oldest = belief.causes[..., -1]
        none = self.missing(jnp.where(jnp.isfinite(oldest), time - oldest, jnp.inf))
        none = jnp.where(jnp.isfinite(oldest), none, 1.0)
        unused, used = jnp.split(belief.patterns, 2, axis=-1)
        kept = unused * none[..., None] + used
        total = kept.sum(-1)
        kept = kept / total[..., None]
        shifted = jnp.stack([kept, jnp.zeros_like(kept)], -1).reshape(belief.patterns.shape)
        fresh = jnp.broadcast_to(time, (*oldest.shape, 1))
        causes = jnp.concatenate([fresh, belief.causes[..., :-1]], -1)
        return Belief(
            jnp.where(cause[..., None], shifted, belief.patterns),
            belief.logs + jnp.where(cause, jnp.log(total), 0.0),
            jnp.where(cause[..., None], causes, belief.causes),
        )

    def missing(self, elapsed: Array) -> Array:
        """Probability of no effect so long after its cause: none will come, or it is late."""
        return (1 - STRENGTH) + STRENGTH * self.delay.late(elapsed)

    def now(self, belief: Belief, time: Array) -> Array:
        """Probability of each pattern at a time, not normalised, `[n, Q, 2^memory]`."""
        waiting = jnp.where(
            jnp.isfinite(belief.causes), self.missing(time - belief.causes), 1.0
        )  # fmt: skip
        patterns = belief.patterns
        bits = np.arange(2**self.memory)
        for slot in range(self.memory):
            unused = (bits >> slot & 1) == 0
            factor = jnp.where(unused[None, None], waiting[..., slot, None], 1.0)
            patterns = patterns * factor
        return patterns

    def parents(self, belief: Belief, time: Array) -> Array:
        """Log probability `[n, Q]` of each child's sets of parents at a time."""
        logs = belief.logs + jnp.log(self.now(belief, time).sum(-1))
        return jax.nn.log_softmax(logs, axis=-1)

    def entropy(self, belief: Belief, time: Array) -> Array:
        """Entropy `[]` of the graph, nats."""
        logs = self.parents(belief, time)
        return -jnp.sum(jnp.where(jnp.isfinite(logs), jnp.exp(logs) * logs, 0.0))


RELIABLE = Delay(200.0, 133.33333, 3.0)
"""1.5 s, standard deviation .106 s."""
UNRELIABLE = Delay(5.0, 3.3333333, 5.6)
"""1.5 s, standard deviation .671 s."""

__all__ = ["RELIABLE", "STRENGTH", "UNRELIABLE", "Belief", "Delay", "Devices"]
