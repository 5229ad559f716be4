"""`--key-by`: options that exclude it, the store of spilled streams, and its notes.

See also: decide/loop/server/keyed_streams.py for the streams, streams/formats/keyed.py for keys of
lines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ...decide.loop.core.step import Agent
from ...decide.loop.durable.recovery import SPILLED
from ...decide.loop.server.keyed_streams import KeyedStreams
from ...posteriors.errors import UsageError
from ...streams.formats.keyed import check_key_field
from ...streams.storage.spill import Spill
from ..commands.run import Fsync, RunOptions

USUAL = 1_000
"""Streams in memory by default."""


def check_key_options(options: RunOptions) -> None:
    """Check options against `--key-by`.

    options: of the command.
    Raises: UsageError if two options exclude each other.
    """
    if options.key_by is None:
        if options.streams is not None:
            raise UsageError(
                "--streams says how many are in memory: name the field that tells them apart by "
                "--key-by"
            )
        return
    check_key_field(options.key_by)
    for name, given, why in (
        ("--think", options.think, "whose belief to think about is not known before its line: "
         "leave --think out, or raise --refine"),
        ("--until-gain", options.until_gain is not None, "one stream with nothing left to gain "
         "would end all: leave --until-gain out, or set --budget"),
        ("--claim", options.claim is not None, "the streams of another consumer's entries "
         "are with that consumer: leave --claim out, and start that one again with --resume"),
    ):  # fmt: skip
        if given:
            raise UsageError(f"{name} does not go with --key-by: {why}")


@contextmanager
def open_spill(options: RunOptions, say: Callable[[str], None]) -> Iterator[Spill | None]:
    """Open the store of spilled streams: beside the checkpoints, or in a temporary folder.

    options: of the command.
    say: prints a line about each loss under `--salvage`.
    Returns: a context manager that gives the store, None without `--key-by`.
    """
    if options.key_by is None:
        yield None
        return

    if options.checkpoint is not None:
        folder = Path(options.checkpoint) / SPILLED
        yield Spill(folder, options.fsync != Fsync.NEVER, say if options.salvage else None)
        return
    with TemporaryDirectory(prefix="uncertain-", ignore_cleanup_errors=True) as folder:
        store = Spill(Path(folder))
        try:
            yield store
        finally:
            store.abandon()


def build_keyed_streams(agent: Agent, options: RunOptions, store: Spill) -> KeyedStreams:
    """Build the keyed streams of an agent.

    agent: of one stream.
    options: of the command.
    store: of spilled streams.
    """
    assert options.key_by is not None
    rows = agent._replace(rows=options.streams or USUAL)
    size = agent.model.actions.size
    return KeyedStreams(rows, options.key_by, options.seed, options.horizon, size, store)


def stream_notes(many: KeyedStreams | None) -> list[str]:
    """Format counts of streams, if there are any.

    many: the keyed streams.
    """
    return [] if many is None else [format_streams(many)]


def format_streams(many: Any) -> str:
    """Format as `64 of 20,000 streams in memory, 19,939 times spilled, 3 times loaded`.

    many: the keyed streams.
    """
    counts = many.counts
    moved = ((counts.spilled, "spilled"), (counts.loaded, "loaded"))
    parts = (f"{count:,} times {event}" for count, event in moved if count)
    return ", ".join((f"{len(many.memory):,} of {counts.known:,} streams in memory", *parts))
