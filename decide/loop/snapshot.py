"""All that a server has learnt and still waits for, as arrays and JSON, and back into a server.

Latencies are left out: they say nothing of what comes next. Not here: keeping it anywhere
(durable.py, streams/checkpoint.py).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .serve import Server
from .waiting import Pending

STATE, ALARM = "state", "alarm"
COUNTS = ("decided", "learnt", "unmatched", "unhealthy", "late", "cheaper")


class Snapshot(NamedTuple):
    """arrays: the packed state as `state0`, `state1`, ..., the packed alarm as `alarm0`, ... and
    actions of waiting decisions, `[actions, size]`. facts: the rest, JSON."""

    arrays: dict[str, np.ndarray]
    facts: dict[str, Any]


def taken(server: Server) -> Snapshot:
    """What a server knows, copied: its own arrays are consumed by what it learns next."""
    waiting = server.waiting
    pending = list(waiting._by_id.items())
    actions = [one.actions for _, one in pending]
    size = server.encoder.space.size
    arrays = {f"{STATE}{i}": np.array(x) for i, x in enumerate(server._packed)}
    arrays |= {f"{ALARM}{i}": np.array(x) for i, x in enumerate(server._bets)}
    # Doubles hold actions of either precision.
    arrays["waiting"] = np.concatenate([np.zeros((0, size)), *actions]).astype(float)
    facts = {
        "waiting": [[id, len(one.actions), one.time, one.batch] for id, one in pending],
        "dropped": waiting.dropped,
        "ahead": server._ahead,
        "latest": server._latest,
        "origin": server.encoder._origin,
        "spent": server.stopping.spent,
        "limits": limits(server),
        "stopped": server.stopped,
        "alarm": server.alarm,
        "counts": {name: getattr(server.tally, name) for name in COUNTS},
    }
    if server.thoughts is not None:
        facts["thoughts"] = server.thoughts.counts
    return Snapshot(arrays, facts)


def put_back(server: Server, snapshot: Snapshot) -> None:
    """Make a server that was just made what another of the same making was."""
    arrays, facts = snapshot
    server._packed = tuple(
        placed(arrays[f"{STATE}{i}"], like) for i, like in enumerate(server._packed)
    )
    server._bets = tuple(placed(arrays[f"{ALARM}{i}"], like) for i, like in enumerate(server._bets))
    server.alarm = facts["alarm"]
    start = 0
    for id, count, time, batch in facts["waiting"]:
        server.waiting.add(id, Pending(arrays["waiting"][start : start + count], time, batch))
        start += count
    # Fewer may be allowed to wait now.
    server.waiting.dropped += facts["dropped"]
    server._ahead, server._latest = facts["ahead"], facts["latest"]
    server.encoder._origin = facts["origin"]
    server.stopping.spent = facts["spent"]
    # With more to spend there may be something to ask again.
    server.stopped = facts["stopped"] if facts["limits"] == limits(server) else None
    if server.thoughts is not None:
        server.thoughts.counts = facts["thoughts"]
    for name, count in facts["counts"].items():
        setattr(server.tally, name, count)


def limits(server: Server) -> list[float | None]:
    """What would stop it."""
    return [server.stopping.until_gain, server.stopping.budget]


def layout(server: Server) -> dict[str, Any]:
    """Shape and dtype of every array of a server's state."""
    return {
        f"{STATE}{i}": [list(x.shape), np.dtype(x.dtype).name] for i, x in enumerate(server._packed)
    }


def placed(array: np.ndarray, like: Any) -> jax.Array:
    """An array where another is, in memory of its own: it is going to be given away."""
    if len(like.sharding.device_set) == 1:
        return jnp.array(array, copy=True)
    return jax.device_put(array.copy(), like.sharding)
