"""A progress bar on standard error with the present step of a bench or sweep, and finished rows.

See also: progress.py for the count of events of a stream.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from ...decide.judge.engine.bench import TIMING
from ..environment import Environment

BEAT = 1.0
"""Seconds between two refreshes of the elapsed time while nothing is timed."""


class ProgressBar:
    """Shows the present step; silent where standard error is no terminal."""

    def __init__(self, bar: Progress | None) -> None:
        """Add the bar's only task."""
        self._bar, self._timing = bar, threading.Event()
        self._task = TaskID(0) if bar is None else bar.add_task("starting", total=1.0)

    def __call__(self, text: str, share: float) -> None:
        """Show the present activity.

        text: of the activity; if it begins with `TIMING`, the bar stands still from now on.
        share: of the whole that is finished.
        """
        (self._timing.set if text.startswith(TIMING) else self._timing.clear)()
        if self._bar is not None:
            self._bar.update(self._task, description=text, completed=share, refresh=True)

    def print_line(self, text: str) -> None:
        """Print a line above the bar.

        text: nothing is printed if it is empty.
        """
        if self._bar is not None and text:
            self._bar.console.print(text, style="dim", highlight=False)

    def beat(self, ended: threading.Event) -> None:
        """Refresh the elapsed time until the end, but never while calls are timed.

        ended: set at the end.
        """
        while self._bar is not None and not ended.wait(BEAT):
            if not self._timing.is_set():
                self._bar.refresh()


@contextmanager
def show_progress(environment: Environment, beats: bool = True) -> Iterator[ProgressBar]:
    """Show a bar while a block runs, on a terminal only.

    environment: standard error and whether it is a terminal.
    beats: whether the elapsed time moves between reports; not where calls are timed unannounced.
    Returns: function of an activity and the share that is finished.
    """
    if not environment.stderr_is_terminal:
        yield ProgressBar(None)
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
    )  # fmt: skip
    ended = threading.Event()
    # Its own refresh thread would run beside the calls that are timed.
    shown = Progress(*columns, console=environment.messages(), transient=True, auto_refresh=False)
    with shown:
        bar = ProgressBar(shown)
        beating = threading.Thread(target=bar.beat, args=(ended,), daemon=True)
        if beats:
            beating.start()
        try:
            yield bar
        finally:
            ended.set()
            if beats:
                beating.join()
