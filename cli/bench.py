"""The body of `uncertain bench`: an experiment in, rows out.

Not here: the measuring (decide/judge/bench.py), which experiment (chosen.py), or how a table looks
(bench_table.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .chosen import BenchOptions, chosen
from .environment import Environment, ExitStatus
from .exports import Records, finish_exports, ndjson, open_exports, write_exports

if TYPE_CHECKING:
    from ..decide.judge.experiment import Experiment


def bench(options: BenchOptions, environment: Environment) -> ExitStatus:
    """Run the experiment and show it; GATE_FAILED if a bound asked for was not met."""
    from ..decide.judge.bench import bench as measure
    from ..decide.judge.written import toml
    from .auto import settled
    from .bench_table import frontier_plot, lines, table
    from .runtime import hurry

    def ready(open: Experiment) -> Experiment:
        hurry(open.deadline)
        return settled(open, options.frontier, environment)

    experiment = chosen(options, ready)
    if options.print_config:
        environment.data.write(toml(experiment).encode())
        return ExitStatus.DONE
    exports = open_exports(options, environment)
    console = environment.console()
    try:
        for note in notes(experiment):
            environment.say(note)
        with progress(environment) as report:
            records = measure(
                experiment, lambda rows: write_exports(exports, rows, environment), report
            )
        finish_exports(exports, records, environment)
    finally:
        for file, _ in exports:
            if file is not environment.data:
                file.close()
    if console is not None:
        console.print(table(records, console.width))
    elif (
        options.export_json != "-" and options.export_csv != "-" and options.export_markdown != "-"
    ):
        environment.data.write(ndjson(records))
    messages = environment.messages()
    if options.plot and (console or environment.stderr_is_terminal):
        picture = frontier_plot(records)
        if picture:
            (console or messages).print(picture, highlight=False)
    for text in lines(records):
        messages.print(text, style="dim", highlight=False)
    return gates(options, records, environment)


def notes(experiment: Experiment) -> list[str]:
    """What was left out while its worlds were made."""
    from ..streams.worlds.registry import build_world

    worlds = dict.fromkeys(cell.world for cell in experiment.resolved())
    return [note for world in worlds for note in build_world(world).notes]


def progress(environment: Environment):
    """A bar on a terminal, silence elsewhere: a context manager giving `report(text, share)`."""
    from contextlib import contextmanager

    @contextmanager
    def drawn():
        if not environment.stderr_is_terminal:
            yield lambda text, share: None
            return
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
        )  # fmt: skip
        # Drawn when there is news only: a thread that draws would run beside what is being timed.
        bar = Progress(*columns, console=environment.messages(), transient=True, auto_refresh=False)
        with bar as shown:
            task = shown.add_task("compiling", total=1.0)
            yield lambda text, share: shown.update(
                task, description=text, completed=share, refresh=True
            )

    return drawn()


def gates(options: BenchOptions, records: Records, environment: Environment) -> ExitStatus:
    """Whether every row keeps the bounds asked for; random rows are only there to compare with."""
    from .bench_table import moves

    status = ExitStatus.DONE
    for row in records:
        if row["rule"] == "random":
            continue
        name = f"{row['posterior']} S={row['particles']} k={moves(row)}"
        if options.max_p99 is not None:
            spent = row["total"]["p99"] if row["total"] else float("inf")
            if spent > options.max_p99:
                environment.say(
                    f"{name}: p99 {spent * 1e3:.3g} ms > {options.max_p99 * 1e3:.3g} ms"
                )
                status = ExitStatus.GATE_FAILED
        if options.min_gain is not None:
            gain = row["gain"]["lower"]["mean"] if row["gain"] else float("-inf")
            if gain < options.min_gain:
                environment.say(f"{name}: gain {gain:.2f} < {options.min_gain:g} nats")
                status = ExitStatus.GATE_FAILED
    return status
