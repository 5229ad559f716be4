"""Results of tuning as a table, in words, and as a configuration for `bench`.

See also: ../jobs/tune.py for the search.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence

import msgspec
from rich.table import Table

from ...decide.judge.measures.experiment import Experiment, Row
from ...decide.judge.measures.experiment_toml import encode_experiment
from ...decide.judge.records.tuning_record import TuningRecord
from ...decide.judge.tuning.trials import Trials
from ...posteriors.specs import parse_spec
from ..commands.tune import TuneOptions
from ..options import command_words
from .format_values import format_duration, format_mean

Rows = Sequence[TuningRecord]


def _options_in(row: TuningRecord) -> str:
    """Return the options of the best spec, with spaces at which a narrow terminal breaks lines."""
    if row.spec is None:
        return "–"
    if row.spec == row.default_spec:
        return "the defaults"
    return " ".join(f"{name}={value}" for name, value in parse_spec(row.spec).settings)


COLUMNS: list[tuple[str, Callable[[TuningRecord], str]]] = [
    ("posterior", lambda row: row.posterior),
    ("trials", lambda row: str(row.trials)),
    ("seconds", lambda row: f"{row.seconds:.1f}"),
    ("default", lambda row: format_mean(row.default)),
    ("best", lambda row: format_mean(row.best)),
    ("better by", lambda row: format_mean(row.improvement)),
    ("best options", _options_in),
]
"""Heading of each column, and text of a row under it."""


def tuning_table(rows: Rows) -> Table:
    """Return the records as a table for a terminal.

    rows: records of `uncertain tune`.
    """
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for heading, _ in COLUMNS:
        if heading == "posterior":
            grid.add_column(heading, overflow="fold")
        elif heading == "best options":
            grid.add_column(heading)
        else:
            grid.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        grid.add_row(*(text(row) for _, text in COLUMNS))
    return grid


def list_tuning_remarks(rows: Rows, trials: Trials, options: TuneOptions) -> Iterator[str]:
    """Yield the setting, warnings and the next command.

    rows: records of `uncertain tune`.
    trials: setting in which posteriors were scored.
    options: of the command.
    """
    measure, one = trials.measure, rows[0]
    best = "highest" if measure.maximise else "lowest"
    yield (
        f"{one.world}, {one.steps} steps, {one.seeds} tuning runs each; {measure.name} in "
        f"{measure.unit}, {best} is best, ± one standard error; "
        f"{format_duration(options.budget)} a posterior, compiling included."
    )
    for row in rows:
        if row.searched and row.trials == 1 and not row.interrupted:
            yield f"{row.posterior}: only its defaults fitted into the budget; give it more."
        if not row.searched:
            yield f"{row.posterior}: it has no options to tune."
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
    best = [Row(row.spec) for row in rows if row.spec]
    if not best:
        return None
    measure, one = trials.measure, rows[0]
    lines = [
        "How do posteriors compare when each was tuned for as long?",
        shlex.join(["uncertain", "tune", *command_words(TuneOptions, vars(options))]),
        f"Tuned for {measure.name} in {measure.unit}, for {options.budget:g} s each, on runs "
        f"{one.first} to {one.first + one.seeds - 1} of seed {one.seed};",
        "a bench scores runs 0 and up.",
        *(_line(row) for row in rows),
        ", ".join(f"{name} {version}" for name, version in one.versions.items()),
    ]
    scored = msgspec.structs.replace(trials.experiment, cells=best, seeds=Experiment().seeds)
    return "".join(f"# {line}\n" for line in lines) + encode_experiment(scored)


def _line(row: TuningRecord) -> str:
    """Describe a record in one line."""
    ended = ", interrupted" if row.interrupted else ""
    return (
        f"{row.posterior}: {format_mean(row.default)} by default, {format_mean(row.best)} "
        f"at best, {row.trials} trials in {row.seconds:.1f} s{ended}"
    )
