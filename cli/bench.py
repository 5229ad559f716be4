"""The body of `uncertain bench`: an experiment in, rows out.

Not here: the measuring (decide/judge/bench.py), or how a table looks (bench_table.py).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from gzip import GzipFile
from typing import TYPE_CHECKING, Any, BinaryIO

from .environment import Environment, ExitStatus

if TYPE_CHECKING:
    from ..decide.judge.experiment import Experiment, Grid

Records = list[dict[str, Any]]
Exports = list[tuple[BinaryIO, Callable[[Records], bytes]]]


@dataclass
class BenchOptions:
    """What the command line said; None, () or False where it said nothing."""

    world: str | None = None
    config: str | None = None
    model: str | None = None
    posterior: tuple[str, ...] = ()
    particles: tuple[int, ...] = ()
    refine: tuple[int, ...] = ()
    think: tuple[int, ...] = ()
    rule: tuple[str, ...] = ()
    proposer: str | None = None
    candidates: int | None = None
    steps: int | None = None
    seeds: int | None = None
    seed: int | None = None
    explore: float | None = None
    live: int | None = None
    samples: int | None = None
    spce: int | None = None
    joint: tuple[int, ...] = ()
    settle: int | None = None
    workers: int | None = None
    fidelity: bool = False
    deadline: float | None = None
    rate: float | None = None
    export_json: str | None = None
    export_csv: str | None = None
    export_markdown: str | None = None
    max_p99: float | None = None
    min_gain: float | None = None
    print_config: bool = False
    plot: bool = True


def bench(options: BenchOptions, environment: Environment) -> ExitStatus:
    """Run the experiment and show it; GATE_FAILED if a bound asked for was not met."""
    from ..decide.judge.bench import bench as measure
    from ..decide.judge.experiment import toml
    from .bench_table import frontier_plot, lines, table

    experiment = chosen(options)
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


def chosen(options: BenchOptions) -> Experiment:
    """The configuration with the command line's changes, checked."""
    import msgspec

    from ..decide.judge.experiment import Experiment, Grid, check, load
    from ..posteriors.base import UsageError

    source = options.config or ("default" if options.world is None else None)
    experiment = load(source) if source else Experiment()
    changes = {
        name: getattr(options, name)
        for name in (
            "world", "model", "proposer", "candidates", "steps", "seeds", "seed", "explore",
            "live", "samples", "spce", "settle", "workers", "deadline", "rate",
        )
        if getattr(options, name) is not None
    }  # fmt: skip
    if options.fidelity:
        changes["fidelity"] = True
    if options.joint:
        changes["joint"] = options.joint[0] if len(options.joint) == 1 else list(options.joint)
    lists = {
        name: list(getattr(options, name))
        for name in ("posterior", "rule", "particles", "refine", "think")
        if getattr(options, name)
    }
    if options.posterior or source is None:
        grid = msgspec.structs.replace(experiment.grid or Grid(), **lists)
        posterior = grid.posterior or usual(options)
        changes |= {"cells": [], "grids": []}
        changes["grid"] = msgspec.structs.replace(grid, posterior=posterior)
    elif lists:
        changes |= {"cells": [], "grid": None, "grids": widened(experiment, lists)}
    try:
        experiment = msgspec.structs.replace(experiment, **changes)
        experiment = overruled(experiment, changes)
    except TypeError as error:
        raise UsageError(str(error)) from error
    return check(experiment, options.config or "bench")


def widened(experiment: Experiment, lists: dict[str, Any]) -> list[Grid]:
    """All that an experiment runs as grids, with these lists in place of their own.

    Random actions stay as they are: they are there to compare with.
    """
    import msgspec

    from ..decide.judge.experiment import Grid

    parts = []
    for row in experiment.cells:
        given = {name: getattr(row, name) for name in row.__struct_fields__}
        runs = given.pop("seeds")
        single = {name: [value] for name, value in given.items() if value is not None}
        parts.append(Grid(**single, seeds=runs))
    parts += [*([experiment.grid] if experiment.grid else []), *experiment.grids]
    return [
        part if part.rule == ["random"] else msgspec.structs.replace(part, **lists)
        for part in parts
    ]


def notes(experiment: Experiment) -> list[str]:
    """What was left out while its worlds were made."""
    from ..streams.worlds.registry import build_world

    worlds = dict.fromkeys(cell.world for cell in experiment.resolved())
    return [note for world in worlds for note in build_world(world).notes]


def overruled(experiment: Experiment, changes: dict[str, Any]) -> Experiment:
    """The experiment with what its cells say for themselves dropped where an option says it."""
    import msgspec

    said = [name for name in ("world", "model", "steps", "seeds") if name in changes]

    def bare(part: Any) -> Any:
        defaults = type(part)(posterior=part.posterior)
        # A model beside a world of its own was believed of that world.
        other = ["model"] if "world" in said and part.world else []
        return msgspec.structs.replace(part, **{n: getattr(defaults, n) for n in [*said, *other]})

    parts = {name: [bare(p) for p in getattr(experiment, name)] for name in ("cells", "grids")}
    grid = None if experiment.grid is None else bare(experiment.grid)
    return msgspec.structs.replace(experiment, grid=grid, **parts)


def usual(options: BenchOptions) -> list[str]:
    """Posteriors to compare when none is named: all that can handle the world's model."""
    from ..posteriors.base import UsageError
    from ..posteriors.registry import POSTERIORS, build_model, build_posterior
    from ..streams.worlds.registry import believed

    model = build_model(believed(options.world or "location", options.model))
    found = []
    for name in POSTERIORS:
        try:
            build_posterior(name, model)
        except UsageError:
            continue
        found.append(name)
    return found


def open_exports(options: BenchOptions, environment: Environment) -> Exports:
    """The files asked for, opened before any work, with what writes them."""
    from ..streams.files import open_output
    from .bench_table import markdown

    wanted = (
        (options.export_json, ndjson),
        (options.export_csv, comma_separated),
        (options.export_markdown, lambda rows: markdown(rows).encode()),
    )
    return [(open_output(path, environment.data), make) for path, make in wanted if path]


def write_exports(exports: Exports, rows: Records, environment: Environment) -> None:
    """Rewrite every file, so that an interrupted bench keeps what it has.

    Standard output is never rewound, whatever it is connected to: there a row is added.
    """
    for file, make in exports:
        if file is environment.data:
            file.write(ndjson(rows[-1:]) if make is ndjson else b"")
        elif not isinstance(file, GzipFile):
            file.seek(0)
            file.truncate()
            file.write(make(rows))
        file.flush()


def finish_exports(exports: Exports, rows: Records, environment: Environment) -> None:
    """What could not be written row by row: standard output's tables, compressed files."""
    for file, make in exports:
        if isinstance(file, GzipFile) or (file is environment.data and make is not ndjson):
            file.write(make(rows))
            file.flush()


def ndjson(rows: Records) -> bytes:
    """One JSON object a line."""
    import msgspec

    return b"".join(msgspec.json.encode(row) + b"\n" for row in rows)


def flat(row: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested fields under dotted names, those of a list under its positions."""
    found: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, list):
            value = {str(place): part for place, part in enumerate(value)}
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def comma_separated(rows: Records) -> bytes:
    """CSV with the union of the rows' dotted columns."""
    flattened = [flat(row) for row in rows]
    columns = list(dict.fromkeys(name for row in flattened for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(flattened)
    return text.getvalue().encode()


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
