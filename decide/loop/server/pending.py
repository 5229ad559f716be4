"""Decisions that wait for their observation, found by id however late it comes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ....streams.formats.record import Record


class PendingDecision(NamedTuple):
    """A decision without observation.

    actions: `[q, size]`, as the model has them.
    time: seconds.
    batch: whether the observation is a list, one per action.
    """

    actions: np.ndarray
    time: float
    batch: bool


class PendingDecisions:
    """At most `horizon` pending decisions by id; beyond it the oldest is dropped and counted.

    horizon: capacity.
    """

    def __init__(self, horizon: int) -> None:
        self.horizon, self.dropped = horizon, 0
        self._by_id: dict[str | int, PendingDecision] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def refuse_repeated(self, record: Record) -> None:
        """Check that a new decision does not reuse the id of a pending one.

        record: the request.

        Raises: UsageError if its id is pending.
        """
        if record.id in self._by_id:
            raise record.where.error(
                "id",
                f"{record.id!r} is already waiting for its observation",
                "use a new id",
                "repeated id",
            )

    def add(self, id: str | int, pending: PendingDecision) -> None:
        """Add a decision.

        id: its id.
        pending: the decision.
        """
        if len(self._by_id) >= self.horizon:
            del self._by_id[next(iter(self._by_id))]
            self.dropped += 1
        self._by_id[id] = pending

    def get(self, id: str | int) -> PendingDecision | None:
        """Find a pending decision.

        id: its id.

        Returns: the decision; None if it is not pending.
        """
        return self._by_id.get(id)

    def discard(self, id: str | int) -> None:
        """Remove a decision, if it is pending.

        id: its id.
        """
        self._by_id.pop(id, None)
