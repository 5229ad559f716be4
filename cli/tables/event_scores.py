"""Scores of each event of a replay as plain fields, for estimates made elsewhere.

See also: decide/judge/measures/offpolicy.py for the estimates made here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...decide.judge.measures.prequential import Prequential
from ...decide.loop.core.replay import Scored


def event_scores(
    scored: Scored, judge: Prequential, log: str, posterior: str
) -> Iterator[dict[str, Any]]:
    """Yield the scores of a chunk, an event each.

    scored: scores of the chunk.
    judge: sums of the chunks before it; says whether a rule is judged, and how many events came.
    log: file of the events.
    posterior: spec of the posterior.
    """
    columns = {
        "weight": scored.weight,
        "nll": -scored.predictive.log_prob,
        "gain": scored.predictive.gain,
        "reward": scored.reward,
    }
    if judge.evaluate:
        columns |= {"propensity": scored.propensity, "probability": scored.evaluated}
        if judge.rewarded:
            columns |= {"prediction": scored.prediction, "expected": scored.expected}
    lists = [np.asarray(values, float).tolist() for values in columns.values()]
    healthy = np.asarray(scored.healthy, bool).tolist()
    for place, (well, *values) in enumerate(zip(healthy, *lists, strict=True)):
        if values[0] == 0:  # padding, or an event that counts nothing
            continue
        yield {
            "log": log,
            "posterior": posterior,
            "event": judge.seen + place + 1,
            "healthy": well,
            **dict(zip(columns, values, strict=True)),
        }
