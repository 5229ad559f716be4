"""The body of `uncertain sweep`: a grid in, a store of finished cells out.

See also: decide/judge/engine/sweep.py for the sweep, show.py for reading a store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ...decide.judge.engine.batches import compute_in_batches
from ...decide.judge.engine.failures import Failure
from ...decide.judge.engine.local_pool import describe_cell
from ...decide.judge.engine.ray_engine import RayEngine
from ...decide.judge.engine.result_index import Finished, ResultIndex
from ...decide.judge.engine.sweep import Engine, PlannedCell, Shard, plan_sweep, run_sweep
from ...decide.judge.measures.experiment_toml import built_in_experiments
from ...posteriors.errors import UsageError
from ...posteriors.registry import MODELS
from ...posteriors.specs import parse_spec
from ...streams.storage.results import Store
from ...streams.worlds.registry import WORLDS
from ..commands.sweep import EngineName, SweepOptions
from ..environment import Environment, ExitStatus
from ..tables.exports import encode_ndjson
from ..tables.format_values import format_duration, format_refine
from .experiment_options import build_experiment

Tell = Callable[[str], None]


def sweep(options: SweepOptions, environment: Environment) -> ExitStatus:
    """Compute and store the cells that the store lacks, or list them with --dry-run.

    options: of the command.
    environment: streams, terminal and clock.
    Returns: exit status; INCOMPLETE if cells failed.
    Raises: UsageError for wrong options or input.
    """
    engine = _engine_of(options)
    experiment = build_experiment(options, *_source_of(options, environment))
    index = ResultIndex(Store(options.out), experiment)
    shard = Shard(*(options.shard or (1, 1)))
    if options.dry_run:
        planned = plan_sweep(index, shard)
        _show(planned, environment)
        environment.say(_estimate(planned))
        return ExitStatus.DONE
    began, failed = environment.clock(), 0
    with _progress(environment) as (report, tell):

        def ended(one: Finished | Failure, done: int, total: int) -> None:
            nonlocal failed
            failed += isinstance(one, Failure)
            spent = environment.clock() - began
            tell(f"{done}/{total} {_outcome_text(one)}{_remaining(spent, done / total)}")

        planned = run_sweep(index, shard, ended, report, engine)
    there = sum(one.finished for one in planned)
    lost = f"{failed} failed, which the next sweep tries again; " if failed else ""
    environment.say(
        f"{len(planned) - failed} cells in {options.out}, {there} of them were there already; "
        f"{lost}uncertain show {options.out}"
    )
    return ExitStatus.INCOMPLETE if failed else ExitStatus.DONE


def _engine_of(options: SweepOptions) -> Engine:
    """Return the executor of cells; raise UsageError if it is unavailable."""
    if options.engine == EngineName.RAY:
        return RayEngine(options.address, options.gpus_per_cell or 0.0)
    for name in ("address", "gpus_per_cell"):
        if getattr(options, name) is not None:
            flag = "--" + name.replace("_", "-")
            raise UsageError(f"{flag} is for Ray: add --engine ray, or leave it out")
    return compute_in_batches


def _source_of(options: SweepOptions, environment: Environment) -> tuple[str | None, str | None]:
    """Return the world, or else the configuration, of that name."""
    world = parse_spec(options.source).target in {**MODELS, **WORLDS}
    if options.source.endswith(".toml") or (not world and options.source in built_in_experiments()):
        return None, options.source
    if options.source in built_in_experiments():
        environment.say(
            f"{options.source} is the world; {options.source}.toml is the experiment of that name"
        )
    return options.source, None


def _outcome_text(one: Finished | Failure) -> str:
    """Describe a cell that has ended in a few words."""
    if isinstance(one, Failure):
        return f"{one.cell.world} {describe_cell(one.cell)} failed: {one.error}"
    gain, total = one.record.gain, one.record.total
    found = [f"gain {gain.lower.mean:.1f} nats"] if gain else []
    found += [f"p99 {format_duration(total.p99)}"] if total else []
    return f"{one.cell.world} {describe_cell(one.cell)}: {', '.join(found) or 'finished'}"


def _remaining(spent: float, share: float) -> str:
    """Format the time left, extrapolated from the share so far."""
    if not 0 < share < 1:
        return ""
    return f", about {_rough(spent * (1 - share) / share)} left"


def _rough(seconds: float) -> str:
    """Format a duration as 40 s, 3 min or 5 h."""
    for unit, scale in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * scale:
            return f"{seconds / scale:.0f} {unit}"
    return f"{seconds:.0f} s"


def _estimate(planned: list[PlannedCell]) -> str:
    """Return the number of cells, and an estimate of the time for the missing ones."""
    missing = [one for one in planned if not one.finished]
    counted = f"{len(planned)} cells, {len(planned) - len(missing)} finished"
    if not missing:
        return counted
    sure = all(one.measured for one in missing)
    how = "as finished cells took" if sure else "a guess: no cell is finished yet"
    total = _rough(sum(one.seconds for one in missing))
    return f"{counted}, {len(missing)} to compute in about {total} ({how})"


def _show(planned: list[PlannedCell], environment: Environment) -> None:
    """Show the grid: a table on a terminal, NDJSON elsewhere."""
    rows: list[dict[str, Any]] = [
        {"key": one.key, "finished": one.finished, "seconds": one.seconds, **asdict(one.cell)}
        for one in planned
    ]
    console = environment.console()
    if console is None:
        environment.data.write(encode_ndjson(rows))
        return
    grid = Table(box=None, pad_edge=False, header_style="bold")
    names = {"finished": "", "particles": "S", "refine": "k"}
    shown = ("finished", "world", "posterior", "rule", "particles", "refine", "steps", "seeds",
             "seconds")  # fmt: skip
    for name in shown:
        left = name in ("finished", "world", "posterior", "rule")
        grid.add_column(names.get(name, name), justify="left" if left else "right")
    for row, one in zip(rows, planned, strict=True):
        text = {name: "–" if row[name] is None else str(row[name]) for name in shown}
        text["refine"] = format_refine(one.cell)
        text["finished"] = "✓" if row["finished"] else ""
        text["seconds"] = f"{'' if row['finished'] else '~'}{row['seconds']:.0f}"
        grid.add_row(*text.values())
    console.print(grid)


@contextmanager
def _progress(environment: Environment) -> Iterator[tuple[Callable[[str, float], None], Tell]]:
    """Return `report(text, share)` and `tell(line)`: a bar on a terminal, else lines."""
    if not environment.stderr_is_terminal:
        yield (lambda text, share: None), environment.say
        return

    began = environment.clock()
    columns = (
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(), TextColumn("{task.fields[left]}"),
    )  # fmt: skip
    # No refresh thread: it would run beside the calls that are timed.
    shown = Progress(*columns, console=environment.messages(), transient=True, auto_refresh=False)
    with shown as bar:
        task = bar.add_task("reading the store", total=1.0, left="")

        def report(text: str, share: float) -> None:
            left = _remaining(environment.clock() - began, share).removeprefix(", ")
            bar.update(task, description=text, completed=share, left=left, refresh=True)

        yield report, lambda line: bar.console.print(line, highlight=False, markup=False)
