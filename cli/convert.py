"""The body of `uncertain convert`: a log in one format in, the same in another out.

Not here: any format (streams/formats.py, streams/targets.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from .environment import Environment, ExitStatus
from .ticking import ticking

if TYPE_CHECKING:
    from ..streams.log import Log

One = TypeVar("One")
SHOWN = 12
"""Columns of a vocabulary that are named."""
EVERY = 1000
"""Lines between two looks at the clock."""


@dataclass(frozen=True)
class Convert:
    """What the command line said. source, output: `-` for the standard streams."""

    source: str
    output: str
    source_format: str | None = None
    output_format: str | None = None
    label: str | None = None


def convert(options: Convert, environment: Environment) -> int:
    """Convert; what was there under the output's name stays unless all went well."""
    from ..streams.files import whole_output
    from ..streams.formats import open_log
    from ..streams.targets import TARGETS, target_of

    name = target_of(options.output, options.output_format)
    log = open_log(options.source, options.source_format, options.label, environment.stdin)
    for note in (*log.notes, *called(log, name)):
        environment.say(f"{options.source}: {note}")
    dropped: Counter[str] = Counter()
    title = f"{options.source} → {name}"
    with (
        whole_output(options.output, environment.data) as file,
        ticking(title, environment) as tick,
    ):
        TARGETS[name](counted(log, tick), file, dropped)
    for what, count in log.left_out.items():
        environment.say(f"{options.source}: left out {count} {what}")
    for what, count in dropped.items():
        environment.say(f"{options.output}: {count} {what}")
    return ExitStatus.DONE


def called(log: Log, name: str) -> tuple[str, ...]:
    """What the numbers of a context or vector are, where the target does not say."""
    from ..streams.targets import SPARSE

    if not log.columns or (name in SPARSE and log.examples is not None):
        return ()
    shown = ", ".join(f"{place} {name}" for place, name in enumerate(log.columns[:SHOWN]))
    more = len(log.columns) - SHOWN
    return (f"columns are {shown}" + (f" and {more} more (see validate)" if more > 0 else ""),)


def counted(log: Log, tick: Callable[[int], None]) -> Log:
    """The log, whichever way it is read, saying how far it is."""
    from dataclasses import replace

    def passing(items: Iterator[One]) -> Iterator[One]:
        for number, item in enumerate(items, 1):
            yield item
            if number % EVERY == 0:
                tick(number)

    return replace(
        log,
        records=passing(log.records),
        every=None if log.every is None else passing(log.every),
        examples=None if log.examples is None else passing(log.examples),
    )


__all__ = ["Convert", "convert"]
