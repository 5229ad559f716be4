"""A line on standard error that counts events of a command that takes over a second."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..environment import Environment

SLOW = 1.0
"""Seconds before the first count is shown."""


@contextmanager
def show_event_count(title: str, environment: Environment) -> Iterator[Callable[[int], None]]:
    """Show the number of events and their rate while a block runs, on a terminal only.

    title: text in front of the count.
    environment: for standard error.
    Returns: function that takes the number of events until now.
    """
    if not environment.stderr_is_terminal:
        yield lambda events: None
        return
    begin = time.perf_counter()
    with environment.messages().status(title) as status:

        def tick(events: int) -> None:
            seconds = time.perf_counter() - begin
            if seconds > SLOW:
                status.update(f"{title}  {events} events, {events / seconds:,.0f} a second")

        yield tick
