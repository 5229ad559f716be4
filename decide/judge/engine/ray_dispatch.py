"""Cells computed by Ray's workers, which store the results; only records come back.

Random actions come before the cells that are compared with them.

See also: scheduler.py for the queue, ray_engine.py for Ray's start and end, ray_worker.py for the
worker's side.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from ....posteriors.errors import UsageError
from ....posteriors.specs import describe_error
from ..measures.experiment import Cell
from .bench import baseline_of, measures_gain
from .failures import LOST, Failure
from .local_pool import describe_cell
from .ray_worker import Mismatch
from .result_index import Finished, ResultIndex
from .scheduler import LOOK, Lost, Progress, Scheduler

Submit = Callable[[Cell, dict[str, Any], bool], Any]
"""`(cell, identity, is_baseline) -> reference` to the worker's reply."""
PATIENCE = 60.0
"""Seconds for which a cell stored elsewhere may not be seen here, as on a network's file system."""


class Job(NamedTuple):
    """A cell to compute, or the random actions that cells are compared with."""

    cell: Cell
    is_baseline: bool


class RayExecutor:
    """Runs jobs on Ray, all at once or in waves.

    A wave begins when all jobs of the one before have come back.
    """

    def __init__(self, ray: Any, index: ResultIndex, submit: Submit, wave: int | None) -> None:
        """Prepare to run jobs.

        ray: the library.
        index: names the identity under which a worker stores a result.
        submit: hands a job to Ray.
        wave: jobs handed out at once; None hands out all.
        """
        self._ray, self._index, self._submit, self._wave = ray, index, submit, wave
        self._room = wave
        self._running: dict[Any, Job] = {}

    def pick(self, queue: list[Job]) -> int | None:
        """Return the position of the next job, the first; None if the wave is full.

        queue: jobs that wait.
        """
        if not self._running:
            self._room = self._wave
        return None if self._room == 0 else 0

    def submit(self, task: Job) -> None:
        """Hand a job to Ray.

        task: the job picked.
        """
        identity = self._index.identity(task.cell, task.is_baseline)
        self._running[self._submit(task.cell, identity, task.is_baseline)] = task
        if self._room is not None:
            self._room -= 1

    def running(self) -> int:
        """Return the number of jobs handed out."""
        return len(self._running)

    def collect(self, timeout: float) -> list[tuple[Job, Any]]:
        """Wait for replies.

        timeout: seconds.
        Returns: jobs with the worker's reply, failure or `Lost`.
        """
        if self._wave is not None:
            self._room = 0
        done, _ = self._ray.wait(list(self._running), timeout=timeout)
        jobs = [(self._running.pop(reference), reference) for reference in done]
        return [(job, self._reply(job, reference)) for job, reference in jobs]

    def _reply(self, job: Job, reference: Any) -> Any:
        """A worker's reply, or the reason why there is none."""
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:  # it did not begin: package missing?
            cause = describe_error(error.cause or error)
            return Failure(job.cell, f"a worker could not begin: {cause}")
        except self._ray.exceptions.RayError as error:
            return Lost(f"{LOST} ({type(error).__name__})")


def dispatch_cells(
    ray: Any,
    cells: list[Cell],
    index: ResultIndex,
    progress: Progress,
    submit: Submit,
    wave: int | None,
) -> Iterator[Finished | Failure]:
    """Compute cells on Ray, each yielded when its result is stored or it has failed.

    ray: the library.
    cells: in order.
    index: results of the experiment.
    progress: called with the present activity and the share that is finished.
    submit: hands a job to Ray.
    wave: jobs handed out at once; None hands out all.
    Raises: UsageError if a worker differs from this machine or its results are not seen here.
    """
    compared: dict[Cell, list[Cell]] = {}
    ready: list[Job] = []
    for cell in cells:
        baseline = baseline_of(cell)
        needs = index.experiment.gain and not cell.is_baseline and measures_gain(cell)
        if needs and baseline not in compared and index.baseline(baseline) is None:
            compared[baseline] = []
        if needs and baseline in compared:
            compared[baseline].append(cell)
        else:
            ready.append(Job(cell, False))
    # The last baseline found comes first, as in the order of earlier versions.
    queue = [*(Job(baseline, True) for baseline in reversed(compared)), *ready]
    executor = RayExecutor(ray, index, submit, wave)
    ended = 0

    def report(text: str) -> None:
        progress(text, ended / len(cells))

    scheduler = Scheduler(
        queue,
        executor,
        on_look=lambda: report(f"{executor.running()} cells handed out"),
        on_retry=lambda job: report("lost a worker at " + describe_cell(job.cell)),
    )
    report("starting workers")
    for job, reply in scheduler:
        cell = job.cell
        if isinstance(reply, Mismatch):
            raise UsageError(reply.error)
        if isinstance(reply, Lost):
            reply = Failure(cell, reply.error)
        if isinstance(reply, Failure):
            failures = [reply]
            if job.is_baseline:
                error = f"random actions, to compare it with: {reply.error}"
                failures = [Failure(one, error) for one in compared.pop(cell)]
            for failure in failures:
                ended += 1
                yield failure
            continue
        _wait_until_seen(index, job, reply.host)
        if job.is_baseline:
            scheduler.queue.extend(Job(one, False) for one in compared.pop(cell))
        elif reply.record is not None:  # else another process finished it first
            ended += 1
            yield Finished(cell, reply.record, {}, reply.seconds, stored=True)


def _wait_until_seen(index: ResultIndex, job: Job, host: str) -> None:
    """Wait until a result that a worker stored is seen from here."""
    began = time.monotonic()
    while not (
        index.baseline(job.cell) is not None if job.is_baseline else index.is_finished(job.cell)
    ):
        if time.monotonic() - began > PATIENCE:
            raise UsageError(
                f"{index.store.place}: {host} kept a cell there which is not seen here; "
                "give a folder that all machines share, or a URL"
            )
        time.sleep(LOOK)
