"""One queue of tasks for any executor: retries after lost workers, and cells to leave out.

Tasks are picked by the executor, so that it can prefer those whose programs a worker still holds.
A task whose worker died is tried again, `TRIES` times in all.

See also: local_pool.py for the executor on this machine, ray_dispatch.py for the one on Ray.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from .failures import TRIES

LOOK = 0.5
"""Seconds between two reports of progress."""
Progress = Callable[[str, float], None]
"""Called with the present activity and the share of all work that is finished."""
Task = TypeVar("Task")


class Lost(NamedTuple):
    """Reply of a task whose worker died."""

    error: str
    """Reason to give once the task is not tried again."""


class Executor(Protocol[Task]):
    """Runs tasks, several at a time."""

    def pick(self, queue: list[Task]) -> int | None:
        """Return the position of the task to begin next; None if no worker is free.

        queue: tasks not yet begun, at least one.
        """
        ...

    def submit(self, task: Task) -> None:
        """Begin the task that was picked last.

        task: to begin.
        """
        ...

    def running(self) -> int:
        """Return the number of tasks that were begun and have not been collected."""
        ...

    def collect(self, timeout: float) -> list[tuple[Task, Any]]:
        """Wait for replies.

        timeout: longest wait in seconds.
        Returns: tasks with their replies; `Lost` is the reply of a dead worker.
        """
        ...


def _no_news(task: Any) -> None:
    """Ignore a retry."""


class Scheduler(Generic[Task]):
    """Runs a queue of tasks on an executor; iterate over it for (task, reply).

    The consumer may add tasks to `queue` and drop others while it iterates.
    """

    queue: list[Task]
    """Tasks not yet begun, in order."""

    def __init__(
        self,
        queue: list[Task],
        executor: Executor[Task],
        on_look: Callable[[], None],
        on_retry: Callable[[Task], None] = _no_news,
        skip: Callable[[Task], bool] = lambda task: False,
        unit: Callable[[Task], Hashable] = lambda task: task,
    ) -> None:
        """Prepare to run tasks.

        queue: tasks in order.
        executor: runs them.
        on_look: called after every wait for replies.
        on_retry: called with a task that is queued again because its worker died.
        skip: whether a task, and all others of its unit, are left out; asked before the first of
            a unit begins.
        unit: part of a task that its tries are counted by, and by which tasks are dropped.
        """
        self.queue = queue
        self._executor, self._skip, self._unit = executor, skip, unit
        self._on_look, self._on_retry = on_look, on_retry
        self._tries: Counter[Hashable] = Counter()
        self._begun: set[Hashable] = set()
        self._dropped: set[Hashable] = set()

    def __iter__(self) -> Iterator[tuple[Task, Any]]:
        while True:
            self._begin()
            if not self._executor.running():
                return
            replies = self._executor.collect(LOOK)
            self._on_look()
            for task, reply in replies:
                # Another task of a dropped unit may still come back.
                if self._unit(task) not in self._dropped and not self._tried_again(task, reply):
                    yield task, reply

    def remaining(self) -> int:
        """Return the number of tasks that wait or run."""
        return len(self.queue) + self._executor.running()

    def drop(self, unit: Hashable) -> None:
        """Leave out the rest of a unit.

        unit: as the function of that name returns it.
        """
        self._dropped.add(unit)
        self.queue[:] = [task for task in self.queue if self._unit(task) != unit]

    def _begin(self) -> None:
        """Begin tasks as long as there are some and a worker is free."""
        while self.queue and (place := self._executor.pick(self.queue)) is not None:
            task = self.queue[place]
            unit = self._unit(task)
            if unit not in self._begun and self._skip(task):
                self.drop(unit)
                continue
            self._begun.add(unit)
            del self.queue[place]
            self._executor.submit(task)

    def _tried_again(self, task: Task, reply: Any) -> bool:
        """Whether a task was queued again because its worker died."""
        if not isinstance(reply, Lost):
            return False
        unit = self._unit(task)
        self._tries[unit] += 1
        if self._tries[unit] >= TRIES:
            return False
        self._on_retry(task)
        self.queue.insert(0, task)
        return True
