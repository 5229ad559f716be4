"""A finished search as its record.

See also: ../records/tuning_record.py for the fields.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Any

from ..measures.build_record import mean_se
from ..records.machine import device_kind, package_versions
from ..records.tuning_record import TunedLatency, TuningRecord
from .search import Outcome, Search
from .trials import TUNING, Trials


def build_tuning_record(
    search: Search, trials: Trials, config: Mapping[str, Any], interrupted: bool
) -> TuningRecord:
    """Build the record of one posterior's search.

    search: trials of the posterior.
    trials: setting in which they were scored.
    config: options of the command.
    interrupted: whether the search ended before its budget.
    Returns: the record.
    """
    default, best = search.default, search.best
    cell = trials.cell(best.spec if best else default.spec)
    sign = 1 if trials.measure.maximise else -1
    whole = len(default.scores) == config["seeds"]
    return TuningRecord(
        world=cell.world,
        model=cell.model,
        posterior=search.posterior,
        rule=cell.rule,
        goal=str(trials.goal),
        default_spec=default.spec,
        spec=best.spec if best else None,
        particles=cell.particles,
        refine=cell.refine,
        default=mean_se(default.scores) if whole else None,
        best=mean_se(best.scores) if best else None,
        improvement=mean_se(sign * (best.scores - default.scores)) if best and whole else None,
        p99=TunedLatency(default=default.p99, best=best.p99 if best else None),
        max_p99=config["max_p99"],
        trials=len(search.trials) - search.count(Outcome.LATE),
        pruned=search.count(Outcome.PRUNED),
        slow=search.count(Outcome.SLOW),
        failed=search.count(Outcome.FAILED),
        late=search.count(Outcome.LATE),
        seconds=search.seconds,
        budget=config["budget"],
        interrupted=interrupted,
        search=config["search"],
        searched=list(search.space),
        steps=cell.steps,
        first=TUNING,
        seeds=cell.seeds,
        seed=cell.seed,
        config=dict(config),
        versions=package_versions("optuna"),
        device=device_kind(),
        host=platform.node(),
    )
