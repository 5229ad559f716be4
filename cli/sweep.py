"""The body of `uncertain sweep`: a grid in, a store of finished cells out.

Not here: the sweep itself (decide/judge/sweep.py), or showing a store (show.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from rich.table import Table

from .bench_table import duration, moves
from .chosen import BenchOptions, chosen
from .environment import Environment, ExitStatus
from .exports import ndjson

if TYPE_CHECKING:
    from ..decide.judge.failing import Failed
    from ..decide.judge.ledger import Finished
    from ..decide.judge.sweep import Engine, Planned

Tell = Callable[[str], None]


@dataclass(frozen=True)
class SweepOptions:
    """source: a configuration or world. shard: (part, parts). grid: as bench takes it.

    engine: local or ray. address: of a Ray cluster. gpus_per_cell: a part of one, or whole ones.
    """

    source: str
    out: str
    shard: tuple[int, int]
    dry_run: bool
    grid: BenchOptions
    engine: str = "local"
    address: str | None = None
    gpus_per_cell: float | None = None


def sweep(options: SweepOptions, environment: Environment) -> ExitStatus:
    """Compute and keep the cells that the store lacks, or say which those are.

    INCOMPLETE where some failed; they are named and the rest goes on.
    """
    from ..decide.judge.failing import Failed
    from ..decide.judge.ledger import Ledger
    from ..decide.judge.sweep import Shard, survey
    from ..decide.judge.sweep import sweep as compute
    from ..streams.store import Store

    engine = engine_of(options)
    experiment = chosen(sourced(options, environment))
    ledger = Ledger(Store(options.out), experiment)
    shard = Shard(*options.shard)
    if options.dry_run:
        planned = survey(ledger, shard)
        show(planned, environment)
        environment.say(estimate(planned))
        return ExitStatus.DONE
    began, failed = environment.clock(), 0
    with progress(environment) as (report, tell):

        def ended(one: Finished | Failed, done: int, total: int) -> None:
            nonlocal failed
            failed += isinstance(one, Failed)
            spent = environment.clock() - began
            tell(f"{done}/{total} {told(one)}{remaining(spent, done / total)}")

        planned = compute(ledger, shard, ended, report, engine)
    there = sum(one.finished for one in planned)
    lost = f"{failed} failed, which the next sweep tries again; " if failed else ""
    environment.say(
        f"{len(planned) - failed} cells in {options.out}, {there} of them were there already; "
        f"{lost}uncertain show {options.out}"
    )
    return ExitStatus.INCOMPLETE if failed else ExitStatus.DONE


def engine_of(options: SweepOptions) -> Engine:
    """What computes cells; raises UsageError for what it is not there for, or cannot be."""
    from ..decide.judge.groups import in_groups
    from ..posteriors.base import UsageError

    if options.engine == "ray":
        from ..decide.judge.cluster import Cluster

        return Cluster(options.address, options.gpus_per_cell or 0.0)
    for name in ("address", "gpus_per_cell"):
        if getattr(options, name) is not None:
            flag = "--" + name.replace("_", "-")
            raise UsageError(f"{flag} is for Ray: add --engine ray, or leave it out")
    return in_groups


def sourced(options: SweepOptions, environment: Environment) -> BenchOptions:
    """The grid's options with the source as what it is; a world goes before a configuration."""
    from ..decide.judge.written import built_in
    from ..posteriors.loading import parse
    from ..posteriors.registry import MODELS
    from ..streams.worlds.registry import WORLDS

    world = parse(options.source).target in {**MODELS, **WORLDS}
    if options.source.endswith(".toml") or (not world and options.source in built_in()):
        return replace(options.grid, config=options.source)
    if options.source in built_in():
        environment.say(
            f"{options.source} is the world; {options.source}.toml is the experiment of that name"
        )
    return replace(options.grid, world=options.source)


def told(one: Finished | Failed) -> str:
    """A cell that has ended in a few words."""
    from ..decide.judge.bench import describe
    from ..decide.judge.failing import Failed

    if isinstance(one, Failed):
        return f"{one.cell.world} {describe(one.cell)} failed: {one.error}"
    gain, total = one.record["gain"], one.record["total"]
    found = [f"gain {gain['lower']['mean']:.1f} nats"] if gain else []
    found += [f"p99 {duration(total['p99'])}"] if total else []
    return f"{one.cell.world} {describe(one.cell)}: {', '.join(found) or 'finished'}"


def remaining(spent: float, share: float) -> str:
    """What is left if the rest goes as the share of it so far, `, about 3 min left`."""
    if not 0 < share < 1:
        return ""
    return f", about {rough(spent * (1 - share) / share)} left"


def rough(seconds: float) -> str:
    """40 s, 3 min, 5 h."""
    for unit, scale in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * scale:
            return f"{seconds / scale:.0f} {unit}"
    return f"{seconds:.0f} s"


def estimate(planned: list[Planned]) -> str:
    """How many cells there are, and how long those that are missing may take."""
    missing = [one for one in planned if not one.finished]
    counted = f"{len(planned)} cells, {len(planned) - len(missing)} finished"
    if not missing:
        return counted
    sure = all(one.measured for one in missing)
    how = "as finished cells took" if sure else "a guess: no cell is finished yet"
    total = rough(sum(one.seconds for one in missing))
    return f"{counted}, {len(missing)} to compute in about {total} ({how})"


def show(planned: list[Planned], environment: Environment) -> None:
    """The grid, a table on a terminal and NDJSON elsewhere."""
    rows: list[dict[str, Any]] = [
        {"key": one.key, "finished": one.finished, "seconds": one.seconds, **asdict(one.cell)}
        for one in planned
    ]
    console = environment.console()
    if console is None:
        environment.data.write(ndjson(rows))
        return
    grid = Table(box=None, pad_edge=False, header_style="bold")
    names = {"finished": "", "particles": "S", "refine": "k"}
    shown = ("finished", "world", "posterior", "rule", "particles", "refine", "steps", "seeds",
             "seconds")  # fmt: skip
    for name in shown:
        left = name in ("finished", "world", "posterior", "rule")
        grid.add_column(names.get(name, name), justify="left" if left else "right")
    for row in rows:
        text = {name: "–" if row[name] is None else str(row[name]) for name in shown}
        text["refine"] = moves(row)
        text["finished"] = "✓" if row["finished"] else ""
        text["seconds"] = f"{'' if row['finished'] else '~'}{row['seconds']:.0f}"
        grid.add_row(*text.values())
    console.print(grid)


@contextmanager
def progress(environment: Environment) -> Iterator[tuple[Callable[[str, float], None], Tell]]:
    """(report(text, share), tell(line)): a bar with time left on a terminal, lines everywhere."""
    if not environment.stderr_is_terminal:
        yield (lambda text, share: None), environment.say
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    began = environment.clock()
    columns = (
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(), TextColumn("{task.fields[left]}"),
    )  # fmt: skip
    # Drawn when there is news only: a thread that draws would run beside what is being timed.
    shown = Progress(*columns, console=environment.messages(), transient=True, auto_refresh=False)
    with shown as bar:
        task = bar.add_task("reading the store", total=1.0, left="")

        def report(text: str, share: float) -> None:
            left = remaining(environment.clock() - began, share).removeprefix(", ")
            bar.update(task, description=text, completed=share, left=left, refresh=True)

        yield report, lambda line: bar.console.print(line, highlight=False, markup=False)
