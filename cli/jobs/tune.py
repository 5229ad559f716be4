"""The body of `uncertain tune`: search the options of each posterior with equal time budgets.

See also: decide/judge/tuning/search.py for the search.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

import msgspec

from ...decide.judge.engine.program_memory import forget_programs
from ...decide.judge.measures.experiment import Experiment, Row, check_experiment
from ...decide.judge.records.tuning_record import TuningRecord
from ...decide.judge.tuning.build_tuning_record import build_tuning_record
from ...decide.judge.tuning.search import CHUNK, Search, Task, load_optuna
from ...decide.judge.tuning.space import pin_option
from ...decide.judge.tuning.trials import Goal, Trials, without_program_cache
from ...posteriors.errors import UsageError
from ...posteriors.registry import options_class, takes_option
from ...posteriors.units import MS_PER_S
from ...streams.formats.files import STANDARD, open_output
from ..commands.tune import GoalName, SearchName, TuneOptions
from ..environment import Environment, ExitStatus
from ..tables.exports import encode_ndjson
from ..tables.progress_bar import show_progress
from ..tables.tune_rows import (
    list_tuning_remarks,
    render_tuned_experiment,
    tuning_table,
)
from .experiment_options import default_posteriors

TAU = 10
"""Default number of observations predicted jointly."""


def tune(options: TuneOptions, environment: Environment) -> ExitStatus:
    """Search the options of every posterior and show the best.

    options: of the command.
    environment: streams, terminal and clock.
    Returns: exit status; GATE_FAILED if no trial meets the bounds.
    Raises: UsageError for wrong options or input.
    """
    load_optuna()
    _check(options)
    trials = Trials(_experiment_of(options), Goal(options.goal) if options.goal else None)
    specs = [one.posterior for one in trials.experiment.cells]
    for spec in specs:
        trials.check(spec)
    check_writable(options.output)
    task = Task(
        trials.scores, options.seeds, options.budget, trials.measure.maximise,
        options.search == SearchName.HALVING, options.max_p99,
        trials.latency if options.max_p99 else None, options.seed, forget_programs,
        environment.clock,
    )  # fmt: skip
    searches = [Search(spec, task) for spec in specs]
    to_stdout = options.output == STANDARD
    console = None if to_stdout else environment.console()
    rows: list[TuningRecord] = []

    def found(search: Search, interrupted: bool = False) -> None:
        rows.append(build_tuning_record(search, trials, asdict(options), interrupted))
        if not to_stdout:
            _write(options.output, render_tuned_experiment(rows, trials, options), environment)
        if console is None and not to_stdout:
            environment.data.write(encode_ndjson(rows[-1:]))
            environment.data.flush()

    try:
        with show_progress(environment, beats=False) as report:
            report("compiling the judge", 0.0)
            trials.warm(specs[0])
            with without_program_cache():
                _spend(searches, found, report)
    finally:
        # Rows found until an error or an interrupt are shown.
        if rows:
            if to_stdout:
                _write(options.output, render_tuned_experiment(rows, trials, options), environment)
            if console is not None:
                console.print(tuning_table(rows))
            for text in list_tuning_remarks(rows, trials, options):
                environment.messages().print(text, style="dim", highlight=False)
    return _gate(rows, environment)


def _spend(
    searches: list[Search],
    found: Callable[..., None],
    report: Callable[[str, float], None],
) -> None:
    """Try the defaults of all posteriors first, so that a small budget shows soon; then search."""
    for search in searches:
        report(f"{search.posterior}, its defaults", 0.0)
        search.try_defaults()
    for done, search in enumerate(searches):

        def tick(search: Search = search, done: int = done) -> None:
            best = f", best {search.best.mean:.2f}" if search.best else ""
            share = min(search.spent / search.task.budget, 1.0)
            text = f"{search.posterior}, {len(search.trials)} trials{best}"
            report(text, (done + share) / len(searches))

        tick()
        try:
            search.try_random(tick)
        except KeyboardInterrupt:
            found(search, interrupted=True)
            raise
        found(search)
    report("done", 1.0)


def _check(options: TuneOptions) -> None:
    """Refuse options that contradict each other."""
    if options.search == SearchName.HALVING and options.seeds <= CHUNK:
        raise UsageError(
            f"--search halving starts with {CHUNK} runs a trial and doubles them: give more than "
            f"--seeds {options.seeds}"
        )
    if options.samples == 0 and options.spce is None and options.goal in (None, GoalName.GAIN):
        raise UsageError("--samples 0 leaves no bound on the gain: also set spce")
    if options.joint is not None and options.goal != GoalName.JOINT:
        raise UsageError(f"--joint {options.joint} changes nothing without --for joint: add it")


def _experiment_of(options: TuneOptions) -> Experiment:
    """Return the experiment of the trials, a cell for each posterior, checked as for a bench."""
    rows = []
    names = options.posterior or default_posteriors(options.world, options.model)
    for name in dict.fromkeys(names):
        spec = name
        # Values of the command line go into the spec, which is then complete.
        if options.particles is not None and takes_option(name, "particles"):
            spec = pin_option(spec, "particles", options.particles)
        if options.refine is not None and options_class(name).refine > 0:
            spec = pin_option(spec, "refine", options.refine)
        rows.append(Row(spec))
    given = {
        name: getattr(options, name)
        for name in (
            "model", "rule", "proposer", "candidates", "explore", "steps", "seeds", "seed",
            "samples", "spce",
        )
        if getattr(options, name) is not None
    }  # fmt: skip
    if options.goal == GoalName.JOINT:
        given["joint"] = options.joint or TAU
    experiment = Experiment(world=options.world, cells=rows)
    return check_experiment(msgspec.structs.replace(experiment, **given), "tune")


def check_writable(path: str | None) -> None:
    """Check before any work that an output can be written; leave its contents alone.

    path: of the file, None or - for standard output.
    Raises: UsageError if it cannot be written.
    """
    if path in (None, STANDARD):
        return
    try:
        with open(path, "ab"):
            pass
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be written ({error.strerror or error}); choose another path"
        ) from error


def _write(path: str | None, text: str | None, environment: Environment) -> None:
    """Write the configuration so far over an earlier one."""
    if path is None or text is None:
        return
    file = open_output(path, environment.data)
    try:
        file.write(text.encode())
        file.flush()
    finally:
        if path != STANDARD:
            file.close()


def _gate(rows: list[TuningRecord], environment: Environment) -> ExitStatus:
    """Return GATE_FAILED if a posterior has no valid trial."""
    status = ExitStatus.DONE
    for made in rows:
        if made.best is None:
            limit = made.max_p99
            reason = (
                f"keeps p99 within {limit * MS_PER_S:.3g} ms" if limit else "has a finite score"
            )
            environment.say(f"{made.posterior}: none of its {made.trials} trials {reason}")
            status = ExitStatus.GATE_FAILED
    return status
