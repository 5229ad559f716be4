"""Encoding of records as the arrays of a model's `actions` space.

See also: record.py for records, ../../decide/loop/core/replay.py for chunks of events.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...posteriors.base import Arms, Vector
from ...posteriors.parts.outcomes import Finite, Kind, Other
from ...posteriors.specs import nearest
from .arms import ArmSlots
from .record import Candidate, CandidateLike, Record, candidate_features, candidate_id

SHOWN_OUTCOMES = 6
"""A longer list of allowed outcomes is cut in a message."""


class CandidateArrays(NamedTuple):
    """Candidates of one event, padded to a fixed capacity A.

    features: `[A, action size]`.
    valid: `[A]` bool.
    cost: `[A]`, 1 where none is given.
    ids: name or index of each candidate in the log, None beyond the valid ones.
    """

    features: np.ndarray
    valid: np.ndarray
    cost: np.ndarray
    ids: list[str | int | None]


class Encoder:
    """Encoder bound to an `actions` space; methods raise LineError with file, line and field.

    space: arms or vectors.
    kind: outcomes of the model.
    names: names of the first arms, as in `ArmSlots`.
    capacity: most candidates of one event.
    times: whether every event needs its time, for a model with dynamics or a half-life.
    open: whether new names take free arm slots.
    """

    def __init__(
        self,
        space: Arms | Vector,
        kind: Kind,
        names: tuple[str, ...] = (),
        capacity: int = 0,
        times: bool = False,
        open: bool = False,
    ) -> None:
        self.space, self.kind, self.times = space, kind, times
        count = space.count if isinstance(space, Arms) else 0
        self.arm_slots = ArmSlots(count, names, open)
        self.capacity = max(capacity, count)
        self._origin: float | None = None

    def time(self, record: Record) -> float:
        """Return the seconds since the first time of the stream; 0 if the log has no times.

        record: the event.
        """
        if record.t is None:
            if self.times:
                raise record.where.error(
                    "t",
                    "missing",
                    "moving unknowns, and a half-life, need the time of every event",
                    "missing field",
                )
            return 0.0
        if self._origin is None:
            # Subtracted in double precision: a float32 epoch time is two minutes coarse.
            self._origin = record.t
        return record.t - self._origin

    def arm(self, record: Record, value: object, field: str = "action") -> int:
        """Return the index of an arm.

        record: the event, for the message.
        value: name or index as written.
        field: field that holds it, for the message.
        """
        found = self.arm_slots.assign(value)
        if found is None:
            known = [str(name) for name in self.arm_slots.names]
            if self.arm_slots.open and self.arm_slots.full:
                raise record.where.error(
                    field, f"no place for an arm called {value!r}: all {len(known)} are taken",
                    "have the model make more, with arms=",
                )  # fmt: skip
            raise record.where.error(
                field, f"no arm called {value!r} among {len(known)}", nearest(str(value), known)[2:]
            )
        return found

    def candidate_arm(self, record: Record, candidate: CandidateLike) -> int:
        """Return the index of the arm that a listed candidate stands for.

        record: the event.
        candidate: as written.
        """
        return self.arm(record, candidate_id(candidate), "actions")

    def context(self, record: Record) -> list[float]:
        """Return the context numbers `[context]` of an event over arms.

        record: the event.
        """
        assert isinstance(self.space, Arms)
        x = record.x or []
        self._length(record, x, self.space.context, "x", "features")
        return x

    def action(self, record: Record) -> list[float]:
        """Return the logged action `[action size]` in the layout of the space.

        record: the event.
        """
        action = record.action
        if isinstance(self.space, Arms):
            if isinstance(action, list):
                raise record.where.error(
                    "action", "is a vector, the model has arms", "use a model with arms=0"
                )
            return [float(self.arm(record, action)), *self.context(record)]
        if isinstance(action, list):
            return self._vector(record, action, "action")
        return self._vector(record, self._own(record, self.chosen_index(record)), "action")

    def chosen_index(self, record: Record) -> int:
        """Return the index of the logged action among the candidates; its arm if none are listed.

        record: the event.
        """
        action, offers = record.action, record.actions
        if offers is None:
            if isinstance(self.space, Arms):
                return self.arm(record, action)
            raise record.where.error(
                "actions", "missing", "list the candidates that the action was chosen from"
            )
        if isinstance(self.space, Arms):
            arm = self.arm(record, action)
            if any(self.candidate_arm(record, o) == arm for o in offers):
                return arm
        elif isinstance(action, list):
            for i in range(len(offers)):
                if self._own(record, i) == action:
                    return i
        else:
            ids = [candidate_id(o) for o in offers]
            if action in ids:
                return ids.index(action)
            if isinstance(action, int) and 0 <= action < len(offers) and not any(ids):
                return action
        known = [str(candidate_id(o)) for o in offers if candidate_id(o) is not None]
        remedy = nearest(str(action), known)[2:] if known else "log the candidates it came from"
        raise record.where.error("action", f"{action!r} is no candidate", remedy)

    def candidates(self, record: Record) -> CandidateArrays:
        """Encode the candidates of an event; all known arms if none are listed.

        Over arms a candidate stands at the index of its arm, whatever the order in the log.

        record: the event or request.
        """
        features = np.zeros((self.capacity, self.space.size))
        valid = np.zeros(self.capacity, bool)
        cost = np.ones(self.capacity)
        ids: list[str | int | None] = [None] * self.capacity
        offers = record.actions
        if isinstance(self.space, Arms):
            features[:, 0] = np.arange(self.capacity)
            features[:, 1:] = self.context(record)
            offers = list(self.arm_slots.names) if offers is None else offers
            for offer, price in zip(offers, self.costs(record), strict=True):
                if isinstance(offer, list) or (isinstance(offer, Candidate) and offer.x):
                    raise record.where.error(
                        "actions", "have features of their own, the model has arms",
                        "use a model with arms=0",
                    )  # fmt: skip
                arm = self.candidate_arm(record, offer)
                valid[arm], ids[arm] = True, candidate_id(offer)
                cost[arm] = price
            return CandidateArrays(features, valid, cost, ids)
        offers = offers or []
        if len(offers) > self.capacity:
            raise record.where.error(
                "actions",
                f"{len(offers)} candidates, room for {self.capacity}",
                "raise --candidates",
            )
        for i, (offer, price) in enumerate(zip(offers, self.costs(record), strict=True)):
            features[i] = self._vector(record, self._own(record, i), f"actions[{i}]")
            valid[i], ids[i] = True, i if candidate_id(offer) is None else candidate_id(offer)
            cost[i] = price
        return CandidateArrays(features, valid, cost, ids)

    def costs(self, record: Record) -> list[float]:
        """Return the cost of each candidate, or of each arm if none are listed; 1 by default.

        record: the event or request.
        """
        offers = record.actions
        if offers is None:
            offers = list(self.arm_slots.names) if isinstance(self.space, Arms) else []
        own = [offer.cost if isinstance(offer, Candidate) else None for offer in offers]
        if record.cost is None:
            return [1.0 if price is None else price for price in own]
        if any(price is not None for price in own):
            raise record.where.error("cost", "given twice", "leave it out here or in actions")
        if len(record.cost) != len(own):
            raise record.where.error(
                "cost", f"expected {len(own)} numbers, got {len(record.cost)}",
                "give one for each action",
            )  # fmt: skip
        return record.cost

    def observation(self, record: Record) -> float | list[float]:
        """Return `y` after checking that the model can observe it.

        record: the event.
        """
        y = record.y
        if isinstance(self.kind, Other) and self.kind.shape:
            if not isinstance(y, list):
                raise record.where.error("y", f"{y!r} is not a vector", "see the model's outcome")
            self._length(record, y, self.kind.shape[0], "y", "")
            return y
        if isinstance(y, list) or y is None:
            raise record.where.error("y", "is a vector, the model observes a number", "log one")
        if isinstance(self.kind, Finite) and y not in self.kind.values:
            shown = ", ".join(f"{v:g}" for v in self.kind.values[:SHOWN_OUTCOMES])
            more = ", ..." if len(self.kind.values) > SHOWN_OUTCOMES else ""
            raise record.where.error(
                "y", f"{y:g} is no outcome of the model", f"it knows {shown}{more}"
            )
        return y

    def _own(self, record: Record, i: int) -> list[float]:
        own = candidate_features((record.actions or [])[i])
        if own is None:
            raise record.where.error(
                f"actions[{i}]", "has no features, the model needs a vector", 'give it an "x"'
            )
        return own

    def _vector(self, record: Record, own: list[float], field: str) -> list[float]:
        # Shared context comes first; it moves the prediction even where it cannot move a choice.
        vector = [*record.x, *own] if record.x else own
        self._length(record, vector, self.space.size, field, "features")
        return vector

    def _length(self, record: Record, got: list, expected: int, field: str, setting: str) -> None:
        if len(got) != expected:
            remedy = f"or set {setting}={len(got)} on the model" if setting else "check the model"
            raise record.where.error(
                field, f"expected {expected} numbers, got {len(got)}", f"correct it, {remedy}"
            )
