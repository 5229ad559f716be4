"""The body of `uncertain bench`: an experiment in, rows out.

See also: decide/judge/engine/bench.py for the measuring, experiment_options.py for the experiment.
"""

from __future__ import annotations

from ...decide.judge.engine.bench import run_bench
from ...decide.judge.engine.local_pool import Runs, describe_cell
from ...decide.judge.measures.build_record import mean_se
from ...decide.judge.measures.experiment import Cell, Experiment
from ...decide.judge.measures.experiment_toml import encode_experiment
from ...decide.judge.records.record import Record, is_baseline
from ...posteriors.units import MS_PER_S
from ...streams.worlds.registry import build_world
from ..commands.bench import BenchOptions
from ..environment import Environment, ExitStatus
from ..live.auto_posterior import resolve_auto
from ..runtime import hurry
from ..tables.bench_table import bench_table, list_bench_remarks
from ..tables.exports import encode_ndjson, finish_exports, open_exports, write_exports
from ..tables.format_values import Records, format_duration, format_refine
from ..tables.frontier_plot import draw_frontier
from ..tables.progress_bar import show_progress
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
        with show_progress(environment) as report:

            def on_record(rows: list[Record]) -> None:
                write_exports(exports, rows, environment)
                report.print_line(_latency_line(rows[-1]))

            records = run_bench(
                experiment,
                on_record,
                report,
                lambda c, runs: report.print_line(_gain_line(c, runs)),
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


def _gain_line(cell: Cell, runs: Runs) -> str:
    """Return a line about a cell's quality, empty where no gain is measured."""
    if "lower" not in runs:
        return ""
    gain = mean_se(runs["lower"])
    return f"{describe_cell(cell)}: gain {gain.mean:.2f} ± {gain.se:.2f} nats"


def _latency_line(row: Record) -> str:
    """Return a line about a row's latency, empty where none was measured."""
    if row.total is None:
        return ""
    size = f" S={row.particles}" if row.particles else ""
    name = f"{row.posterior}{size} k={format_refine(row)} {row.rule}"
    times = f"p50 {format_duration(row.total.p50)}, p99 {format_duration(row.total.p99)}"
    return f"{name}: decide + learn {times}"


def _gates(options: BenchOptions, records: Records, environment: Environment) -> ExitStatus:
    """Check every row but random ones against the bounds asked for."""
    status = ExitStatus.DONE
    for row in records:
        if is_baseline(row):
            continue
        name = f"{row.posterior} S={row.particles} k={format_refine(row)}"
        if options.max_p99 is not None:
            spent = row.total.p99 if row.total else float("inf")
            if spent > options.max_p99:
                environment.say(
                    f"{name}: p99 {spent * MS_PER_S:.3g} ms > {options.max_p99 * MS_PER_S:.3g} ms"
                )
                status = ExitStatus.GATE_FAILED
        if options.min_gain is not None:
            gain = row.gain.lower.mean if row.gain else float("-inf")
            if gain < options.min_gain:
                environment.say(f"{name}: gain {gain:.2f} < {options.min_gain:g} nats")
                status = ExitStatus.GATE_FAILED
    return status
