"""Replies to observations, and the fields of the last reply.

See also: requests.py for the reply to a request.
"""

from __future__ import annotations

from typing import Any

from ....streams.formats.record import Record


def observation_reply(
    record: Record,
    gain: float | None,
    nll: float | None,
    seconds: float | None,
    alarm: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Build the reply to an observation.

    record: the observation.
    gain: realised information gain, nats; None where nothing was learnt.
    nll: negative log predictive probability, nats; None where nothing was learnt.
    seconds: latency of learning; None where the id was not pending.
    alarm: evidence of the e-process.

    Returns: the reply.
    """
    learnt = {"realised_gain": gain, "nll": nll, "alarm": alarm}
    return {"id": record.id, **learnt, "latency": {"learn": seconds}}


def stop_fields(reason: str) -> dict[str, Any]:
    """Build the fields of the last reply, whose action must not be done.

    reason: why the run stops.

    Returns: the fields.
    """
    return {"stop": True, "reason": reason}
