"""State of one stream outside its model, and its conversion to JSON and an array."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .pending import PendingDecision, PendingDecisions


@dataclass
class StreamState:
    """State of a stream.

    pending: its pending decisions.
    ahead: decisions since the last learnt event.
    latest: time of the latest learnt event, seconds.
    origin: the stream's first time as the client gave it; None before that.
    step: events learnt.
    """

    pending: PendingDecisions
    ahead: int = 0
    latest: float = 0.0
    origin: float | None = None
    step: int = 0


def stream_facts(stream: StreamState) -> dict[str, Any]:
    """Convert a stream's state to JSON, without the actions of pending decisions.

    stream: the stream.

    Returns: JSON object.
    """
    pending = stream.pending._by_id.items()
    return {
        "waiting": [[id, len(one.actions), one.time, one.batch] for id, one in pending],
        "dropped": stream.pending.dropped,
        "ahead": stream.ahead,
        "latest": stream.latest,
        "origin": stream.origin,
        "step": stream.step,
    }


def pending_actions(stream: StreamState, size: int) -> np.ndarray:
    """Stack the actions of pending decisions.

    stream: the stream.
    size: numbers in an action.

    Returns: `[actions, size]` float64, which holds either precision.
    """
    actions = [one.actions for one in stream.pending._by_id.values()]
    return np.concatenate([np.zeros((0, size)), *actions]).astype(float)


def restore_stream(stream: StreamState, facts: dict[str, Any], actions: np.ndarray) -> int:
    """Restore the state of a stream that was just made.

    stream: the stream.
    facts: as `stream_facts` returned them.
    actions: `[actions, size]`, beginning with those of this stream.

    Returns: how many of the actions were this stream's.
    """
    start = 0
    for id, count, time, batch in facts["waiting"]:
        stream.pending.add(id, PendingDecision(actions[start : start + count], time, batch))
        start += count
    # Fewer may be allowed to wait now.
    stream.pending.dropped += facts["dropped"]
    stream.ahead, stream.latest = facts["ahead"], facts["latest"]
    stream.origin, stream.step = facts["origin"], facts["step"]
    return start
