"""A causal network from a file as the truth: watch its nodes, or fix one.

The agent believes `causal-net` of the same nodes and levels; gain is about the file's graph.
See also: bif_reader.py for the format.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from ...posteriors.base import Array
from ...posteriors.errors import UsageError
from ...posteriors.models.graphs.causal_net import CausalNet
from ...posteriors.registry import build_model
from .base import World
from .bif_reader import read_bif


def causal_spec(levels: tuple[int, ...], parents: int = 0) -> str:
    """Return the spec of `causal-net` for nodes with some levels.

    levels: of each node.
    parents: largest number of parents a node; 0 for no bound.
    """
    same = len(set(levels)) == 1
    shown = str(levels[0]) if same else ",".join(map(str, levels))
    bound = f":parents={parents}" if parents else ""
    return f"causal-net:nodes={len(levels)}:levels={shown}{bound}"


def bif_world(file: str = "", parents: int = 0) -> World:
    """Build the world of a network in a file.

    file: in the BIF format.
    parents: largest number of parents a node that the agent considers; 0 for no bound.
    Raises: UsageError for a wrong file, or more nodes than the agent's graphs may have.
    """
    if not file:
        raise UsageError("world bif needs a file: bif:FILE")
    net = read_bif(str(file))
    levels = tuple(len(names) for names in net.levels)
    usual = causal_spec(levels, parents)
    model = build_model(usual)
    assert isinstance(model, CausalNet)
    most = max(len(p) for p in net.parents)
    if parents and most > parents:
        raise UsageError(f"{file}: a node has {most} parents, above parents={parents}")
    truth = np.asarray([sum(1 << i for i in p) for p in net.parents], np.int32)
    order = _order(net.parents)

    def init(key: Array) -> Array:
        return jnp.asarray(truth)

    def context(key: Array, state: Array) -> Array:
        return jnp.zeros(0)

    def answer(key: Array, state: Array, action: Array, time: Array) -> tuple[Array, Array]:
        forced = model.forced(action)
        uniforms = jax.random.uniform(key, (len(levels),))
        found: dict[int, Array] = {}
        for j in order:
            row = jnp.asarray(net.tables[j])[tuple(found[i] for i in net.parents[j])]
            drawn = jnp.sum(uniforms[j] >= jnp.cumsum(row)[:-1], dtype=jnp.int32)
            found[j] = jnp.where(forced[j] >= 0, forced[j], drawn)
        states = jnp.stack([found[j] for j in range(len(levels))])
        return state, model.join(states)

    return World(
        init, context, answer, lambda state: state, model, actions=model.actions, usual=usual
    )


def _order(parents: tuple[tuple[int, ...], ...]) -> list[int]:
    """Nodes, causes first."""
    order: list[int] = []
    while len(order) < len(parents):
        order += [j for j, of in enumerate(parents) if j not in order and set(of) <= set(order)]
    return order
