"""Exact inference of causal graphs in continuous time, cycles allowed.

Each activation of a component activates each of its children once with probability `STRENGTH`,
after a gamma delay; no component activates by itself. The sum over assignments of causes to
effects is exact: given the data, the parents of different children are independent, and for each
set of parents a table holds which of their last activations have had their effect. The belief is
a product over children of distributions over sets of parents. This is no `Model` of the contract,
whose events are an action and one observation: here time passes in between, and the absence of an
activation is informative.
See also: published_delays.py for the published observer.
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
from scipy.special import gammainc

from ..base import Array

STRENGTH = 0.9
"""Probability that an activation has an effect at a child."""
ODDITY = 1e-9
"""Density per second of an activation without a remembered cause."""
GRID = 2048
"""Points at which the distribution of a delay is tabulated, because lookups are fast."""


@dataclass(frozen=True)
class Delay:
    """Gamma-distributed delay between a cause and its effect.

    shape: of the gamma distribution.
    rate: of the gamma distribution, per second.
    window: seconds up to which the distribution is tabulated; longer delays do not occur.
    """

    shape: float
    rate: float
    window: float

    def density(self, elapsed: Array) -> Array:
        """Compute the density of a delay.

        elapsed: seconds, any shape.

        Returns: density per second; 0 where `elapsed` is not positive.
        """
        positive = elapsed > 0
        at = jnp.where(positive, elapsed, 1.0)
        logs = self.shape * np.log(self.rate) + xlogy(self.shape - 1, at) - self.rate * at
        return jnp.where(positive, jnp.exp(logs - gammaln(self.shape)), 0.0)

    def survival(self, elapsed: Array) -> Array:
        """Compute the probability of a longer delay.

        elapsed: seconds, any shape.
        """
        return 1.0 - _interpolate(_cumulative(self), elapsed / self.window)

    def sample_beyond(self, uniform: Array, elapsed: Array) -> Array:
        """Sample a delay, given that it is longer than the elapsed time.

        uniform: uniform random numbers.
        elapsed: seconds, of the same shape.

        Returns: delays, seconds.
        """
        begun = 1.0 - self.survival(elapsed)
        share = begun + uniform * (1 - begun)
        return jnp.maximum(_interpolate(_quantiles(self), share), elapsed)


def _interpolate(table: np.ndarray, share: Array) -> Array:
    """Interpolate a table over equal steps from 0 to 1, constant beyond."""
    at = jnp.clip(share, 0.0, 1.0) * (len(table) - 1)
    low = jnp.minimum(at.astype(jnp.int32), len(table) - 2)
    values = jnp.asarray(table, at.dtype)
    return values[low] + (at - low) * (values[low + 1] - values[low])


@lru_cache(maxsize=8)
def _cumulative(delay: Delay) -> np.ndarray:
    """Probability of a delay up to each of `GRID` times from 0 to the window, normalised to 1."""
    values = gammainc(delay.shape, delay.rate * np.linspace(0.0, delay.window, GRID))
    return values / values[-1]


@lru_cache(maxsize=8)
def _quantiles(delay: Delay) -> np.ndarray:
    """Quantiles of the delay, seconds, at `GRID` levels from 0 to 1."""
    fine = np.linspace(0.0, delay.window, 16 * GRID)
    shares = gammainc(delay.shape, delay.rate * fine)
    return np.interp(np.linspace(0.0, 1.0, GRID), shares / shares[-1], fine)


class Belief(NamedTuple):
    """Belief about each of n children, for each of Q = 2^(n-1) sets of parents.

    patterns: `[n, Q, 2^memory]`, probability of each pattern of remembered causes that have had
        their effect; bit b is the b-th newest.
    logs: `[n, Q]`, log likelihood, without effects still to come.
    causes: `[n, Q, memory]`, times of the causes, seconds, newest first; -inf for none.
    """

    patterns: Array
    logs: Array
    causes: Array


@dataclass(frozen=True)
class Devices:
    """Devices of a number of components, and exact inference of their graph.

    nodes: number of components.
    delay: between a cause and its effect.
    memory: activations of a child's parents that are remembered; effects of older ones are assumed
        to be over.
    """

    nodes: int
    delay: Delay
    memory: int = 6

    @property
    def sets(self) -> np.ndarray:
        """Membership of components in the sets of parents of each child, `[n, Q, n]` of 0 and 1."""
        n = self.nodes
        sets = np.zeros((n, 2 ** (n - 1), n), int)
        for child in range(n):
            others = [i for i in range(n) if i != child]
            for bit, parent in enumerate(others):
                sets[child, :, parent] = np.arange(2 ** (n - 1)) >> bit & 1
        return sets

    def graph(self, chosen: Array) -> Array:
        """Convert sets of parents to a graph.

        chosen: `[n]`, the set of each child.

        Returns: `[n, n]` of 0 and 1; [i, j] is an arrow from i to j.
        """
        return jnp.take_along_axis(jnp.asarray(self.sets), chosen[:, None, None], 1)[:, 0].T

    def init(self) -> Belief:
        """Return the belief before any activation, uniform over graphs."""
        shape = self.nodes, 2 ** (self.nodes - 1)
        patterns = jnp.zeros((*shape, 2**self.memory)).at[..., 0].set(1.0)
        return Belief(patterns, jnp.zeros(shape), jnp.full((*shape, self.memory), -jnp.inf))

    def observe(self, belief: Belief, time: Array, node: Array, effect: Array) -> Belief:
        """Update the belief with an activation.

        belief: before it.
        time: `[]`, seconds.
        node: `[]`, the component.
        effect: `[]` bool, whether it has a cause; else it was a click.
        """
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
        none = self.no_effect(jnp.where(jnp.isfinite(oldest), time - oldest, jnp.inf))
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

    def no_effect(self, elapsed: Array) -> Array:
        """Compute the probability that a cause has had no effect yet.

        elapsed: seconds since the cause.
        """
        return (1 - STRENGTH) + STRENGTH * self.delay.survival(elapsed)

    def pattern_weights(self, belief: Belief, time: Array) -> Array:
        """Compute the weight of each pattern at a time.

        belief: after the latest activation.
        time: `[]`, seconds.

        Returns: probabilities, not normalised, `[n, Q, 2^memory]`.
        """
        waiting = jnp.where(
            jnp.isfinite(belief.causes), self.no_effect(time - belief.causes), 1.0
        )  # fmt: skip
        patterns = belief.patterns
        bits = np.arange(2**self.memory)
        for slot in range(self.memory):
            unused = (bits >> slot & 1) == 0
            factor = jnp.where(unused[None, None], waiting[..., slot, None], 1.0)
            patterns = patterns * factor
        return patterns

    def log_parents(self, belief: Belief, time: Array) -> Array:
        """Compute the log probabilities of the sets of parents at a time.

        belief: after the latest activation.
        time: `[]`, seconds.

        Returns: `[n, Q]`, normalised over sets.
        """
        logs = belief.logs + jnp.log(self.pattern_weights(belief, time).sum(-1))
        return jax.nn.log_softmax(logs, axis=-1)

    def entropy(self, belief: Belief, time: Array) -> Array:
        """Compute the entropy of the graph at a time.

        belief: after the latest activation.
        time: `[]`, seconds.

        Returns: entropy `[]`, nats.
        """
        logs = self.log_parents(belief, time)
        return -jnp.sum(jnp.where(jnp.isfinite(logs), jnp.exp(logs) * logs, 0.0))


RELIABLE = Delay(200.0, 133.33333, 3.0)
"""1.5 s, standard deviation .106 s."""
UNRELIABLE = Delay(5.0, 3.3333333, 5.6)
"""1.5 s, standard deviation .671 s."""

__all__ = ["RELIABLE", "STRENGTH", "UNRELIABLE", "Belief", "Delay", "Devices"]
