"""How often and how soon runs raised an alarm about the model, and how its intervals held.

Not here: the alarm (decide/loop/alarm.py), or a stream's (prequential.py).
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from ..loop.alarm import ALPHA, first_at, follow_all
from ..loop.rollout import Trace


def doubts(trace: Trace) -> dict[str, Any]:
    """Of runs that have happened, arrays `[N]`: log_e, nats at the end; alarmed, the event, from 1,
    at which the evidence first reached 1/alpha, 0 if never; within_50 and within_90, shares of
    observations in central intervals. Nothing where nothing was predicted.
    """
    if trace.place is None or np.isnan(trace.place).all():
        return {}
    found = follow_all(jnp.asarray(trace.place))
    half, most = np.moveaxis(np.asarray(found.within[:, -1], float), -1, 0)
    return {
        "log_e": np.asarray(found.log_e[:, -1], float),
        "alarmed": first_at(found.highest, ALPHA),
        "within_50": half,
        "within_90": most,
    }


def doubt(runs: dict[str, Any]) -> dict[str, Any] | None:
    """The same as means over runs, for a record; `delay` is the median over those that alarmed."""
    if "alarmed" not in runs:
        return None
    at = np.asarray(runs["alarmed"])
    raised = at[at > 0]
    return {
        "alpha": ALPHA,
        "share": float(np.mean(at > 0)),
        "delay": float(np.median(raised)) if len(raised) else None,
        "log_e": float(np.median(runs["log_e"])),
        "within_50": float(np.mean(runs["within_50"])),
        "within_90": float(np.mean(runs["within_90"])),
    }


__all__ = ["doubt", "doubts"]
