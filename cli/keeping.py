"""`--checkpoint` of `uncertain run`: what is kept, under which identity, and going on from it.

Not here: how (decide/loop/durable.py), or what the folder holds for a person (inspect.py).
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from .environment import Environment

if TYPE_CHECKING:
    from ..decide.loop.durable import Durable, Every
    from ..decide.loop.serve import Server
    from ..streams.arriving import Arrival
    from ..streams.record import Record
    from .inputs import Intake
    from .run import Run


class Fsync(StrEnum):
    """When the log of accepted lines is made to outlive the machine, not only the process."""

    ALWAYS = "always"
    """Before each reply."""
    INTERVAL = "interval"
    """Once a second."""
    NEVER = "never"
    """When the operating system likes."""


@dataclass(frozen=True)
class Keep:
    """Options of `uncertain run`, each of the same name there; checkpoint names the folder."""

    checkpoint: str
    every: str = "10s"
    fsync: Fsync = Fsync.INTERVAL
    resume: bool = False


LOOK = 0.2
"""Seconds to wait for a line before looking whether a signal asked to end."""
TIME = re.compile(r"(\d+\.?\d*|\.\d+)\s*(ms|s|m|h)")
UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
DECIDING = (
    "model", "posterior", "rule", "arms", "particles", "refine", "proposer", "candidates",
    "explore", "batch", "deadline", "seed",
)  # fmt: skip
"""Options that decisions depend on; the others may be others when a run is resumed."""
CHOICE = ("posterior", "particles", "refine")
"""Of those, what `--posterior auto` chooses."""


def every_of(text: str) -> Every:
    """`500` lines, or a time such as `10s`."""
    from ..decide.loop.durable import Every
    from ..posteriors.base import UsageError

    if text.isdecimal() and int(text) > 0:
        return Every(lines=int(text))
    found = TIME.fullmatch(text)
    if found is None or float(found[1]) <= 0:
        raise UsageError(f"--every {text}: neither a number of lines nor a time such as 10s or 5m")
    return Every(seconds=float(found[1]) * UNITS[found[2]])


def identity_of(options: Run) -> dict[str, Any]:
    """All that decisions depend on besides the input: options as typed, versions, precision, kind
    of device, and the text of the user's own files."""
    import jax

    from ..decide.judge.crew import setting
    from ..decide.judge.ledger import sources, versions
    from ..decide.loop.building import INFINITE
    from ..streams.checkpoint import SCHEMA

    named = ("model", "posterior", "rule", "proposer")
    half_life = options.half_life
    return {
        "schema": SCHEMA,
        **versions(),
        **{name: getattr(options, name) for name in DECIDING},
        **({"think": options.think} if options.think else {}),
        **({"half_life": half_life} if half_life not in (None, INFINITE) else {}),
        **({} if options.alarm else {"alarm": 0}),
        **({"key_by": options.key_by} if options.key_by else {}),
        **({"new_arms": True} if options.new_arms else {}),
        "sources": sources({name: getattr(options, name) for name in named}),
        "device": jax.devices()[0].device_kind,
        "x64": setting("jax_enable_x64"),
    }


def choice_of(keep: Keep | None) -> dict[str, Any]:
    """Posterior, S and k of the run that is to be resumed, empty where there is none."""
    from pathlib import Path

    from ..decide.loop.recovering import CHECKPOINTS
    from ..streams.checkpoint import Checkpoints

    if keep is None or not keep.resume:
        return {}
    point, _ = Checkpoints(Path(keep.checkpoint) / CHECKPOINTS).newest()
    if point is None:
        return {}
    return {name: point.identity.get(name) for name in CHOICE}


