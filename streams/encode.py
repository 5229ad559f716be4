"""From records to the arrays of a model's `actions` space, refusing what does not fit.

Not here: reading, or padding events into chunks (decide/loop/replay.py).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..posteriors.base import Arms, Vector
from ..posteriors.loading import nearest
from ..posteriors.outcomes import Finite, Kind, Other
from .record import Candidate, Offer, Record
from .slots import Slots

SHOWN_OUTCOMES = 6
"""A longer list of allowed outcomes is cut in a message."""


class Offered(NamedTuple):
    """Candidates of one event, padded to a fixed capacity A.

    features: `[A, action size]`. valid: `[A]` bool. cost: `[A]`, 1 where none is given.
    ids: what the log calls each, None beyond the valid ones.
    """

    features: np.ndarray
    valid: np.ndarray
    cost: np.ndarray
    ids: list[str | int | None]


class Encoder:
    """Bound to an `actions` space; every method raises UsageError with file, line and field.

    names, open: of arms, as in `Slots`. kind: the model's outcomes. capacity: most candidates of
    one event. times: whether the model moves or the posterior forgets, so that an event needs its
    time.
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
        self.slots = Slots(count, names, open)
        self.capacity = max(capacity, count)
        self._origin: float | None = None

    def time(self, record: Record) -> float:
        """Seconds since the stream's first time; 0 where the log has none."""
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
        """The index of a named or numbered arm."""
        found = self.slots.place(value)
        if found is None:
            known = [str(name) for name in self.slots.names]
            if self.slots.open and self.slots.full:
                raise record.where.error(
                    field, f"no place for an arm called {value!r}: all {len(known)} are taken",
                    "have the model make more, with arms=",
                )  # fmt: skip
            raise record.where.error(
                field, f"no arm called {value!r} among {len(known)}", nearest(str(value), known)[2:]
            )
        return found

    def offered_arm(self, record: Record, offer: Offer) -> int:
        """The index of the arm that a listed candidate stands for."""
        return self.arm(record, _id(offer), "actions")

    def context(self, record: Record) -> list[float]:
        """The context numbers `[context]` of an event over arms."""
        assert isinstance(self.space, Arms)
        x = record.x or []
        self._length(record, x, self.space.context, "x", "features")
        return x

    def action(self, record: Record) -> list[float]:
        """The logged action, `[action size]`, as the space lays it out."""
        action = record.action
        if isinstance(self.space, Arms):
            if isinstance(action, list):
                raise record.where.error(
                    "action", "is a vector, the model has arms", "use a model with arms=0"
                )
            return [float(self.arm(record, action)), *self.context(record)]
        if isinstance(action, list):
            return self._vector(record, action, "action")
        return self._vector(record, self._own(record, self.chosen(record)), "action")

    def chosen(self, record: Record) -> int:
        """The logged action's position among the event's candidates (the arm itself if none)."""
        action, offers = record.action, record.actions
        if offers is None:
            if isinstance(self.space, Arms):
                return self.arm(record, action)
            raise record.where.error(
                "actions", "missing", "list the candidates that the action was chosen from"
            )
        if isinstance(self.space, Arms):
            arm = self.arm(record, action)
            if any(self.offered_arm(record, o) == arm for o in offers):
                return arm
        elif isinstance(action, list):
            for i in range(len(offers)):
                if self._own(record, i) == action:
                    return i
        else:
            ids = [_id(o) for o in offers]
            if action in ids:
                return ids.index(action)
            if isinstance(action, int) and 0 <= action < len(offers) and not any(ids):
                return action
        known = [str(_id(o)) for o in offers if _id(o) is not None]
        remedy = nearest(str(action), known)[2:] if known else "log the candidates it came from"
        raise record.where.error("action", f"{action!r} is no candidate", remedy)

    def candidates(self, record: Record) -> Offered:
        """The event's candidates; all arms that there are where none are listed.

        Over arms a candidate stands at its arm's index, whatever the order in the log.
        """
        features = np.zeros((self.capacity, self.space.size))
        valid = np.zeros(self.capacity, bool)
        cost = np.ones(self.capacity)
        ids: list[str | int | None] = [None] * self.capacity
        offers = record.actions
        if isinstance(self.space, Arms):
            features[:, 0] = np.arange(self.capacity)
            features[:, 1:] = self.context(record)
            offers = list(self.slots.names) if offers is None else offers
            for offer, price in zip(offers, self.costs(record), strict=True):
                if isinstance(offer, list) or (isinstance(offer, Candidate) and offer.x):
                    raise record.where.error(
                        "actions", "have features of their own, the model has arms",
                        "use a model with arms=0",
                    )  # fmt: skip
                arm = self.offered_arm(record, offer)
                valid[arm], ids[arm] = True, _id(offer)
                cost[arm] = price
            return Offered(features, valid, cost, ids)
        offers = offers or []
        if len(offers) > self.capacity:
            raise record.where.error(
                "actions",
                f"{len(offers)} candidates, room for {self.capacity}",
                "raise --candidates",
            )
        for i, (offer, price) in enumerate(zip(offers, self.costs(record), strict=True)):
            features[i] = self._vector(record, self._own(record, i), f"actions[{i}]")
            valid[i], ids[i] = True, i if _id(offer) is None else _id(offer)
            cost[i] = price
        return Offered(features, valid, cost, ids)

    def costs(self, record: Record) -> list[float]:
        """What each listed candidate costs, or each arm where none are listed; 1 unless given."""
        offers = record.actions
        if offers is None:
            offers = list(self.slots.names) if isinstance(self.space, Arms) else []
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
        """`y`, checked against what the model can observe."""
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
        offer = (record.actions or [])[i]
        own = offer.x if isinstance(offer, Candidate) else offer
        if not isinstance(own, list):
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


def _id(offer: Offer | str | int) -> str | int | None:
    if isinstance(offer, Candidate):
        return offer.id
    return None if isinstance(offer, list) else offer
