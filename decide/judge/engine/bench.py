"""Run an experiment: quality of every cell in worker processes, then latency of each, alone.

Latency is taken in this process when all quality is done, so that nothing competes with the code
that is being timed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NoReturn, TypeVar

from ....posteriors.errors import UsageError
from ....streams.worlds.registry import agent_model_spec, build_world
from ...loop.core.compiled import build_live
from ...loop.core.cores import count_cores
from ..measures.build_record import build_record
from ..measures.deadline_runs import run_under_deadline
from ..measures.executions.judged_steps import take_steps
from ..measures.executions.live_steps import judge_distances, take_again
from ..measures.experiment import Cell, Experiment
from ..measures.latency import LiveRuns, live_runs
from ..measures.quality import Wanted, agent_and_world, quality
from ..records.mark_frontier import mark_frontier
from ..records.record import BASELINE, Record
from ..reference.online import reference_kind
from .failures import Failure
from .local_pool import QUALITY_SHARE, Measure, Runs, describe_cell, judge_cells, sort_dearest_first
from .own_process import run_apart
from .scheduler import Progress
from .worker_process import WorkerPool

Judged = TypeVar("Judged")
OnCell = Callable[[Cell, Runs], None]
TIMING = "timing "
"""Begins the text of progress while calls are timed and nothing else may run."""
FEW = 400
"""Events, over all cells and runs, that take less time than starting a worker process."""


def count_workers(cells: list[Cell]) -> int:
    """Return the default number of worker processes.

    cells: whose quality is measured.
    Returns: one a core, or 1 if more would hardly pay.
    """
    return count_cores() if sum(cell.seeds * cell.steps for cell in cells) > FEW else 1


def baseline_of(cell: Cell) -> Cell:
    """Return the cell of random actions in the same world, which `above_random` compares with.

    cell: any cell.
    """
    still = replace(cell, refine=0, think=0)
    return replace(still, posterior="smc", rule=BASELINE, proposer=None, particles=1)


def own_and_baseline(
    cell: Cell, runs: Mapping[Cell, Judged]
) -> tuple[Judged | None, Judged | None]:
    """Look up the quality of a cell and of the random actions it is compared with.

    A cell of random actions is compared with itself.

    cell: any cell.
    runs: quality by cell.
    Returns: both, None if missing.
    """
    own = runs.get(cell)
    if cell.is_baseline and own is not None:
        return own, own
    return own, runs.get(baseline_of(cell))


def cells_to_judge(cells: list[Cell], gain: bool = True, live: bool = False) -> list[Cell]:
    """List the cells whose quality is needed: the given ones, and a baseline for each world.

    cells: of the experiment.
    gain: whether gain is measured, the only measure that is compared with random actions.
    live: whether live runs judge the given cells, so that only baselines are needed.
    """
    needed = {} if live else dict.fromkeys(cells)
    for cell in cells:
        if gain and measures_gain(cell):
            needed.setdefault(baseline_of(cell))
    return list(needed)


def measures_gain(cell: Cell) -> bool:
    """Return whether gain can be measured in a cell's world.

    cell: any cell.
    """
    model = build_world(cell.world).model
    return model is not None and reference_kind(model) != "none"


def resolve_cells(experiment: Experiment) -> list[Cell]:
    """List the cells of an experiment, each model with the sizes of its world.

    experiment: with cells and grids.
    Returns: the cells without duplicates.
    """
    cells = experiment.resolved()
    fitted = [replace(c, model=agent_model_spec(c.world, c.model)) for c in cells]
    return list(dict.fromkeys(fitted))


def judge_all(
    cells: list[Cell],
    wanted: Wanted,
    workers: int,
    progress: Progress,
    measure: Measure = quality,
    on_cell: OnCell = lambda cell, runs: None,
) -> dict[Cell, Runs]:
    """Measure the quality of every cell.

    cells: in any order; those that cost most begin first.
    wanted: measures to take.
    workers: number of worker processes; 1 computes in this process.
    progress: called with the present activity and the share of the bench that is finished.
    measure: function that a worker runs.
    on_cell: called with each cell and its measures as soon as they are there.
    Returns: measures by name for each cell, runs in order.
    Raises: UsageError if workers keep dying; any exception of `measure`.
    """
    with WorkerPool(workers) as pool:
        ordered = sort_dearest_first(cells)
        judged = judge_cells(ordered, wanted, pool, progress, measure, explain=_reraise)
        runs: dict[Cell, Runs] = {}
        for cell, reply in judged:
            if isinstance(reply, Failure):
                raise UsageError(
                    "a worker process died, perhaps for want of memory; try --workers 1 or fewer "
                    "--particles"
                )
            runs[cell] = reply
            on_cell(cell, reply)
    return {cell: runs[cell] for cell in cells}


def _reraise(error: Exception, cell: Cell) -> NoReturn:
    """Let an exception of a worker end the bench."""
    raise error


def run_bench(
    experiment: Experiment,
    on_record: Callable[[list[Record]], None],
    progress: Progress,
    on_cell: OnCell = lambda cell, runs: None,
) -> list[Record]:
    """Run an experiment; errors in any cell are found before work starts.

    experiment: cells and how they are judged.
    on_record: called after every cell with all records so far.
    progress: called with the present activity and the share that is finished.
    on_cell: called with each cell and its measures as soon as quality is measured.
    Returns: a record a cell, those on the frontier marked.
    Raises: UsageError if a cell cannot be built.
    """
    cells = resolve_cells(experiment)
    for cell in cells:
        agent_and_world(cell)
    needed = cells_to_judge(cells, experiment.gain, experiment.deadline is not None)
    workers = experiment.workers or count_workers(needed)
    runs: dict[Cell, Runs] = {}
    if needed:
        runs = judge_all(needed, wanted_by(experiment), workers, progress, on_cell=on_cell)
    records: list[Record] = []
    for done, cell in enumerate(cells):
        share = QUALITY_SHARE + (1 - QUALITY_SHARE) * done / len(cells)
        report_latency(cell, f"{done + 1} of {len(cells)}", experiment, progress, share)
        own, baseline = own_and_baseline(cell, runs)
        records.append(time_cell(cell, own, baseline, experiment, workers)[0])
        mark_frontier(records)
        on_record(records)
    progress("done", 1.0)
    return records


def report_latency(
    cell: Cell, number: str, experiment: Experiment, progress: Progress, share: float
) -> None:
    """Compile a cell's live calls and report that their timing begins.

    cell: the cell that is timed next.
    number: its place among the others, for the report.
    experiment: says whether calls are timed.
    progress: called before compilation, and with a text that begins with `TIMING` after it.
    share: share of the bench that is finished.
    """
    name = f"{describe_cell(cell)}, {number}"
    if experiment.live and experiment.deadline is None:
        progress(f"compiling {name}", share)
        build_live(agent_and_world(cell)[0])
    progress(f"{TIMING}{name}", share)


def wanted_by(experiment: Experiment) -> Wanted:
    """Return the measures that an experiment asks for.

    experiment: how cells are judged.
    """
    return Wanted(
        experiment.samples,
        experiment.reference,
        experiment.spce,
        experiment.taus,
        experiment.fidelity,
        experiment.gain,
        experiment.settle,
    )


def time_cell(
    cell: Cell,
    runs: Runs | None,
    baseline: Runs | None,
    experiment: Experiment,
    workers: int,
) -> tuple[Record, dict[str, Any], LiveRuns | None]:
    """Time a cell's live runs and build its record.

    cell: any cell.
    runs: its quality; None under a deadline, where the live runs are judged.
    baseline: quality of random actions; None if nothing is compared with them.
    experiment: how the cell is judged.
    workers: worker processes that measured quality.
    Returns: the record, the quality, and the live runs, None if not wanted.
    """
    if experiment.deadline is not None:
        limits = experiment.deadline, experiment.rate, wanted_by(experiment)
        # These live runs are the judged ones.
        lived = run_apart(cell, run_under_deadline, cell, *limits)
        row = build_record(cell, lived.runs, baseline, lived.timing, experiment.spce, (), workers)
        row.deadline, row.rate = experiment.deadline, experiment.rate
        row.missed, row.fallback = lived.missed, lived.fallback
        row.rungs, row.slices = lived.rungs, lived.slices
        return row, lived.runs, None
    assert runs is not None
    agent, world = agent_and_world(cell)
    live, steps = None, take_steps(runs)
    if experiment.live:
        live = live_runs(agent, world, cell.steps, cell.seed, experiment.live)
    timing = live.timing if live else None
    row = build_record(cell, runs, baseline, timing, experiment.spce, experiment.taus, workers)
    if live and steps:
        found = take_again(agent, world, cell.seed, steps)
        row.apart, row.unmoved = judge_distances(steps, found), float(found.unmoved.mean())
    return row, runs, live
