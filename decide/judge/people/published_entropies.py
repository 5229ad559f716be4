"""Entropies of click trials under the published observer, compared with its authors' figures.

See also: clicks.py for the value of clicks, posteriors/models/published_delays.py for the observer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ....posteriors.models.published_delays import (
    all_graphs,
    entropy_bits,
    graph_log_posterior,
    most_causes,
)
from ....streams.people.clicks import Trial
from .clicks import DELAYS, clicks_to_arrays

SHORTEST = {"reliable": 0.8, "unreliable": 0.0}
"""Seconds; no delay is shorter for the published observer."""


class EntropyComparison(NamedTuple):
    """Entropies of a trial under the published observer, compared with its authors' figures."""

    trial: Trial
    apart: float | None
    """Largest difference over the trial's reference times, bits; None if more causes were possible
    at once than are computed."""


def compare_entropies(
    trials: Sequence[Trial], most: int = 5, longest: int = 20
) -> list[EntropyComparison]:
    """Compare entropies with published ones, by enumeration of all assignments of causes.

    trials: those without published entropies are left out.
    most: causes possible at once; with m of them, n components cost n^m for each graph.
    longest: activations of a trial; longer ones are left out.
    """
    made = []
    for trial in trials:
        if not trial.reference or len(trial.records) > longest:
            continue
        clicks, delay = clicks_to_arrays(trial, longest), DELAYS[trial.delays]
        memory = max(1, most_causes(clicks, delay.window))
        if memory > most:
            made.append(EntropyComparison(trial, None))
            continue
        logs = graph_log_posterior(trial.nodes, delay, SHORTEST[trial.delays], memory, clicks)
        uniform = np.log2(len(all_graphs(trial.nodes)))
        after = np.append(uniform, entropy_bits(np.asarray(logs)))
        times = clicks.time[clicks.valid]
        apart = [
            abs(float(after[np.searchsorted(times, time, "right")]) - entropy)
            for time, entropy in trial.reference
        ]
        made.append(EntropyComparison(trial, max(apart)))
    return made
