"""The body of `uncertain calibrate`: simulation-based calibration of each posterior.

See also: decide/judge/measures/rank_runs.py for the ranks.
"""

from __future__ import annotations

from ...decide.judge.engine.bench import resolve_cells
from ...decide.judge.engine.program_memory import forget_programs
from ...decide.judge.measures.experiment import Cell, Experiment, Row, check_experiment
from ...decide.judge.measures.rank_calibration import calibrate_cell
from ...decide.judge.measures.rank_runs import RankSettings, check_rank_settings, prepare_ranking
from ...decide.judge.records.calibration_record import CalibrationRecord
from ...decide.rules.registry import rule_entry
from ...streams.formats.files import open_output
from ..commands.calibrate import CalibrateOptions
from ..environment import Environment, ExitStatus
from ..report.calibrate_picture import render_calibration_picture
from ..report.report import file_ending, require_plots
from ..tables.calibrate_table import calibration_table, describe_calibration, format_p_value
from ..tables.exports import encode_ndjson
from ..tables.progress_bar import show_progress
from .experiment_options import default_posteriors
from .tune import check_writable

ENDINGS = (".png", ".svg")


def calibrate(options: CalibrateOptions, environment: Environment) -> ExitStatus:
    """Rank the truths of every posterior and show the verdicts.

    options: of the command.
    environment: streams, terminal and clock.
    Returns: exit status; GATE_FAILED under --gate if a posterior is not calibrated.
    Raises: UsageError for wrong options or input.
    """
    asked = RankSettings(options.draws, options.bins, options.thin, options.settle, options.level)
    ending = file_ending(options.output, ENDINGS) if options.output else None
    if ending:
        require_plots(ending, "leave --output out")
        check_writable(options.output)
    check_rank_settings(asked, options.runs)
    cells = _cells_of(options)
    for cell in cells:
        prepare_ranking(cell)
    console = environment.console()
    rows: list[CalibrationRecord] = []
    try:
        with show_progress(environment) as report:
            for done, cell in enumerate(cells):

                def tick(share: float, name: str = cell.posterior, done: int = done) -> None:
                    report(name, (done + share) / len(cells))

                tick(0.0)
                rows.append(calibrate_cell(cell, asked, tick))
                forget_programs()
                if console is None:
                    environment.data.write(encode_ndjson(rows[-1:]))
                    environment.data.flush()
    finally:
        # Rows found until an error or an interrupt are shown.
        if rows and console is not None:
            console.print(calibration_table(rows))
        if rows:
            environment.messages().print(describe_calibration(rows), style="dim", highlight=False)
    if options.output and ending:
        _draw(options.output, ending, rows)
    return _gate(rows, environment) if options.gate else ExitStatus.DONE


def _cells_of(options: CalibrateOptions) -> list[Cell]:
    """Return a cell of `runs` runs for each posterior."""

    # A rule that scores nothing is as random with one candidate as with many.
    few = 32 if rule_entry(options.rule).reads else 1
    names = options.posterior or default_posteriors(options.world, options.model)
    rows = [
        Row(name, particles=options.particles, refine=options.refine)
        for name in dict.fromkeys(names)
    ]
    experiment = Experiment(
        world=options.world, model=options.model, steps=options.steps, seeds=options.runs,
        seed=options.seed, rule=options.rule, proposer=options.proposer,
        candidates=options.candidates or few, cells=rows,
    )  # fmt: skip
    return resolve_cells(check_experiment(experiment, "calibrate"))


def _draw(path: str, ending: str, rows: list[CalibrationRecord]) -> None:
    """Draw the ranks of every row."""
    with open_output(path) as file:
        file.write(render_calibration_picture(rows, ending))


def _gate(rows: list[CalibrationRecord], environment: Environment) -> ExitStatus:
    """Return GATE_FAILED if a belief is not calibrated."""
    wrong = [row for row in rows if not row.calibrated]
    for row in wrong:
        least = min(row.quantities, key=lambda one: one.p)
        environment.say(
            f"{row.posterior}: not calibrated, p = {format_p_value(row.p)} < "
            f"{row.level:g} by the ranks of {least.name}" + (f": {row.shape}" if row.shape else "")
        )
    return ExitStatus.GATE_FAILED if wrong else ExitStatus.DONE
