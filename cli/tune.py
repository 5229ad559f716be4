"""The body of `uncertain tune`: posteriors in, the best of their own options out.

Not here: the search (decide/judge/tuning.py), or how its finds look (tune_rows.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .environment import Environment, ExitStatus

if TYPE_CHECKING:
    from ..decide.judge.experiment import Experiment
    from ..decide.judge.tuning import Search

TAU = 10
"""Observations predicted jointly unless told otherwise."""


@dataclass(frozen=True)
class TuneOptions:
    """What the command line said; None or () where it said nothing. budget, max_p99: seconds."""

    world: str
    posterior: tuple[str, ...] = ()
    budget: float = 60.0
    search: str = "random"
    goal: str | None = None
    model: str | None = None
    particles: int | None = None
    refine: int | None = None
    rule: str | None = None
    proposer: str | None = None
    candidates: int | None = None
    explore: float | None = None
    steps: int | None = None
    seeds: int = 16
    seed: int = 0
    samples: int | None = None
    spce: int | None = None
    joint: int | None = None
    max_p99: float | None = None
    output: str | None = None

    @property
    def halving(self) -> bool:
        return self.search == "halving"


def tune(options: TuneOptions, environment: Environment) -> ExitStatus:
    """Search every posterior and show what was found; GATE_FAILED where no trial will do."""
    from ..decide.judge.programs import forget
    from ..decide.judge.trials import Goal, Trials, unkept
    from ..decide.judge.tuning import Search, Task, library
    from ..streams.files import STANDARD
    from .bench import progress
    from .exports import ndjson
    from .tune_rows import configuration, remarks, row, table

    library()
    check(options)
    trials = Trials(experiment_of(options), Goal(options.goal) if options.goal else None)
    specs = [one.posterior for one in trials.experiment.cells]
    for spec in specs:
        trials.check(spec)
    check_writable(options.output)
    task = Task(
        trials.scores, options.seeds, options.budget, trials.measure.maximise, options.halving,
        options.max_p99, trials.latency if options.max_p99 else None, options.seed, forget,
        environment.clock,
    )  # fmt: skip
    searches = [Search(spec, task) for spec in specs]
    to_stdout = options.output == STANDARD
    console = None if to_stdout else environment.console()
    rows: list[dict[str, Any]] = []

    def found(search: Search, interrupted: bool = False) -> None:
        rows.append(row(search, trials, options, interrupted))
        if not to_stdout:
            write(options.output, configuration(rows, trials, options), environment)
        if console is None and not to_stdout:
            environment.data.write(ndjson(rows[-1:]))
            environment.data.flush()

    try:
        with progress(environment) as report:
            report("compiling the judge", 0.0)
            trials.warm(specs[0])
            with unkept():
                spend(searches, found, report)
    finally:
        # Whatever ended it, what was found until then is shown.
        if rows:
            if to_stdout:
                write(options.output, configuration(rows, trials, options), environment)
            if console is not None:
                console.print(table(rows))
            for text in remarks(rows, trials, options):
                environment.messages().print(text, style="dim", highlight=False)
    return gate(rows, environment)


def spend(
    searches: list[Search],
    found: Callable[..., None],
    report: Callable[[str, float], None],
) -> None:
    """The defaults of all, so that a budget too small for one is known soon; then each search."""
    for search in searches:
        report(f"{search.posterior}, its defaults", 0.0)
        search.first()
    for done, search in enumerate(searches):

        def tick(search: Search = search, done: int = done) -> None:
            best = f", best {search.best.mean:.2f}" if search.best else ""
            share = min(search.spent / search.task.budget, 1.0)
            text = f"{search.posterior}, {len(search.trials)} trials{best}"
            report(text, (done + share) / len(searches))

        tick()
        try:
            search.go(tick)
        except KeyboardInterrupt:
            found(search, interrupted=True)
            raise
        found(search)
    report("done", 1.0)


def check(options: TuneOptions) -> None:
    """Refuse options that contradict each other."""
    from ..decide.judge.tuning import CHUNK
    from ..posteriors.base import UsageError

    if options.halving and options.seeds <= CHUNK:
        raise UsageError(
            f"--search halving starts with {CHUNK} runs a trial and doubles them: give more than "
            f"--seeds {options.seeds}"
        )
    if options.samples == 0 and options.spce is None and options.goal in (None, "gain"):
        raise UsageError("--samples 0 leaves no bound on the gain: also set spce")
    if options.joint is not None and options.goal != "joint":
        raise UsageError(f"--joint {options.joint} changes nothing without --for joint: add it")


def experiment_of(options: TuneOptions) -> Experiment:
    """What the trials run in, a cell for each posterior, checked as a bench would check it."""
    import msgspec

    from ..decide.judge.experiment import Experiment, Row, check
    from ..decide.judge.space import pinned
    from ..posteriors.registry import options_of, takes
    from .chosen import BenchOptions, usual

    rows = []
    able = BenchOptions(world=options.world, model=options.model)
    for name in dict.fromkeys(options.posterior or usual(able)):
        spec = name
        # What the command line pins is written into the spec, which then says it all.
        if options.particles is not None and takes(name, "particles"):
            spec = pinned(spec, "particles", options.particles)
        if options.refine is not None and options_of(name).refine > 0:
            spec = pinned(spec, "refine", options.refine)
        rows.append(Row(spec))
    given = {
        name: getattr(options, name)
        for name in (
            "model", "rule", "proposer", "candidates", "explore", "steps", "seeds", "seed",
            "samples", "spce",
        )
        if getattr(options, name) is not None
    }  # fmt: skip
    if options.goal == "joint":
        given["joint"] = options.joint or TAU
    experiment = Experiment(world=options.world, cells=rows)
    return check(msgspec.structs.replace(experiment, **given), "tune")


def check_writable(path: str | None) -> None:
    """Refuse an output that cannot be written, before any work; what stands in it stays."""
    from ..posteriors.base import UsageError
    from ..streams.files import STANDARD

    if path in (None, STANDARD):
        return
    try:
        with open(path, "ab"):
            pass
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be written ({error.strerror or error}); choose another path"
        ) from error


def write(path: str | None, text: str | None, environment: Environment) -> None:
    """The configuration so far, which replaces an earlier one."""
    from ..streams.files import STANDARD, open_output

    if path is None or text is None:
        return
    file = open_output(path, environment.data)
    try:
        file.write(text.encode())
        file.flush()
    finally:
        if path != STANDARD:
            file.close()


def gate(rows: list[dict[str, Any]], environment: Environment) -> ExitStatus:
    """Whether every posterior has a trial that will do."""
    status = ExitStatus.DONE
    for row in rows:
        if row["best"] is None:
            limit = row["max_p99"]
            what = f"keeps p99 within {limit * 1e3:.3g} ms" if limit else "has a finite score"
            environment.say(f"{row['posterior']}: none of its {row['trials']} trials {what}")
            status = ExitStatus.GATE_FAILED
    return status
