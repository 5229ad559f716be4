"""A line on standard error that counts events, for whoever waits for more than a second.

Not here: what is done with the events.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..environment import Environment

SLOW = 1.0
"""Seconds after which a progress line is worth its ink."""


@contextmanager
def ticking(what: str, environment: Environment) -> Iterator[Callable[[int], None]]:
    """A function that is told how many events there were; it shows them on a terminal only."""
    if not environment.stderr_is_terminal:
        yield lambda events: None
        return
    begin = time.perf_counter()
    with environment.messages().status(what) as status:

        def tick(events: int) -> None:
            seconds = time.perf_counter() - begin
            if seconds > SLOW:
                status.update(f"{what}  {events} events, {events / seconds:,.0f} a second")

        yield tick