class Kept:
    """A run that is kept: its durable server, what its input has that is done, and its ending.

    endless: whether its input ends only where a signal asks for it, which it then watches for.
    """

    def __init__(self, durable: Durable, done: int, endless: bool = False) -> None:
        from ..streams.ending import Ending

        self.durable, self._done, self._ending = durable, done, Ending()
        self._endless = endless
        self._ending.begin()

    @property
    def asked(self) -> bool:
        """Whether a signal asked to end."""
        return self._ending.asked

    def skips(self, arrival: Arrival) -> bool:
        """Whether a line was taken in before the run was resumed."""
        if not self._done:
            return False
        if arrival.where.line < self._done:
            return True
        # A file that is followed may be replaced by one that counts from 1 again.
        last, self._done = self._done, 0
        return arrival.where.line == last

    def answer(self, record: Record, arrival: Arrival) -> dict[str, Any] | None:
        """As `Durable.answer`."""
        end = arrival.offset + arrival.length + arrival.whole
        return self.durable.answer(record, arrival.arrived, end)

    def sent(self) -> None:
        """The reply has left."""
        self.durable.sent()

    def summary(self) -> list[str]:
        """For a person, at the end."""
        asked = self.asked or (self._endless and self.durable.server.stopped is None)
        ended = [f"asked to end: go on with --resume and {self.durable.folder}"] * asked
        return ended + self.durable.summary()

    def close(self) -> None:
        """Watch for signals no longer."""
        self._ending.close()


@contextmanager
def keeping(
    options: Run, server: Server, environment: Environment, tell: Callable[[str], None]
) -> Iterator[Kept | None]:
    """What `--checkpoint` asks for, None without it; a last checkpoint where all went well."""
    from ..streams.addresses import is_address

    if options.keep is None:
        yield None
        return
    durable = durable_of(options, options.keep, server, environment, tell)
    kept = None
    try:
        endless = options.intake.follow or is_address(options.intake.file)
        kept = Kept(durable, lines_done(durable, options.intake), endless)
        yield kept
    except BaseException:
        durable.abandon()
        raise
    else:
        durable.close()
    finally:
        if kept is not None:
            kept.close()


def durable_of(
    options: Run, keep: Keep, server: Server, environment: Environment, tell: Callable[[str], None]
) -> Durable:
    """The server with its folder, gone on from what that holds if this is asked for."""
    from ..decide.loop.durable import Durable
    from ..streams.addresses import is_address

    output = None if is_address(options.intake.file) else file_of(environment)
    durable = Durable(
        server, keep.checkpoint, identity_of(options), every_of(keep.every), str(keep.fsync),
        keep.resume, output, tell,
    )  # fmt: skip

    def send(reply: bytes) -> None:
        environment.data.write(reply)
        environment.data.flush()

    # Clients of a socket are gone; those that come back ask again. Redis gives again what it was
    # not told of.
    durable.resend((lambda reply: None) if is_address(options.intake.file) else send)
    return durable


def file_of(environment: Environment) -> int | None:
    """The descriptor of standard output where that is a plain file."""
    try:
        descriptor = environment.stdout.fileno()
        return descriptor if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
    except (OSError, ValueError):
        return None


def lines_done(durable: Durable, intake: Intake) -> int:
    """Lines of the input that need not be looked at again.

    Raises UsageError where the file is not the one that they were read from; one that is followed
    may have been replaced, and is then read from its beginning.
    """
    from itertools import islice

    from ..posteriors.base import UsageError
    from ..streams.addresses import is_address
    from ..streams.files import STANDARD, Source
    from ..streams.keyed import decoder
    from ..streams.record import LineError, Where

    if intake.file == STANDARD or is_address(intake.file):
        return 0
    count = durable.taken_in(intake.file)
    if not count or (intake.follow and not os.path.exists(intake.file)):
        return 0
    many = durable.server.many
    decode = decoder(many.field if many else None)
    source = Source(intake.file)
    lines = iter(source)
    try:
        for line in islice(lines, count - 1, count):
            if durable.took_last(decode(line, Where(source.name, count))):
                return count
    except LineError:
        pass
    finally:
        source.close()
    if intake.follow:
        return 0
    raise UsageError(
        f"{intake.file}:{count}: is not the line that {durable.folder} has taken in; resume with "
        "the file it was reading, or give a new one another name"
    )


__all__ = ["Fsync", "Keep", "Kept", "every_of", "keeping"]
