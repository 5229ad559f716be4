"""What is known of one stream outside its model, and the same as JSON and an array.

Not here: the belief (a packed state), or which streams there are (many.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .waiting import Pending, Waiting


@dataclass
class Stream:
    """waiting: its decisions under way. ahead: decisions since an event was last learnt. latest:
    time of what was learnt last, seconds. origin: its first time as the client gave it, None before
    there was one. step: events learnt."""

    waiting: Waiting
    ahead: int = 0
    latest: float = 0.0
    origin: float | None = None
    step: int = 0


def facts_of(stream: Stream) -> dict[str, Any]:
    """All of it but actions, JSON."""
    pending = stream.waiting._by_id.items()
    return {
        "waiting": [[id, len(one.actions), one.time, one.batch] for id, one in pending],
        "dropped": stream.waiting.dropped,
        "ahead": stream.ahead,
        "latest": stream.latest,
        "origin": stream.origin,
        "step": stream.step,
    }


def actions_of(stream: Stream, size: int) -> np.ndarray:
    """Actions that wait, `[actions, size]`; doubles hold those of either precision."""
    actions = [one.actions for one in stream.waiting._by_id.values()]
    return np.concatenate([np.zeros((0, size)), *actions]).astype(float)


def filled(stream: Stream, facts: dict[str, Any], actions: np.ndarray) -> int:
    """Make a new stream what another was; how many of the actions were its."""
    start = 0
    for id, count, time, batch in facts["waiting"]:
        stream.waiting.add(id, Pending(actions[start : start + count], time, batch))
        start += count
    # Fewer may be allowed to wait now.
    stream.waiting.dropped += facts["dropped"]
    stream.ahead, stream.latest = facts["ahead"], facts["latest"]
    stream.origin, stream.step = facts["origin"], facts["step"]
    return start
