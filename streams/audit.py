"""What is in a log, read to its end whatever is wrong on the way.

A line is wrong where its reader refuses it, or where a replay would: an unknown arm, a context of
another length than the log's. What is only odd (an id that comes twice, a time that goes back) is
counted. Not here: reading (formats.py), or what a line needs to fit a model (encode.py).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

from ..posteriors.base import UsageError
from ..posteriors.outcomes import Scalar
from .encode import Encoder
from .log import Log
from .record import DECISION, EVENT, OBSERVATION, LineError, Record

REMEMBERED = 1 << 22
"""Ids looked for a second time, about 300 MB of them; beyond, `duplicates` counts too few."""
LARGEST = 3.4028234e38
"""The largest number of single precision."""


class Audit:
    """Counts over one log. tell: hears the first `limit` wrong lines."""

    def __init__(self, limit: int, tell: Callable[[str], None] = lambda text: None) -> None:
        self.limit, self._tell = limit, tell
        self.reasons: Counter[str] = Counter()
        self.first: list[str] = []
        self.kinds: Counter[str] = Counter()
        self.joined = self.unmatched = self.duplicates = self.backwards = 0
        self.timeless = self.chanceless = 0
        self.least_chance = math.inf
        self.y = [math.inf, -math.inf]
        self.repeated: str | None = None
        self._waiting: set[str | int] = set()
        self._seen: set[int] = set()
        self._latest = -math.inf

    def wrong(self, error: UsageError) -> None:
        """Count a wrong line, or what ends the reading of a file."""
        self.reasons[error.reason if isinstance(error, LineError) else "unreadable"] += 1
        if len(self.first) < self.limit:
            self.first.append(str(error))
            self._tell(str(error))

    def read(self, log: Log, fit: Callable[[Record], None]) -> None:
        """Take in a log whose wrong lines are handed to `wrong`. fit: raises what else is."""
        try:
            for record in log.written:
                self.add(record)
                try:
                    fit(record)
                except LineError as error:
                    self.wrong(error)
        except UsageError as error:
            self.wrong(error)

    def add(self, record: Record) -> None:
        """Count one record."""
        kind = record.kind
        self.kinds[kind] += 1
        self._identify(record, kind)
        if record.t is None:
            self.timeless += 1
        else:
            self.backwards += record.t < self._latest
            self._latest = record.t
        if kind in (EVENT, DECISION):
            if record.propensity is None:
                self.chanceless += 1
            else:
                self.least_chance = min(self.least_chance, record.propensity)
        if record.y is not None:
            for y in record.y if isinstance(record.y, list) else (record.y,):
                self.y = [min(self.y[0], y), max(self.y[1], y)]

    def _identify(self, record: Record, kind: str) -> None:
        role = kind if kind != EVENT else DECISION
        key = hash((role, record.id))
        if key in self._seen:
            self.duplicates += 1
            self.repeated = self.repeated or f"{record.where.file}:{record.where.line}"
        elif len(self._seen) < REMEMBERED:
            self._seen.add(key)
        if kind == DECISION:
            if record.id in self._waiting:
                what = f"{record.id!r} is already waiting for its observation"
                self.wrong(record.where.error("id", what, "use a new id"))
            self._waiting.add(record.id)
        elif kind == OBSERVATION:
            if record.id in self._waiting:
                self._waiting.remove(record.id)
                self.joined += 1
            else:
                self.unmatched += 1

    def report(self) -> dict[str, Any]:
        """What was found, as plain fields; null where there was nothing to look at."""
        decided = self.kinds[EVENT] + self.kinds[DECISION]
        return {
            "events": self.kinds[EVENT] + self.joined,
            "kinds": dict(self.kinds),
            "duplicates": self.duplicates,
            "first_duplicate": self.repeated,
            "unanswered": len(self._waiting),
            "unmatched": self.unmatched,
            "backwards": self.backwards,
            "without_t": self.timeless,
            "propensity": {
                "least": self.least_chance if decided > self.chanceless else None,
                "missing": self.chanceless,
            },
            "y": {"least": self.y[0], "most": self.y[1]} if self.y[0] <= self.y[1] else None,
            "wrong": self.reasons.total(),
            "reasons": dict(self.reasons.most_common()),
            "messages": self.first,
        }


def log_encoder(log: Log) -> Encoder:
    """What every record of a log has to fit, whatever the model."""
    return Encoder(log.actions, Scalar(True), log.names, log.offered)


def fits(encoder: Encoder, outcomes: bool) -> Callable[[Record], None]:
    """A function that raises LineError for a record that an encoder refuses.

    outcomes: whether the observation is looked at too, which needs a model.
    """

    def fit(record: Record) -> None:
        kind = record.kind
        numbers: list[float] = []
        if kind in (EVENT, DECISION):
            numbers += encoder.action(record)
        if record.actions is not None:
            # How many there is room for is for a replay to say.
            encoder.capacity = max(encoder.capacity, len(record.actions))
            offered = encoder.candidates(record)
            numbers += offered.features[offered.valid].ravel().tolist()
            if kind in (EVENT, DECISION):
                encoder.chosen(record)
        if outcomes and kind in (EVENT, OBSERVATION):
            y = encoder.observation(record)
            numbers += y if isinstance(y, list) else [y]
            encoder.time(record)
        if any(abs(number) > LARGEST for number in numbers):
            raise record.where.error(
                "", "a number too large for single precision", "rescale it", "too large"
            )

    return fit
