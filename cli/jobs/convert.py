"""The body of `uncertain convert`: read a log in one format, write it in another.

See also: streams/formats/registry.py for the formats.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

from ...streams.formats.files import open_output_atomically
from ...streams.formats.log import Log
from ...streams.formats.registry import (
    choose_output_format,
    has_named_features,
    open_log,
    write_log,
)
from ..commands.convert import ConvertOptions
from ..environment import Environment, ExitStatus
from ..tables.progress import show_event_count

One = TypeVar("One")
SHOWN = 12
"""Columns of a vocabulary that are named."""
EVERY = 1000
"""Lines between two updates of the count."""


def convert(options: ConvertOptions, environment: Environment) -> int:
    """Convert a log; an existing output stays unless the conversion succeeds.

    options: of the command.
    environment: streams, terminal and clock.
    Returns: exit status.
    Raises: UsageError for wrong options or input.
    """
    name = choose_output_format(options.output, options.output_format)
    log = open_log(options.source, options.source_format, options.label, environment.stdin)
    for note in (*log.notes, *_called(log, name)):
        environment.say(f"{options.source}: {note}")
    dropped: Counter[str] = Counter()
    title = f"{options.source} → {name}"
    with (
        open_output_atomically(options.output, environment.data) as file,
        show_event_count(title, environment) as tick,
    ):
        write_log(name, _counted(log, tick), file, dropped)
    for reason, count in log.left_out.items():
        environment.say(f"{options.source}: left out {count} {reason}")
    for reason, count in dropped.items():
        environment.say(f"{options.output}: {count} {reason}")
    return ExitStatus.DONE


def _called(log: Log, name: str) -> tuple[str, ...]:
    """Name the numbers of a context or vector, where the target format does not."""
    if not log.column_names or (has_named_features(name) and log.examples is not None):
        return ()
    shown = ", ".join(f"{place} {name}" for place, name in enumerate(log.column_names[:SHOWN]))
    more = len(log.column_names) - SHOWN
    return (f"columns are {shown}" + (f" and {more} more (see validate)" if more > 0 else ""),)


def _counted(log: Log, tick: Callable[[int], None]) -> Log:
    """Return the log with progress reported as its lines are read."""

    def passing(items: Iterator[One]) -> Iterator[One]:
        for number, item in enumerate(items, 1):
            yield item
            if number % EVERY == 0:
                tick(number)

    return replace(
        log,
        records=passing(log.records),
        all_records=None if log.all_records is None else passing(log.all_records),
        examples=None if log.examples is None else passing(log.examples),
    )


__all__ = ["convert"]
