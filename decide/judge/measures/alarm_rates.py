"""How often and how soon runs raise an alarm about the model, and the coverage of its intervals.

See also: ../../loop/core/e_process.py for the alarm, prequential.py for that of a stream.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from ...loop.core.e_process import ALPHA, first_crossing, scan_runs
from ...loop.core.rollout import Trace
from ..records.record import Alarm


def measure_alarms(trace: Trace) -> dict[str, Any]:
    """Follow the bets against the model along runs.

    trace: of the runs.
    Returns: arrays `[N]`: log_e, nats at the end; alarmed, the event, from 1, at which the evidence
        first reached 1/alpha, 0 if never; within_50 and within_90, shares of observations in
        central intervals. Empty if nothing was predicted.
    """
    if trace.pit is None or np.isnan(trace.pit).all():
        return {}
    found = scan_runs(jnp.asarray(trace.pit))
    half, most = np.moveaxis(np.asarray(found.within[:, -1], float), -1, 0)
    return {
        "log_e": np.asarray(found.log_e[:, -1], float),
        "alarmed": first_crossing(found.highest, ALPHA),
        "within_50": half,
        "within_90": most,
    }


def summarise_alarms(runs: dict[str, Any]) -> Alarm | None:
    """Summarise alarms over runs, for a record.

    runs: measures by name, those of `measure_alarms` among them.
    Returns: shares and medians over runs; None if nothing was predicted.
    """
    if "alarmed" not in runs:
        return None
    at = np.asarray(runs["alarmed"])
    raised = at[at > 0]
    return Alarm(
        alpha=ALPHA,
        share=float(np.mean(at > 0)),
        delay=float(np.median(raised)) if len(raised) else None,
        log_e=float(np.median(runs["log_e"])),
        within_50=float(np.mean(runs["within_50"])),
        within_90=float(np.mean(runs["within_90"])),
    )
