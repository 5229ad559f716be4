"""Results of tuning as records, as a table, and as a configuration for `bench`.

See also: ../jobs/tune.py for the search.
"""

from __future__ import annotations

import platform
import shlex
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import jax
import msgspec
from rich.table import Table

from ...decide.judge.measures.build_record import mean_se
from ...decide.judge.measures.experiment import Experiment, Row
from ...decide.judge.measures.experiment_toml import encode_experiment
from ...decide.judge.records.machine import package_versions
from ...decide.judge.tuning.search import Outcome, Search
from ...decide.judge.tuning.trials import TUNING, Trials
from ...posteriors.specs import parse_spec
from ..commands.tune import TuneOptions
from ..options import command_words
from .format_values import format_duration, format_mean

Rows = list[dict[str, Any]]
SCHEMA = 1


def tuning_record(
    search: Search, trials: Trials, options: TuneOptions, interrupted: bool
) -> dict[str, Any]:
    """Return the record of one posterior's search.

    search: trials of the posterior.
    trials: setting in which they were scored.
    options: of the command.
    interrupted: whether the search ended before its budget.
    """
    default, best = search.default, search.best
    cell = trials.cell(best.spec if best else default.spec)
    sign = 1 if trials.measure.maximise else -1
    whole = len(default.scores) == options.seeds
    return {
        "schema": SCHEMA,
        "world": cell.world,
        "model": cell.model,
        "posterior": search.posterior,
        "rule": cell.rule,
        "goal": str(trials.goal),
        "default_spec": default.spec,
        "spec": best.spec if best else None,
        "particles": cell.particles,
        "refine": cell.refine,
        "default": mean_se(default.scores) if whole else None,
        "best": mean_se(best.scores) if best else None,
        "improvement": mean_se(sign * (best.scores - default.scores)) if best and whole else None,
        "p99": {"default": default.p99, "best": best.p99 if best else None},
        "max_p99": options.max_p99,
        "trials": len(search.trials) - search.count(Outcome.LATE),
        "pruned": search.count(Outcome.PRUNED),
        "slow": search.count(Outcome.SLOW),
        "failed": search.count(Outcome.FAILED),
        "late": search.count(Outcome.LATE),
        "seconds": search.seconds,
        "budget": options.budget,
        "interrupted": interrupted,
        "search": options.search,
        "searched": list(search.space),
        "steps": cell.steps,
        "first": TUNING,
        "seeds": cell.seeds,
        "seed": cell.seed,
        "config": asdict(options),
        "versions": package_versions("optuna"),
        "device": str(jax.devices()[0].device_kind),
        "host": platform.node(),
    }


def tuning_table(rows: Rows) -> Table:
    """Return the records as a table for a terminal.

    rows: records of `uncertain tune`.
    """
    grid = Table(box=None, pad_edge=False, header_style="bold")
    grid.add_column("posterior", overflow="fold")
    for name in ("trials", "seconds", "default", "best", "better by"):
        grid.add_column(name, justify="right", no_wrap=True)
    grid.add_column("best options")
    for row in rows:
        grid.add_row(
            row["posterior"], str(row["trials"]), f"{row['seconds']:.1f}",
            format_mean(row["default"]), format_mean(row["best"]), format_mean(row["improvement"]),
            _options_in(row),
        )  # fmt: skip
    return grid


def _options_in(row: dict[str, Any]) -> str:
    """Return the options of the best spec, with spaces at which a narrow terminal breaks lines."""
    if row["spec"] is None:
        return "–"
    if row["spec"] == row["default_spec"]:
        return "the defaults"
    return " ".join(f"{name}={value}" for name, value in parse_spec(row["spec"]).settings)


def list_tuning_remarks(rows: Rows, trials: Trials, options: TuneOptions) -> Iterator[str]:
    """Yield the setting, warnings and the next command.

    rows: records of `uncertain tune`.
    trials: setting in which posteriors were scored.
    options: of the command.
    """
    measure, one = trials.measure, rows[0]
    best = "highest" if measure.maximise else "lowest"
    yield (
        f"{one['world']}, {one['steps']} steps, {one['seeds']} tuning runs each; {measure.name} in "
        f"{measure.unit}, {best} is best, ± one standard error; "
        f"{format_duration(options.budget)} a posterior, compiling included."
    )
    for row in rows:
        if row["searched"] and row["trials"] == 1 and not row["interrupted"]:
            yield f"{row['posterior']}: only its defaults fitted into the budget; give it more."
        if not row["searched"]:
            yield f"{row['posterior']}: it has no options to tune."
    keep = options.output or "tuned.toml"
    first = "" if options.output else f"add -o {keep} and "
    yield (
        "The best of many scores flatters itself: to score it on runs that tuning has not seen, "
        f"{first}run uncertain bench --config {keep}."
    )


def render_tuned_experiment(rows: Rows, trials: Trials, options: TuneOptions) -> str | None:
    """Return an experiment for `bench --config` whose cells have the best options.

    rows: records of `uncertain tune`.
    trials: setting in which posteriors were scored.
    options: of the command.
    Returns: TOML; None if no posterior has a score.
    """
    best = [Row(row["spec"]) for row in rows if row["spec"]]
    if not best:
        return None
    measure, one = trials.measure, rows[0]
    lines = [
        "How do posteriors compare when each was tuned for as long?",
        shlex.join(["uncertain", "tune", *command_words(TuneOptions, vars(options))]),
        f"Tuned for {measure.name} in {measure.unit}, for {options.budget:g} s each, on runs "
        f"{one['first']} to {one['first'] + one['seeds'] - 1} of seed {one['seed']};",
        "a bench scores runs 0 and up.",
        *(_line(row) for row in rows),
        ", ".join(f"{name} {version}" for name, version in one["versions"].items()),
    ]
    scored = msgspec.structs.replace(trials.experiment, cells=best, seeds=Experiment().seeds)
    return "".join(f"# {line}\n" for line in lines) + encode_experiment(scored)


def _line(row: dict[str, Any]) -> str:
    """Describe a record in one line."""
    ended = ", interrupted" if row["interrupted"] else ""
    return (
        f"{row['posterior']}: {format_mean(row['default'])} by default, {format_mean(row['best'])} "
        f"at best, {row['trials']} trials in {row['seconds']:.1f} s{ended}"
    )
