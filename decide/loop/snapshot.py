"""All that a server has learnt and still waits for, as arrays and JSON, and back into a server.

Latencies are left out: they say nothing of what comes next. So are streams that are spilled: their
store has them. Not here: keeping it anywhere (durable.py, streams/checkpoint.py).
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .many import Counts, Many, Resident, Waits
from .serve import Server
from .stream import Stream, actions_of, facts_of, filled
from .waiting import Waiting

STATE, ALARM = "state", "alarm"
COUNTS = ("decided", "learnt", "unmatched", "unhealthy", "late", "cheaper")


class Snapshot(NamedTuple):
    """arrays: the packed state as `state0`, `state1`, ..., the packed alarm as `alarm0`, ... and
    actions of waiting decisions, `[actions, size]`. Of many streams only the rows in use, and the
    actions of all those streams, that not used for longest first. facts: the rest, JSON."""

    arrays: dict[str, np.ndarray]
    facts: dict[str, Any]


def taken(server: Server) -> Snapshot:
    """What a server knows, copied: its own arrays are consumed by what it learns next.

    Raises UsageError where a spilled stream cannot be written.
    """
    size = server.encoder.space.size
    if (many := server.many) is None:
        arrays = {f"{STATE}{i}": np.array(x) for i, x in enumerate(server._packed)}
        arrays["waiting"] = actions_of(server.stream, size)
        streams = facts_of(server.stream)
    else:
        # What a checkpoint does not hold is somewhere else before there is one.
        many.store.settle()
        order = np.array([one.row for one in many.memory.values()], int)
        arrays = {f"{STATE}{i}": np.asarray(x)[order] for i, x in enumerate(server._packed[:-1])}
        actions = [actions_of(one.stream, size) for one in many.memory.values()]
        arrays["waiting"] = np.concatenate([np.zeros((0, size)), *actions])
        streams = many_facts(many)
    arrays |= {f"{ALARM}{i}": np.array(x) for i, x in enumerate(server._bets)}
    facts = {
        **streams,
        "arms": server.encoder.slots.facts,
        "spent": server.stopping.spent,
        "limits": limits(server),
        "stopped": server.stopped,
        "alarm": server.alarm,
        "counts": {name: getattr(server.tally, name) for name in COUNTS},
    }
    if server.thoughts is not None:
        facts["thoughts"] = server.thoughts.counts
    return Snapshot(arrays, facts)


def many_facts(many: Many) -> dict[str, Any]:
    """What is known of many streams but their beliefs and actions."""
    return {
        "number": many.number,
        "streams": [[key, one.number, facts_of(one.stream)] for key, one in many.memory.items()],
        "waits": asdict(many.waiting),
        "known": asdict(many.counts),
    }


def put_back(server: Server, snapshot: Snapshot) -> None:
    """Make a server that was just made what another of the same making was.

    With fewer rows than there were, streams not used for longest are spilled.
    """
    arrays, facts = snapshot
    if server.many is None:
        server._packed = tuple(
            placed(arrays[f"{STATE}{i}"], like) for i, like in enumerate(server._packed)
        )
        filled(server.stream, facts, arrays["waiting"])
    else:
        put_back_many(server, server.many, snapshot)
    server.encoder.slots.put_back(facts["arms"])
    server._bets = tuple(placed(arrays[f"{ALARM}{i}"], like) for i, like in enumerate(server._bets))
    server.alarm = facts["alarm"]
    server.stopping.spent = facts["spent"]
    # With more to spend there may be something to ask again.
    server.stopped = facts["stopped"] if facts["limits"] == limits(server) else None
    if server.thoughts is not None:
        server.thoughts.counts = facts["thoughts"]
    for name, count in facts["counts"].items():
        setattr(server.tally, name, count)


def put_back_many(server: Server, many: Many, snapshot: Snapshot) -> None:
    """The same of many streams."""
    arrays, facts = snapshot
    *packed, row = server._packed
    rows = [arrays[f"{STATE}{i}"] for i in range(len(packed))]
    many.number, many.waiting = facts["number"], Waits(**facts["waits"])
    many.counts = Counts(**facts["known"])
    start, surplus = 0, max(len(facts["streams"]) - many.agent.rows, 0)
    for place, (key, number, said) in enumerate(facts["streams"]):
        stream = Stream(Waiting(many.horizon))
        start += filled(stream, said, arrays["waiting"][start:])
        resident = Resident(stream, np.int32(place - surplus), number)
        if place < surplus:
            many.spill(key, resident, lambda place=place: tuple(x[place] for x in rows))
        else:
            many.memory[key] = resident
    used = len(many.memory)
    whole = [np.array(x) for x in packed]
    for array, kept in zip(whole, rows, strict=True):
        array[:used] = kept[surplus:]
    server._packed = (*(placed(x, like) for x, like in zip(whole, packed, strict=True)), row)


def limits(server: Server) -> list[float | None]:
    """What would stop it."""
    return [server.stopping.until_gain, server.stopping.budget]


def layout(server: Server) -> dict[str, Any]:
    """Shape and dtype of every array of a server's state; of one row where it has many."""
    packed, rows = server._packed, 0
    if server.many is not None:
        packed, rows = packed[:-1], 1
    return {
        f"{STATE}{i}": [list(x.shape[rows:]), np.dtype(x.dtype).name] for i, x in enumerate(packed)
    }


def placed(array: np.ndarray, like: Any) -> jax.Array:
    """An array where another is, in memory of its own: it is going to be given away."""
    if len(like.sharding.device_set) == 1:
        return jnp.array(array, copy=True)
    return jax.device_put(array.copy(), like.sharding)
