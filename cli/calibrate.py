"""The body of `uncertain calibrate`: posteriors in, a verdict on each one's ranks out.

Not here: the ranking (decide/judge/calibration.py), or how verdicts look (calibrate_table.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .environment import Environment, ExitStatus

if TYPE_CHECKING:
    from ..decide.judge.experiment import Cell

ENDINGS = (".png", ".svg")


@dataclass(frozen=True)
class CalibrateOptions:
    """What the command line said; None or () where it said nothing."""

    world: str
    posterior: tuple[str, ...] = ()
    runs: int = 1024
    draws: int = 15
    bins: int = 16
    thin: int = 10
    settle: int = 0
    level: float = 1e-4
    steps: int = 10
    model: str | None = None
    particles: int | None = None
    refine: int | None = None
    rule: str = "random"
    proposer: str | None = None
    candidates: int | None = None
    seed: int = 0
    output: str | None = None
    gate: bool = False


def calibrate(options: CalibrateOptions, environment: Environment) -> ExitStatus:
    """Rank every posterior's truths and show the verdicts; with `gate`, whether all are right."""
    from ..decide.judge.calibration import Asked, calibrated, check, prepared
    from ..decide.judge.programs import forget
    from .bench import progress
    from .calibrate_table import note, table
    from .exports import ndjson
    from .report import ending_of, needs_plots
    from .tune import check_writable

    asked = Asked(options.draws, options.bins, options.thin, options.settle, options.level)
    ending = ending_of(options.output, ENDINGS) if options.output else None
    if ending:
        needs_plots(ending, "leave --output out")
        check_writable(options.output)
    check(asked, options.runs)
    cells = cells_of(options)
    for cell in cells:
        prepared(cell)
    console = environment.console()
    rows: list[dict[str, Any]] = []
    try:
        with progress(environment) as report:
            for done, cell in enumerate(cells):

                def tick(share: float, name: str = cell.posterior, done: int = done) -> None:
                    report(name, (done + share) / len(cells))

                tick(0.0)
                rows.append(calibrated(cell, asked, tick))
                forget()
                if console is None:
                    environment.data.write(ndjson(rows[-1:]))
                    environment.data.flush()
    finally:
        # Whatever ended it, what was found until then is shown.
        if rows and console is not None:
            console.print(table(rows))
        if rows:
            environment.messages().print(note(rows), style="dim", highlight=False)
    if options.output and ending:
        draw(options.output, ending, rows)
    return gate(rows, environment) if options.gate else ExitStatus.DONE


def cells_of(options: CalibrateOptions) -> list[Cell]:
    """A cell for each posterior, `runs` of it."""
    from ..decide.judge.bench import settled
    from ..decide.judge.experiment import Experiment, Row, check
    from ..posteriors.loading import parse
    from .chosen import BenchOptions, usual

    # Where nothing is scored, one candidate is as random as many.
    few = 1 if parse(options.rule).target == "random" else 32
    able = BenchOptions(world=options.world, model=options.model)
    rows = [
        Row(name, particles=options.particles, refine=options.refine)
        for name in dict.fromkeys(options.posterior or usual(able))
    ]
    experiment = Experiment(
        world=options.world, model=options.model, steps=options.steps, seeds=options.runs,
        seed=options.seed, rule=options.rule, proposer=options.proposer,
        candidates=options.candidates or few, cells=rows,
    )  # fmt: skip
    return settled(check(experiment, "calibrate"))


def draw(path: str, ending: str, rows: list[dict[str, Any]]) -> None:
    """The ranks of every row as a picture."""
    from ..streams.files import open_output
    from .calibrate_picture import picture

    with open_output(path) as file:
        file.write(picture(rows, ending))


def gate(rows: list[dict[str, Any]], environment: Environment) -> ExitStatus:
    """Whether every belief is calibrated."""
    from .calibrate_table import chance

    wrong = [row for row in rows if not row["calibrated"]]
    for row in wrong:
        least = min(row["quantities"], key=lambda one: one["p"])
        environment.say(
            f"{row['posterior']}: not calibrated, p = {chance(row['p'])} < {row['level']:g} by the "
            f"ranks of {least['name']}" + (f": {row['shape']}" if row["shape"] else "")
        )
    return ExitStatus.GATE_FAILED if wrong else ExitStatus.DONE
