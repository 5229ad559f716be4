"""Ideal observer published with a study of causal learning from clicks.

It computes the likelihood of all activations so far for every graph, summed over assignments of a
cause to each effect. It differs from exact Bayes in three ways: a cause has at most as many effects
as it has children, whichever they are; one binomial over all effects counts those that failed; and
effects still to come count as failed. All assignments are summed, where the authors sampled them if
there were very many.
See also: delays.py for exact Bayes.
Source: Bramley, Gerstenberg, Mayrhofer and Lagnado, code of the study, in words.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import bdtr, gammaln, xlog1py, xlogy

from ..base import Array
from .delays import STRENGTH, Delay

UNLIKELY = 1e-4
"""Graphs are excluded if the probability of so few effects is smaller than this."""


class Clicks(NamedTuple):
    """Activations of one trial, in order.

    time: `[T]`, seconds.
    node: `[T]`, the component, from 0.
    effect: `[T]` bool, whether it has a cause; else it was a click.
    valid: `[T]` bool, False for padding.
    """

    time: np.ndarray
    node: np.ndarray
    effect: np.ndarray
    valid: np.ndarray


@lru_cache(maxsize=4)
def all_graphs(nodes: int) -> np.ndarray:
    """List all graphs without self-loops.

    nodes: number of components n.

    Returns: `[2^(n (n - 1)), n, n]` of 0 and 1; [i, j] is an arrow from i to j.
    """
    places = [(i, j) for i in range(nodes) for j in range(nodes) if i != j]
    graphs = np.zeros((2 ** len(places), nodes, nodes), np.int8)
    for bit, (i, j) in enumerate(places):
        graphs[:, i, j] = np.arange(len(graphs)) >> bit & 1
    return graphs


def most_causes(clicks: Clicks, window: float) -> int:
    """Count the activations that may have caused one effect, at most.

    clicks: activations of a trial.
    window: longest delay, seconds.

    Returns: the number that `graph_log_posterior` must remember.
    """
    time = clicks.time[clicks.valid]
    before = (time[None] < time[:, None]) & (time[None] > time[:, None] - window)
    return int((before & clicks.effect[clicks.valid][:, None]).sum(1).max(initial=0))


@lru_cache(maxsize=8)
def _binomial(most: int, events: int) -> tuple[np.ndarray, np.ndarray]:
    """Log probability of m effects of k chances, and whether as few are likely enough, `[k, m]`."""
    k, m = np.meshgrid(np.arange(most + 1), np.arange(events + 1), indexing="ij")
    within = m <= k
    m_safe = np.where(within, m, 0)
    logs = gammaln(k + 1) - gammaln(m_safe + 1) - gammaln(k - m_safe + 1)
    logs = logs + xlogy(m_safe, STRENGTH) + xlog1py(k - m_safe, -STRENGTH)
    likely = within & (bdtr(m_safe, k, STRENGTH) >= UNLIKELY)
    return np.where(within, logs, -np.inf).astype(np.float32), likely


@partial(jax.jit, static_argnums=(0, 1, 2, 3))
def graph_log_posterior(
    nodes: int, delay: Delay, shortest: float, memory: int, clicks: Clicks
) -> Array:
    """Compute the log probability of every graph after each activation.

    nodes: number of components.
    delay: between a cause and its effect.
    shortest: seconds; delays lie strictly between it and the window of `delay`.
    memory: activations before an effect that may have caused it (`most_causes`).
    clicks: activations of a trial.

    Returns: `[T, G]`, over `all_graphs`; uniform before the first effect.
    """
    graphs = jnp.asarray(all_graphs(nodes), jnp.float32)
    count, most = len(graphs), nodes
    degree = graphs.sum(-1)
    length = clicks.time.shape[0]
    logs_of, likely_of = _binomial(length * (nodes - 1), length)
    uses = np.arange(most, dtype=np.float32)

    def assign(state: Array, recent: Array, where: Array, time: Array, node: Array) -> Array:
        elapsed = time - recent
        inside = (elapsed > shortest) & (elapsed < delay.window)
        density = jnp.where(inside, delay.density(jnp.where(inside, elapsed, 1.0)), 0.0)
        total = jnp.zeros_like(state)
        for slot in range(memory):
            shape = (count, most**slot, most, most ** (memory - slot - 1))
            cell = state.reshape(shape)
            free = uses[None, :-1] < degree[:, where[slot], None]
            weight = density[slot] * graphs[:, where[slot], node]
            moved = cell[:, :, :-1] * (free * weight[:, None])[:, None, :, None]
            total = total + jnp.pad(moved, ((0, 0), (0, 0), (1, 0), (0, 0))).reshape(state.shape)
        return total

    def step(carry, event):
        state, recent, where, pending, possible, chances, effects = carry
        time, node, effect, valid = event
        caused = effect & valid
        assigned = assign(state, recent, where, time, node)
        state = jnp.where(caused, assigned / jnp.maximum(jnp.max(assigned), 1e-37), state)
        pending = pending - caused * jax.nn.one_hot(node, nodes)[None]
        possible = possible & (jnp.min(pending, axis=1) >= 0)
        pending = pending + valid * graphs[:, node]
        chances = chances + valid * degree[:, node].astype(jnp.int32)
        effects = effects + caused
        # Drop the oldest activation and append the new one, without an effect yet.
        moved = state.reshape(count, most, -1).sum(1)
        moved = jnp.pad(moved[..., None], ((0, 0), (0, 0), (0, most - 1))).reshape(state.shape)
        state = jnp.where(valid, moved, state)
        recent = jnp.where(valid, jnp.append(recent[1:], time), recent)
        where = jnp.where(valid, jnp.append(where[1:], node), where)
        failed = jnp.asarray(logs_of)[chances, effects]
        fits = possible & jnp.asarray(likely_of)[chances, effects]
        logs = jnp.where(fits, jnp.log(state.sum(1)) + failed, -jnp.inf)
        logs = jnp.where(effects > 0, logs, 0.0)
        carry = state, recent, where, pending, possible, chances, effects
        return carry, logs - jax.nn.logsumexp(logs)

    start = (
        jnp.zeros((count, most**memory)).at[:, 0].set(1.0),
        jnp.full(memory, -jnp.inf),
        jnp.zeros(memory, clicks.node.dtype),
        jnp.zeros((count, nodes)),
        jnp.ones(count, bool),
        jnp.zeros(count, jnp.int32),
        jnp.zeros((), jnp.int32),
    )
    return jax.lax.scan(step, start, (clicks.time, clicks.node, clicks.effect, clicks.valid))[1]


def entropy_bits(log_weights: np.ndarray) -> np.ndarray:
    """Compute the entropy of distributions.

    log_weights: `[..., G]`, normalised log probabilities.

    Returns: entropy over the last axis, bits.
    """
    logs = np.where(np.isfinite(log_weights), np.asarray(log_weights, float), 0.0)
    weights = np.where(np.isfinite(log_weights), np.exp(logs), 0.0)
    return -np.sum(weights * logs, -1) / np.log(2)
