"""`--key-by` of `uncertain run`: which options go with it, where streams are spilled, what is said.

Not here: the streams (decide/loop/many.py), or keys of lines (streams/keyed.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..decide.loop.many import Many
    from ..decide.loop.step import Agent
    from ..streams.spilled import Spilled
    from .run import Run

USUAL = 1_000
"""Streams in memory unless told otherwise."""


def check(options: Run) -> None:
    """Raise UsageError where options do not go together."""
    from ..posteriors.base import UsageError
    from ..streams.keyed import check_field

    if options.key_by is None:
        if options.streams is not None:
            raise UsageError(
                "--streams says how many are in memory: name the field that tells them apart by "
                "--key-by"
            )
        return
    check_field(options.key_by)
    for name, given, why in (
        ("--think", options.think, "whose belief to think about is not known before its line: "
         "leave --think out, or raise --refine"),
        ("--until-gain", options.until_gain is not None, "one stream with nothing left to gain "
         "would end all: leave --until-gain out, or set --budget"),
        ("--claim", options.intake.claim is not None, "the streams of another consumer's entries "
         "are with that consumer: leave --claim out, and start that one again with --resume"),
    ):  # fmt: skip
        if given:
            raise UsageError(f"{name} does not go with --key-by: {why}")


@contextmanager
def spilling(options: Run) -> Iterator[Spilled | None]:
    """Where streams go that are not in memory: beside the checkpoints, or a temporary folder."""
    from pathlib import Path
    from tempfile import TemporaryDirectory

    from .keeping import Fsync

    if options.key_by is None:
        yield None
        return
    from ..decide.loop.recovering import SPILLED
    from ..streams.spilled import Spilled

    if options.keep is not None:
        folder = Path(options.keep.checkpoint) / SPILLED
        yield Spilled(folder, options.keep.fsync != Fsync.NEVER)
        return
    with TemporaryDirectory(prefix="uncertain-", ignore_cleanup_errors=True) as folder:
        store = Spilled(Path(folder))
        try:
            yield store
        finally:
            store.abandon()


def many_of(agent: Agent, options: Run, store: Spilled) -> Many:
    """The streams of an agent, which has rows from now on."""
    from ..decide.loop.many import Many

    assert options.key_by is not None
    rows = agent._replace(rows=options.streams or USUAL)
    size = agent.model.actions.size
    return Many(rows, options.key_by, options.seed, options.horizon, size, store)


def stream_notes(many: Many | None) -> list[str]:
    """What became of streams, for a person."""
    return [] if many is None else [said(many)]


def said(many: Any) -> str:
    """`64 of 20,000 streams in memory, 19,939 times spilled, 3 times loaded`."""
    counts = many.counts
    moved = ((counts.spilled, "spilled"), (counts.loaded, "loaded"))
    parts = (f"{count:,} times {what}" for count, what in moved if count)
    return ", ".join((f"{len(many.memory):,} of {counts.known:,} streams in memory", *parts))
