"""`--checkpoint` and `--resume` of `uncertain run`: identity, interval and the durable run.

See also: decide/loop/durable/durable.py for the log and recovery, cli/jobs/inspect.py for showing
a folder.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import jax

from ...decide.loop.core.agent import INFINITE
from ...decide.loop.durable.durable import CheckpointInterval, DurableServer
from ...decide.loop.durable.recovery import CHECKPOINTS
from ...decide.loop.server.server import Server
from ...posteriors.errors import UsageError
from ...streams.formats.files import STANDARD, Source
from ...streams.formats.keyed import build_decoder
from ...streams.formats.record import LineError, Record, Where
from ...streams.inputs.addresses import is_address
from ...streams.inputs.base import Arrival
from ...streams.inputs.signals import Signals
from ...streams.storage.checkpoint import SCHEMA, Checkpoints
from ..commands.run import RunOptions
from ..environment import Environment

LOOK = 0.2
"""Seconds to wait for a line before checking for signals."""
DECIDING = (
    "model", "posterior", "rule", "arms", "particles", "refine", "proposer", "candidates",
    "explore", "batch", "deadline", "seed",
)  # fmt: skip
"""Options that decisions depend on; a resumed run may change the others."""
CHOICE = ("posterior", "particles", "refine")
"""Options that `--posterior auto` chooses."""


def _interval_of(every: int | float) -> CheckpointInterval:
    """Checkpoint after so many lines (an integer) or seconds."""
    if isinstance(every, int):
        return CheckpointInterval(lines=every)
    return CheckpointInterval(seconds=every)


def _identity_of(options: RunOptions) -> dict[str, Any]:
    """Everything that decisions depend on besides the input: options as typed, versions,
    precision, kind of device, and the text of the user's own files."""
    # Runs without a checkpoint are spared the import of the judge.
    from ...decide.judge.engine.result_index import digest_sources
    from ...decide.judge.engine.worker_process import jax_setting
    from ...decide.judge.records.machine import computing_versions

    named = ("model", "posterior", "rule", "proposer")
    half_life = options.half_life
    return {
        "schema": SCHEMA,
        **computing_versions(),
        **{name: getattr(options, name) for name in DECIDING},
        **({"think": options.think} if options.think else {}),
        **({"half_life": half_life} if half_life not in (None, INFINITE) else {}),
        **({"attend": options.attend} if options.attend else {}),
        **({} if options.alarm else {"alarm": 0}),
        **({"key_by": options.key_by} if options.key_by else {}),
        **({"new_arms": True} if options.new_arms else {}),
        "sources": digest_sources({name: getattr(options, name) for name in named}),
        "device": jax.devices()[0].device_kind,
        "x64": jax_setting("jax_enable_x64"),
    }


def choice_of(options: RunOptions) -> dict[str, Any]:
    """Read the posterior, S and k of the run to resume.

    options: of the command.
    Returns: option -> value, empty if there is nothing to resume.
    """
    if options.checkpoint is None or not options.resume:
        return {}
    point, _ = Checkpoints(Path(options.checkpoint) / CHECKPOINTS).read_newest()
    if point is None:
        return {}
    return {name: point.identity.get(name) for name in CHOICE}


class DurableRun:
    """A durable run: its server, the lines already done, and the signals that end it.

    durable: the server and its folder.
    done: lines of the input that an earlier run took in.
    endless: whether the input ends only by a signal.
    """

    def __init__(self, durable: DurableServer, done: int, endless: bool = False) -> None:

        self.durable, self._done, self._signals = durable, done, Signals()
        self._endless = endless
        self._signals.watch()

    @property
    def end_requested(self) -> bool:
        """Whether a signal asked to end."""
        return self._signals.received

    def is_done(self, arrival: Arrival) -> bool:
        """Return whether an earlier run took the line in.

        arrival: the line.
        """
        if not self._done:
            return False
        if arrival.where.line < self._done:
            return True
        # A file that is followed may be replaced by one that counts from 1 again.
        last, self._done = self._done, 0
        return arrival.where.line == last

    def answer(self, record: Record, arrival: Arrival) -> dict[str, Any] | None:
        """Answer a record durably.

        record: the decoded line.
        arrival: the line.
        Returns: the reply, None for a line that gets none.
        """
        end = arrival.offset + arrival.length + arrival.whole
        return self.durable.answer(record, arrival.arrived, end)

    def note_sent(self) -> None:
        """Note that the reply has left, and checkpoint if one is due."""
        self.durable.checkpoint_if_due()

    def summary(self) -> list[str]:
        """Format how to go on, and the cost of checkpoints."""
        asked = self.end_requested or (self._endless and self.durable.server.stopped is None)
        ended = [f"asked to end: go on with --resume and {self.durable.folder}"] * asked
        return ended + self.durable.summary()

    def close(self) -> None:
        """Stop watching for signals."""
        self._signals.close()


@contextmanager
def make_durable(
    options: RunOptions, server: Server, environment: Environment, tell: Callable[[str], None]
) -> Iterator[DurableRun | None]:
    """Make the run durable while the block runs; take a last checkpoint if it ends well.

    options: of the command.
    server: the live server.
    environment: streams and clock.
    tell: prints a line.
    Returns: a context manager that gives the durable run, None without `--checkpoint`.
    """
    if options.checkpoint is None:
        yield None
        return
    durable = _durable_of(options, options.checkpoint, server, environment, tell)
    endless = options.follow or is_address(options.file)
    with ExitStack() as always, ExitStack() as failed:
        failed.callback(durable.abandon)
        kept = DurableRun(durable, _lines_done(durable, options), endless)
        always.callback(kept.close)
        yield kept
        failed.pop_all()
        durable.close()


def _durable_of(
    options: RunOptions,
    folder: str,
    server: Server,
    environment: Environment,
    tell: Callable[[str], None],
) -> DurableServer:
    """Open the server's folder, and restore it under `--resume`."""
    output = None if is_address(options.file) else _file_of(environment)
    durable = DurableServer(
        server, folder, _identity_of(options), _interval_of(options.every), str(options.fsync),
        options.resume, output, tell,
        environment.say if options.salvage else None,
    )  # fmt: skip

    def send(reply: bytes) -> None:
        environment.data.write(reply)
        environment.data.flush()

    # Clients of a socket are gone; those that come back ask again. Redis delivers again the
    # entries without acknowledgement.
    durable.resend((lambda reply: None) if is_address(options.file) else send)
    return durable


def _file_of(environment: Environment) -> int | None:
    """Return the descriptor of standard output if it is a plain file."""
    try:
        descriptor = environment.stdout.fileno()
        return descriptor if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
    except (OSError, ValueError):
        return None


def _lines_done(durable: DurableServer, options: RunOptions) -> int:
    """Lines of the input that need not be looked at again.

    Raises UsageError where the file is not the one that they were read from; one that is followed
    may have been replaced, and is then read from its beginning.
    """
    if options.file == STANDARD or is_address(options.file):
        return 0
    count = durable.lines_taken(options.file)
    if not count or (options.follow and not os.path.exists(options.file)):
        return 0
    many = durable.server.keyed
    decode = build_decoder(many.field if many else None)
    source = Source(options.file)
    lines = iter(source)
    try:
        for line in islice(lines, count - 1, count):
            if durable.is_last_line(decode(line, Where(source.name, count))):
                return count
    except LineError:
        pass
    finally:
        source.close()
    if options.follow:
        return 0
    raise UsageError(
        f"{options.file}:{count}: is not the line that {durable.folder} has taken in; resume with "
        "the file it was reading, or give a new one another name"
    )


__all__ = ["DurableRun", "make_durable"]
