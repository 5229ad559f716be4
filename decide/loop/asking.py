"""What a client asks and answers, as arrays, and the choice back in the client's own words.

Not here: deciding (serve.py), or the checks of single fields (streams/encode.py).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import msgspec
import numpy as np

from ...posteriors.base import Arms, UsageError
from ...streams.encode import Encoder
from ...streams.record import Candidate, Record
from .step import Agent, Decision, Request, blank_request

TOO_LARGE = "too large"


class Rows(NamedTuple):
    """A decision on the host, one row an action: index and its propensity `[q]`, action
    `[q, size]`, scores `[q, A]`."""

    # As in Choice.
    index: np.ndarray  # pyright: ignore[reportIncompatibleMethodOverride]
    propensity: np.ndarray
    action: np.ndarray
    scores: np.ndarray

    def first(self, count: int) -> Rows:
        """The first `count` rows, in arrays of their own."""
        return Rows(*(x[:count].copy() for x in self))


def rows_of(decision: Decision, offered: int) -> Rows:
    """The rows of a decision, of a batch or not, out of `offered` candidates: there are no more."""
    index = np.atleast_1d(decision.index)
    action, scores, propensity = (
        np.atleast_2d(x) for x in (decision.action, decision.scores, decision.propensity)
    )
    own = propensity[np.arange(len(index)), index]
    return Rows(index, own, action, scores).first(offered)


class Asking:
    """Bound to an agent and an encoder, whose capacity bounds the candidates a client brings."""

    def __init__(self, agent: Agent, encoder: Encoder) -> None:
        self.encoder = encoder
        self.arms = isinstance(agent.model.actions, Arms)
        self.given = 0 if self.arms else encoder.capacity
        self._can_make = self.arms or agent.proposer is not None
        self._blank_made = jax.tree.map(np.asarray, blank_request(agent))
        self._blank_brought = jax.tree.map(np.asarray, blank_request(agent, self.given))

    def request(self, record: Record, now: float, ahead: int, batch: int = 1) -> Request:
        """The request as host arrays; raises UsageError where it does not fit the model.

        batch: actions wanted, of which at least as many must be offered.
        """
        if record.actions is None:
            if not self._can_make:
                raise record.where.error("actions", "missing", "list them, or name a --proposer")
            request = self._blank_made._replace(now=now, ahead=ahead)
            if self.arms:
                request = request._replace(context=np.asarray(self.encoder.context(record)))
                known = len(self.encoder.slots)
                if known < len(request.valid):
                    if not known:
                        raise record.where.error("actions", "no arm is known yet", "list them")
                    request = request._replace(valid=np.arange(len(request.valid)) < known)
                if record.cost is None:
                    return request
                cost = np.ones_like(request.cost)
                cost[:known] = self.encoder.costs(record)
                return request._replace(cost=cost)
            for name in ("x", "cost"):
                if getattr(record, name):
                    raise record.where.error(
                        name, "means nothing without actions", "list the actions or leave it out"
                    )
            return request
        if not record.actions:
            raise record.where.error(
                "actions", "no candidates", "offer at least one, or leave the field out"
            )
        offered = self.encoder.candidates(record)
        if offered.valid.sum() < batch:
            raise record.where.error(
                "actions", f"{offered.valid.sum()} candidates for a batch of {batch}", "offer more"
            )
        request = self._blank_brought._replace(
            now=now, valid=offered.valid, cost=offered.cost, ahead=ahead
        )
        if self.arms:
            return request._replace(context=offered.features[0, 1:])
        return request._replace(features=offered.features)

    def observed(self, record: Record, count: int, batch: bool) -> list[Any]:
        """What followed each of `count` actions; `y` lists one an action for a batch."""
        if not batch:
            return [self.encoder.observation(record)]
        if not isinstance(record.y, list) or len(record.y) != count:
            got = len(record.y) if isinstance(record.y, list) else "one alone"
            raise record.where.error(
                "y", f"expected a list of {count}, got {got}", "give one for each action"
            )
        apart = (msgspec.structs.replace(record, y=y) for y in record.y)
        return [self.encoder.observation(one) for one in apart]

    def said(self, record: Record, rows: Rows, batch: bool) -> dict[str, Any]:
        """The chosen actions, their propensities and scores in the client's own words."""
        chosen = zip(rows.index.tolist(), rows.action, strict=True)
        actions = [self.named(record, index, action) for index, action in chosen]
        propensities = rows.propensity.tolist()
        scores = [self.ordered(record, row) for row in rows.scores]
        if batch:
            return {"actions": actions, "propensities": propensities, "scores": scores}
        return {"action": actions[0], "propensity": propensities[0], "scores": scores[0]}

    def named(self, record: Record, index: int, action: np.ndarray) -> Any:
        """The chosen action in the client's own words."""
        if self.arms:
            if record.actions is None:
                return self.encoder.slots.label(index)
            index = self._arms(record).index(index)
        elif record.actions is None:
            return action.tolist()
        offer = record.actions[index]
        if isinstance(offer, Candidate):
            return offer.x if offer.id is None else offer.id
        return offer

    def _arms(self, record: Record) -> list[int]:
        return [self.encoder.offered_arm(record, offer) for offer in record.actions or ()]

    def ordered(self, record: Record, scores: np.ndarray) -> list[float]:
        """Scores in the order in which the client listed its candidates."""
        if record.actions is None:
            return scores[: len(self.encoder.slots)].tolist() if self.arms else scores.tolist()
        if self.arms:
            return scores[self._arms(record)].tolist()
        return scores[: len(record.actions)].tolist()


def too_large(record: Record) -> UsageError:
    """Which field of a record does not fit the model's floating-point numbers."""
    real = np.float32
    for name in ("t", "x", "action", "y", "weight", "cost"):
        value = getattr(record, name)
        if isinstance(value, float | list) and not np.isfinite(np.asarray(value, real)).all():
            return record.where.error(
                name, f"too large for {real.__name__}", "rescale it", TOO_LARGE
            )
    return record.where.error(
        "actions", f"too large for {real.__name__}", "rescale them", TOO_LARGE
    )
