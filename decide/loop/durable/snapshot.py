"""Snapshot of a server as arrays and JSON, and its restoration.

Latencies are left out: no later reply depends on them. Spilled streams are in their own store.

See also: durable.py and streams/storage/checkpoint.py for storage.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ....streams.storage.spill import stream_name
from ..server.keyed_streams import KeyedStreams, PendingTotals, Resident, StreamCounts
from ..server.pending import PendingDecisions
from ..server.server import Server
from ..server.stream_state import StreamState, pending_actions, restore_stream, stream_facts

STATE, ALARM = "state", "alarm"
COUNTS = ("decided", "learnt", "unmatched", "withdrawn", "unhealthy", "late", "cheaper")


class Snapshot(NamedTuple):
    """State of a server.

    arrays: packed state `state0`, `state1`, ..., packed e-process `alarm0`, ..., and `waiting`
        `[actions, size]`, the actions of pending decisions. With keyed streams: only rows in use,
        and the actions of all resident streams, the least recently used first.
    facts: everything else, JSON.
    """

    arrays: dict[str, np.ndarray]
    facts: dict[str, Any]


def take_snapshot(server: Server) -> Snapshot:
    """Copy a server's state; its own arrays are consumed by the next learning step.

    server: the server.

    Returns: the snapshot.
    Raises: UsageError if a spilled stream cannot be written.
    """
    size = server.encoder.space.size
    if (keyed := server.keyed) is None:
        arrays = {f"{STATE}{i}": np.array(x) for i, x in enumerate(server._packed)}
        arrays["waiting"] = pending_actions(server.stream, size)
        streams = stream_facts(server.stream)
    else:
        # Spilled streams must be on disk before the checkpoint.
        keyed.store.settle()
        order = np.array([one.row for one in keyed.memory.values()], int)
        arrays = {f"{STATE}{i}": np.asarray(x)[order] for i, x in enumerate(server._packed[:-1])}
        actions = [pending_actions(one.stream, size) for one in keyed.memory.values()]
        arrays["waiting"] = np.concatenate([np.zeros((0, size)), *actions])
        streams = _keyed_facts(keyed)
    arrays |= {f"{ALARM}{i}": np.array(x) for i, x in enumerate(server._e_process)}
    facts = {
        **streams,
        "arms": server.encoder.arm_slots.assigned,
        "spent": server.stopping.spent,
        "limits": _limits(server),
        "stopped": server.stopped,
        "alarm": server.alarm,
        "counts": {name: getattr(server.counters, name) for name in COUNTS},
    }
    if server.background is not None:
        facts["thoughts"] = server.background.counts
    return Snapshot(arrays, facts)


def _keyed_facts(keyed: KeyedStreams) -> dict[str, Any]:
    """JSON of keyed streams, without their beliefs and actions."""
    return {
        "number": keyed.number,
        "held": keyed.held,
        "streams": [
            [key, one.number, stream_facts(one.stream)] for key, one in keyed.memory.items()
        ],
        "waits": asdict(keyed.pending),
        "known": asdict(keyed.counts),
    }


def restore_snapshot(server: Server, snapshot: Snapshot) -> None:
    """Restore a server that was just made, with the same arguments, from a snapshot.

    With fewer rows than before, the least recently used streams are spilled.

    server: the server.
    snapshot: the snapshot.
    """
    arrays, facts = snapshot
    if server.keyed is None:
        server._packed = tuple(
            _placed(arrays[f"{STATE}{i}"], like) for i, like in enumerate(server._packed)
        )
        restore_stream(server.stream, facts, arrays["waiting"])
    else:
        _restore_keyed(server, server.keyed, snapshot)
    server.encoder.arm_slots.restore(facts["arms"])
    server._e_process = tuple(
        _placed(arrays[f"{ALARM}{i}"], like) for i, like in enumerate(server._e_process)
    )
    server.alarm = facts["alarm"]
    server.stopping.spent = facts["spent"]
    # With another budget or threshold the run may continue.
    server.stopped = facts["stopped"] if facts["limits"] == _limits(server) else None
    if server.background is not None:
        server.background.counts = facts["thoughts"]
    for name, count in facts["counts"].items():
        setattr(server.counters, name, count)


def _restore_keyed(server: Server, keyed: KeyedStreams, snapshot: Snapshot) -> None:
    """Restore keyed streams."""
    arrays, facts = snapshot
    *packed, row = server._packed
    rows = [arrays[f"{STATE}{i}"] for i in range(len(packed))]
    keyed.number, keyed.pending = facts["number"], PendingTotals(**facts["waits"])
    keyed.counts = StreamCounts(**facts["known"])
    _check_spilled(keyed, facts)
    start, surplus = 0, max(len(facts["streams"]) - keyed.agent.rows, 0)
    for place, (key, number, said) in enumerate(facts["streams"]):
        stream = StreamState(PendingDecisions(keyed.horizon))
        start += restore_stream(stream, said, arrays["waiting"][start:])
        resident = Resident(stream, np.int32(place - surplus), number)
        if place < surplus:
            keyed.spill(key, resident, lambda place=place: tuple(x[place] for x in rows))
        else:
            keyed.memory[key] = resident
    used = len(keyed.memory)
    whole = [np.array(x) for x in packed]
    for array, kept in zip(whole, rows, strict=True):
        array[:used] = kept[surplus:]
    server._packed = (*(_placed(x, like) for x, like in zip(whole, packed, strict=True)), row)


def _check_spilled(keyed: KeyedStreams, facts: dict[str, Any]) -> None:
    """Check that the store has a version of each spilled stream, which it would begin anew else."""
    resident = {stream_name(key) for key, _, _ in facts["streams"]}
    keyed.held = keyed.store.newest_check(keyed.number, resident)
    if facts.get("held", keyed.held) != keyed.held:
        keyed.store.report_loss(
            f"{keyed.store.folder}: some streams are not as they were after line {keyed.number}, "
            "their files are missing or older",
            "those that are there; the others as they were before, or at their prior",
        )


def _limits(server: Server) -> list[float | None]:
    """The server's stopping rules."""
    return [server.stopping.until_gain, server.stopping.budget]


def state_layout(server: Server) -> dict[str, Any]:
    """Describe the shape and dtype of every array of a server's state.

    server: the server.

    Returns: name -> [shape, dtype]; of one row with keyed streams.
    """
    packed, rows = server._packed, 0
    if server.keyed is not None:
        packed, rows = packed[:-1], 1
    return {
        f"{STATE}{i}": [list(x.shape[rows:]), np.dtype(x.dtype).name] for i, x in enumerate(packed)
    }


def _placed(array: np.ndarray, like: Any) -> jax.Array:
    """A copy of the array, on the devices of `like`: the caller donates it."""
    if len(like.sharding.device_set) == 1:
        return jnp.array(array, copy=True)
    return jax.device_put(array.copy(), like.sharding)
