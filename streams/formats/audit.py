"""Counts over a whole log: kinds of lines, rejected lines by reason, repeated ids, ranges.

A line is wrong if its reader or a replay would reject it, as an unknown arm or a context of another
length. Oddities (an id that occurs twice, a time that goes back) are only counted.
See also: registry.py for reading, encoding.py for fitting a line to a model.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

from ...posteriors.errors import UsageError
from ...posteriors.parts.outcomes import Scalar
from .encoding import Encoder
from .log import Log, repeated_id_error
from .record import DECISION, EVENT, OBSERVATION, WITHDRAWAL, LineError, Record, check_propensity

REMEMBERED = 1 << 22
"""Ids looked for a second time, about 300 MB of them; beyond, `duplicates` counts too few."""
LARGEST = 3.4028234e38
"""The largest number of single precision."""


class Audit:
    """Counts over one log.

    limit: number of error messages to keep.
    notify: receives each of these messages.
    """

    def __init__(self, limit: int, notify: Callable[[str], None] = lambda text: None) -> None:
        self.limit, self._notify = limit, notify
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

    def count_error(self, error: UsageError) -> None:
        """Count a rejected line, or the error that ends the reading of a file.

        error: the error; one that is no LineError counts as "unreadable".
        """
        self.reasons[error.reason if isinstance(error, LineError) else "unreadable"] += 1
        if len(self.first) < self.limit:
            self.first.append(str(error))
            self._notify(str(error))

    def read_log(self, log: Log, check: Callable[[Record], None]) -> None:
        """Read a log to its end.

        log: opened with `count_error` as its error handler.
        check: raises LineError for a record that does not fit.
        """
        try:
            for record in log.written:
                self.add_record(record)
                try:
                    check_propensity(record)
                    check(record)
                except LineError as error:
                    self.count_error(error)
        except UsageError as error:
            self.count_error(error)

    def add_record(self, record: Record) -> None:
        """Count one record.

        record: a decoded line.
        """
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
                self.count_error(repeated_id_error(record))
            self._waiting.add(record.id)
        elif kind == WITHDRAWAL:
            self._waiting.discard(record.id)
        elif kind == OBSERVATION:
            if record.id in self._waiting:
                self._waiting.remove(record.id)
                self.joined += 1
            else:
                self.unmatched += 1

    def report(self) -> dict[str, Any]:
        """Return all counts as plain fields; null where nothing was counted."""
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


def build_log_encoder(log: Log) -> Encoder:
    """Build the encoder that every record of a log must fit, whatever the model.

    log: opened log.
    """
    return Encoder(log.actions, Scalar(True), log.names, log.most_candidates)


def build_record_check(encoder: Encoder, outcomes: bool) -> Callable[[Record], None]:
    """Build a function that raises LineError for a record that an encoder rejects.

    encoder: bound to a space of actions.
    outcomes: whether the observation is checked too, which needs a model.
    """

    def check(record: Record) -> None:
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
                encoder.chosen_index(record)
        if outcomes and kind in (EVENT, OBSERVATION):
            y = encoder.observation(record)
            numbers += y if isinstance(y, list) else [y]
            encoder.time(record)
        if any(abs(number) > LARGEST for number in numbers):
            raise record.where.error(
                "", "a number too large for single precision", "rescale it", "too large"
            )

    return check
