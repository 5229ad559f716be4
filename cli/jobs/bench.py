"""The body of `uncertain bench`: an experiment in, rows out.

See also: decide/judge/engine/bench.py for the measuring, experiment_options.py for the experiment.
"""

from __future__ import annotations

from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from ...decide.judge.engine.bench import run_bench
from ...decide.judge.measures.experiment import Experiment
from ...decide.judge.measures.experiment_toml import encode_experiment
from ...decide.judge.records.record import is_baseline
from ...posteriors.units import MS_PER_S
from ...streams.worlds.registry import build_world
from ..commands.bench import BenchOptions
from ..environment import Environment, ExitStatus
from ..live.auto_posterior import resolve_auto
from ..runtime import hurry
from ..tables.bench_table import bench_table, list_bench_remarks
from ..tables.exports import encode_ndjson, finish_exports, open_exports, write_exports
from ..tables.format_values import Records, format_refine
from ..tables.frontier_plot import draw_frontier
from .experiment_options import build_experiment


def bench(options: BenchOptions, environment: Environment) -> ExitStatus:
    """Run the experiment and show its rows.

    options: of the command.
    environment: streams, terminal and clock.
    Returns: exit status; GATE_FAILED if a bound was not met.
    Raises: UsageError for wrong options or input.
    """

    def ready(open: Experiment) -> Experiment:
        hurry(open.deadline)
        return resolve_auto(open, options.frontier, environment)

    experiment = build_experiment(options, options.world, options.config, ready)
    if options.print_config:
        environment.data.write(encode_experiment(experiment).encode())
        return ExitStatus.DONE
    exports = open_exports(options, environment)
    console = environment.console()
    try:
        for note in _notes(experiment):
            environment.say(note)
        with progress(environment) as report:
            records = run_bench(
                experiment, lambda rows: write_exports(exports, rows, environment), report
            )
        finish_exports(exports, records, environment)
    finally:
        for file, _ in exports:
            if file is not environment.data:
                file.close()
    if console is not None:
        console.print(bench_table(records, console.width))
    elif (
        options.export_json != "-" and options.export_csv != "-" and options.export_markdown != "-"
    ):
        environment.data.write(encode_ndjson(records))
    messages = environment.messages()
    if options.plot and (console or environment.stderr_is_terminal):
        picture = draw_frontier(records)
        if picture:
            (console or messages).print(picture, highlight=False)
    for text in list_bench_remarks(records):
        messages.print(text, style="dim", highlight=False)
    return _gates(options, records, environment)


def _notes(experiment: Experiment) -> list[str]:
    """Return the notes that worlds left when they were built."""
    worlds = dict.fromkeys(cell.world for cell in experiment.resolved())
    return [note for world in worlds for note in build_world(world).notes]


def progress(environment: Environment):
    """Return a context manager that gives `report(text, share)`: a bar on a terminal.

    environment: standard error and whether it is a terminal.
    """

    @contextmanager
    def drawn():
        if not environment.stderr_is_terminal:
            yield lambda text, share: None
            return

        columns = (
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
        )  # fmt: skip
        # No refresh thread: it would run beside the calls that are timed.
        bar = Progress(*columns, console=environment.messages(), transient=True, auto_refresh=False)
        with bar as shown:
            task = shown.add_task("compiling", total=1.0)
            yield lambda text, share: shown.update(
                task, description=text, completed=share, refresh=True
            )

    return drawn()


def _gates(options: BenchOptions, records: Records, environment: Environment) -> ExitStatus:
    """Check every row but random ones against the bounds asked for."""
    status = ExitStatus.DONE
    for row in records:
        if is_baseline(row):
            continue
        name = f"{row['posterior']} S={row['particles']} k={format_refine(row)}"
        if options.max_p99 is not None:
            spent = row["total"]["p99"] if row["total"] else float("inf")
            if spent > options.max_p99:
                environment.say(
                    f"{name}: p99 {spent * MS_PER_S:.3g} ms > {options.max_p99 * MS_PER_S:.3g} ms"
                )
                status = ExitStatus.GATE_FAILED
        if options.min_gain is not None:
            gain = row["gain"]["lower"]["mean"] if row["gain"] else float("-inf")
            if gain < options.min_gain:
                environment.say(f"{name}: gain {gain:.2f} < {options.min_gain:g} nats")
                status = ExitStatus.GATE_FAILED
    return status
