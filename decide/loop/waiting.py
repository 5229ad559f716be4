"""Decisions that wait for their observation, found again by id, however late.

Not here: deciding or learning (serve.py).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...streams.record import Record


class Pending(NamedTuple):
    """A decision waiting: its actions `[q, size]` as the model sees them, its time.

    batch: whether the observation is a list, one an action.
    """

    actions: np.ndarray
    time: float
    batch: bool


class Waiting:
    """At most `horizon` decisions by their ids; beyond it the oldest is dropped, and counted."""

    def __init__(self, horizon: int) -> None:
        self.horizon, self.dropped = horizon, 0
        self._by_id: dict[str | int, Pending] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def refuse_known(self, record: Record) -> None:
        """Raise UsageError where a new decision has the id of one that waits."""
        if record.id in self._by_id:
            raise record.where.error(
                "id",
                f"{record.id!r} is already waiting for its observation",
                "use a new id",
                "repeated id",
            )

    def add(self, id: str | int, pending: Pending) -> None:
        """Let a decision wait."""
        if len(self._by_id) >= self.horizon:
            del self._by_id[next(iter(self._by_id))]
            self.dropped += 1
        self._by_id[id] = pending

    def get(self, id: str | int) -> Pending | None:
        """The decision of that id, if it waits."""
        return self._by_id.get(id)

    def done(self, id: str | int) -> None:
        """It waits no longer, if it did."""
        self._by_id.pop(id, None)
