"""Cells handed out to Ray's workers, and what is made of what comes back, or does not.

A lost worker's cell goes to another, a failed one is reported; workers have kept the rest, and
only records come back. Not here: Ray's start and end (cluster.py), or a worker's side (remote.py).
"""

from __future__ import annotations

import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import Any

from ...posteriors.base import UsageError
from ...posteriors.loading import describe as told
from .bench import Progress, baseline_of, describe, gains
from .experiment import Cell
from .failing import LOST, TRIES, Failed
from .ledger import Finished, Ledger
from .remote import Unlike

Submit = Callable[[Cell, dict[str, Any], bool], Any]
"""`(cell, identity, is_baseline) -> reference` to what a worker will reply."""
PATIENCE = 60.0
"""Seconds for which a cell kept elsewhere may not be seen here, as on a network's file system."""
LOOK = 0.5
"""Seconds between signs of life."""


class Dispatch:
    """Iterates over cells finished and failed; random actions are judged before who needs them.

    ray: the library. wave: cells handed out at once, the next when all have come back; None hands
    out everything.
    """

    def __init__(
        self,
        ray: Any,
        cells: list[Cell],
        ledger: Ledger,
        progress: Progress,
        submit: Submit,
        wave: int | None,
    ) -> None:
        self._ray, self._ledger, self._progress = ray, ledger, progress
        self._submit, self._wave = submit, wave
        self._total, self._ended = len(cells), 0
        self._tries: Counter[tuple[Cell, bool]] = Counter()
        self._ready: deque[tuple[Cell, bool]] = deque()
        self._waiting: dict[Cell, list[Cell]] = {}
        self._running: dict[Any, tuple[Cell, bool]] = {}
        for cell in cells:
            compared = ledger.experiment.gain and cell.rule != "random" and gains(cell)
            baseline = baseline_of(cell)
            if compared and baseline not in self._waiting and ledger.baseline(baseline) is None:
                self._waiting[baseline] = []
            if compared and baseline in self._waiting:
                self._waiting[baseline].append(cell)
            else:
                self._ready.append((cell, False))
        self._ready.extendleft((baseline, True) for baseline in self._waiting)

    def __iter__(self) -> Iterator[Finished | Failed]:
        self._progress("starting workers", 0.0)
        while self._ready or self._running:
            self._hand_out()
            done, _ = self._ray.wait(list(self._running), timeout=LOOK)
            self._progress(f"{len(self._running)} cells handed out", self._ended / self._total)
            for reference in done:
                for one in self._come_back(*self._running.pop(reference), reference):
                    self._ended += 1
                    yield one

    def _hand_out(self) -> None:
        if self._wave and self._running:
            return
        while self._ready and len(self._running) < (self._wave or sys.maxsize):
            cell, is_baseline = self._ready.popleft()
            identity = self._ledger.identity(cell, is_baseline)
            self._running[self._submit(cell, identity, is_baseline)] = cell, is_baseline

    def _come_back(self, cell: Cell, is_baseline: bool, reference: Any) -> list[Finished | Failed]:
        """What there is to say of a cell whose worker replied, or is no more."""
        reply = self._reply(cell, is_baseline, reference)
        if reply == "again":
            self._progress("lost a worker at " + describe(cell), self._ended / self._total)
            self._ready.appendleft((cell, is_baseline))
            return []
        if isinstance(reply, Unlike):
            raise UsageError(reply.error)
        if isinstance(reply, Failed):
            if not is_baseline:
                return [reply]
            error = f"random actions, to compare it with: {reply.error}"
            return [Failed(one, error) for one in self._waiting.pop(cell)]
        self._see(cell, is_baseline, reply.host)
        if is_baseline:
            self._ready.extend((one, False) for one in self._waiting.pop(cell))
            return []
        if reply.record is None:  # another process finished it first
            return []
        return [Finished(cell, reply.record, {}, reply.seconds, kept=True)]

    def _reply(self, cell: Cell, is_baseline: bool, reference: Any) -> Any:
        try:
            return self._ray.get(reference)
        except (
            self._ray.exceptions.RayTaskError
        ) as error:  # it could not even begin: no package there?
            return Failed(cell, f"a worker could not begin: {told(error.cause or error)}")
        except self._ray.exceptions.RayError as error:
            self._tries[cell, is_baseline] += 1
            if self._tries[cell, is_baseline] < TRIES:
                return "again"
            return Failed(cell, f"{LOST} ({type(error).__name__})")

    def _see(self, cell: Cell, is_baseline: bool, host: str) -> None:
        """Make sure that what a worker kept has come to where everybody looks."""
        began = time.monotonic()
        while not (
            self._ledger.baseline(cell) is not None if is_baseline else self._ledger.done(cell)
        ):
            if time.monotonic() - began > PATIENCE:
                raise UsageError(
                    f"{self._ledger.store.place}: {host} kept a cell there which is not seen here; "
                    "give a folder that all machines share, or a URL"
                )
            time.sleep(LOOK)
