"""What tuning found, as records, as a table, and as a configuration for `bench`.

Not here: finding it (tune.py).
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
from ...decide.judge.measures.experiment_toml import toml
from ...decide.judge.records.machine import package_versions
from ...decide.judge.tuning.search import Outcome, Search
from ...decide.judge.tuning.trials import TUNING, Trials
from ...posteriors.specs import parse_spec
from ..commands.tune import TuneOptions
from ..options import command_words
from .bench_table import duration, plus_minus

Rows = list[dict[str, Any]]
SCHEMA = 1


def row(search: Search, trials: Trials, options: TuneOptions, interrupted: bool) -> dict[str, Any]:
    """One backend's search; scores over the tuning runs, seconds, and the best spec."""

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
        "versions": _versions(),
        "device": str(jax.devices()[0].device_kind),
        "host": platform.node(),
    }


def _versions() -> dict[str, str]:
    """What produced the numbers."""

    return package_versions("optuna")


def table(rows: Rows) -> Table:
    """The rows for a terminal."""
    grid = Table(box=None, pad_edge=False, header_style="bold")
    grid.add_column("posterior", overflow="fold")
    for name in ("trials", "seconds", "default", "best", "better by"):
        grid.add_column(name, justify="right", no_wrap=True)
    grid.add_column("best options")
    for row in rows:
        grid.add_row(
            row["posterior"], str(row["trials"]), f"{row['seconds']:.1f}",
            plus_minus(row["default"]), plus_minus(row["best"]), plus_minus(row["improvement"]),
            _options_in(row),
        )  # fmt: skip
    return grid


def _options_in(row: dict[str, Any]) -> str:
    """The best spec's options apart, so that a narrow terminal breaks lines between them."""

    if row["spec"] is None:
        return "–"
    if row["spec"] == row["default_spec"]:
        return "the defaults"
    return " ".join(f"{name}={value}" for name, value in parse_spec(row["spec"]).settings)


def remarks(rows: Rows, trials: Trials, options: TuneOptions) -> Iterator[str]:
    """What the numbers are, and what to do with them."""
    measure, one = trials.measure, rows[0]
    best = "highest" if measure.maximise else "lowest"
    yield (
        f"{one['world']}, {one['steps']} steps, {one['seeds']} tuning runs each; {measure.name} in "
        f"{measure.unit}, {best} is best, ± one standard error; {duration(options.budget)} a "
        "posterior, compiling included."
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


def configuration(rows: Rows, trials: Trials, options: TuneOptions) -> str | None:
    """An experiment for `bench --config`, the best options of each as a cell; None without any."""

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
    return "".join(f"# {line}\n" for line in lines) + toml(scored)


def _line(row: dict[str, Any]) -> str:
    """A row in a line of words."""
    ended = ", interrupted" if row["interrupted"] else ""
    return (
        f"{row['posterior']}: {plus_minus(row['default'])} by default, {plus_minus(row['best'])} "
        f"at best, {row['trials']} trials in {row['seconds']:.1f} s{ended}"
    )
