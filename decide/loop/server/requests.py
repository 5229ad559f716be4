"""A client's requests and observations as arrays, and the choice back in the client's own labels.

See also: streams/formats/encoding.py for the checks of single fields.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import msgspec
import numpy as np

from ....posteriors.base import Arms
from ....posteriors.errors import UsageError
from ....streams.formats.encoding import Encoder
from ....streams.formats.record import Candidate, LineError, Record
from ..core.host_arrays import LARGEST, is_usable
from ..core.step import Agent, Decision, Request, blank_request

TOO_LARGE, SPOILS = "too large", "belief not finite"


class ChosenActions(NamedTuple):
    """A decision on the host, one row per action of a batch.

    index: `[q]`.
    propensity: `[q]` of the chosen action.
    action: `[q, size]`.
    scores: `[q, A]`.
    """

    # As in Choice.
    index: np.ndarray  # pyright: ignore[reportIncompatibleMethodOverride]
    propensity: np.ndarray
    action: np.ndarray
    scores: np.ndarray

    def first(self, count: int) -> ChosenActions:
        """Copy the first rows.

        count: number of rows.

        Returns: the rows, in arrays of their own.
        """
        return ChosenActions(*(x[:count].copy() for x in self))


def chosen_actions(decision: Decision, offered: int) -> ChosenActions:
    """List the actions of a decision, single or batched.

    decision: the decision on the host.
    offered: number of valid candidates, which bounds the number of actions.

    Returns: the actions.
    """
    index = np.atleast_1d(decision.index)
    action, scores, propensity = (
        np.atleast_2d(x) for x in (decision.action, decision.scores, decision.propensity)
    )
    own = propensity[np.arange(len(index)), index]
    return ChosenActions(index, own, action, scores).first(offered)


class Requests:
    """Encodes requests for an agent.

    agent: the agent.
    encoder: encodes records; its capacity bounds the candidates that a client lists.
    """

    def __init__(self, agent: Agent, encoder: Encoder) -> None:
        self.encoder = encoder
        self.arms = isinstance(agent.model.actions, Arms)
        self.given = 0 if self.arms else encoder.capacity
        self._can_make = self.arms or agent.proposer is not None
        self._blank_made = jax.tree.map(np.asarray, blank_request(agent))
        self._blank_brought = jax.tree.map(np.asarray, blank_request(agent, self.given))

    def build_request(self, record: Record, now: float, ahead: int, batch: int = 1) -> Request:
        """Encode a request as host arrays.

        record: the request.
        now: seconds.
        ahead: decisions since the last learnt event.
        batch: actions wanted; at least as many must be listed.

        Returns: the request.
        Raises: UsageError if it does not fit the model.
        """
        if record.actions is None:
            if not self._can_make:
                raise record.where.error("actions", "missing", "list them, or name a --proposer")
            request = self._blank_made._replace(now=now, ahead=ahead)
            if self.arms:
                request = request._replace(context=np.asarray(self.encoder.context(record)))
                known = len(self.encoder.arm_slots)
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

    def read_observations(self, record: Record, count: int, batch: bool) -> list[Any]:
        """Encode the observation of each action.

        record: the observation; `y` lists one per action for a batch.
        count: number of actions.
        batch: whether they were chosen as a batch.

        Returns: `count` observations.
        Raises: UsageError if they do not fit the model.
        """
        if not batch:
            return [self.encoder.observation(record)]
        if not isinstance(record.y, list) or len(record.y) != count:
            got = len(record.y) if isinstance(record.y, list) else "one alone"
            raise record.where.error(
                "y", f"expected a list of {count}, got {got}", "give one for each action"
            )
        apart = (msgspec.structs.replace(record, y=y) for y in record.y)
        return [self.encoder.observation(one) for one in apart]

    def reply_fields(self, record: Record, rows: ChosenActions, batch: bool) -> dict[str, Any]:
        """List the chosen actions, their propensities and scores in the client's labels.

        record: the request.
        rows: the chosen actions.
        batch: whether they were chosen as a batch.

        Returns: fields of the reply.
        """
        chosen = zip(rows.index.tolist(), rows.action, strict=True)
        actions = [self.action_label(record, index, action) for index, action in chosen]
        propensities = rows.propensity.tolist()
        scores = [self.listed_scores(record, row) for row in rows.scores]
        if batch:
            return {"actions": actions, "propensities": propensities, "scores": scores}
        return {"action": actions[0], "propensity": propensities[0], "scores": scores[0]}

    def action_label(self, record: Record, index: int, action: np.ndarray) -> Any:
        """Label the chosen action as the client did.

        record: the request.
        index: index of the action among the candidates.
        action: `[size]` its features.

        Returns: name, id or features.
        """
        if self.arms:
            if record.actions is None:
                return self.encoder.arm_slots.name_of(index)
            index = self._arms(record).index(index)
        elif record.actions is None:
            return action.tolist()
        offer = record.actions[index]
        if isinstance(offer, Candidate):
            return offer.x if offer.id is None else offer.id
        return offer

    def _arms(self, record: Record) -> list[int]:
        return [self.encoder.candidate_arm(record, offer) for offer in record.actions or ()]

    def listed_scores(self, record: Record, scores: np.ndarray) -> list[float]:
        """Order scores as the client listed its candidates.

        record: the request.
        scores: `[A]`.

        Returns: the scores.
        """
        if record.actions is None:
            return scores[: len(self.encoder.arm_slots)].tolist() if self.arms else scores.tolist()
        if self.arms:
            return scores[self._arms(record)].tolist()
        return scores[: len(record.actions)].tolist()


NUMBERS = ("x", "action", "y", "weight", "cost", "t")
"""Fields of a record that hold numbers; the time counts from the first, so it comes last."""
ORDINARY = 1e6
"""Largest number that is not suspected of having spoilt a belief."""


def spoilt_error(record: Record, leaves: str = "a belief that is not finite") -> LineError:
    """Build the error for a record whose finite numbers lead to some that are not.

    record: the record.
    leaves: what it would lead to.

    Returns: error that names the field with the largest number, or what else it may be.
    """
    sizes = {
        name: np.abs(np.asarray(value, float)).max(initial=0.0)
        for name in NUMBERS
        if isinstance(value := getattr(record, name), float | int | list)
    }
    name = max(sizes, key=lambda name: sizes[name], default="y")
    if sizes.get(name, 0.0) > ORDINARY:
        return record.where.error(
            name, f"{sizes[name]:.4g} would leave {leaves}", "rescale it", SPOILS
        )
    return record.where.error(
        "", f"its numbers are ordinary and would still leave {leaves}: the model's density may "
        "be no number under a part of the prior", "correct the prior or the density", SPOILS,
    )  # fmt: skip


def overflow_error(record: Record) -> UsageError:
    """Build the error for a record with a number that a model cannot compute with.

    record: the record.

    Returns: error that names the field.
    """
    problem = f"too large for float32 arithmetic, above {LARGEST:.0e}"
    for name in NUMBERS:
        value = getattr(record, name)
        if isinstance(value, float | list) and not is_usable(np.asarray(value, float)):
            return record.where.error(name, problem, "rescale it", TOO_LARGE)
    return record.where.error("actions", problem, "rescale them", TOO_LARGE)
