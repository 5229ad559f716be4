"""Decisions on resume, from the checkpoints and log in a folder; the folder's lock.

See also: durable.py for the replay.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec

from ....posteriors.errors import UsageError
from ....streams.formats.ndjson import encode_line
from ....streams.storage import private
from ....streams.storage.checkpoint import Checkpoint, Checkpoints
from ....streams.storage.log_faults import find_fault, set_aside
from ....streams.storage.log_segments import (
    LINE,
    REPLY,
    LogEntry,
    scan_segment,
    segment_paths,
)

CHECKPOINTS, LOG, LOCK, SPILLED = "checkpoints", "log", "lock", "streams"
"""Names in the folder."""
OUTPUT_END = struct.Struct("<Q")
"""Precedes a logged reply: where it ends in the output; 0 where that is no file."""
SAME = (
    "action", "actions", "propensity", "propensities", "scores", "gain", "realised_gain", "nll",
    "step", "ahead", "stop", "alarm",
)  # fmt: skip
"""Fields of a reply that do not depend on the clock."""

_values = msgspec.json.Decoder()


def pair_replies(entries: Iterator[LogEntry]) -> Iterator[tuple[LogEntry, LogEntry | None]]:
    """Pair each logged line with its reply.

    entries: entries of the log, in order.

    Returns: iterator of (line, reply); reply is None if the line was refused or not answered.
    """
    line: LogEntry | None = None
    for entry in entries:
        if entry.kind == LINE:
            if line is not None:
                yield line, None
            line = entry
        elif line is not None:
            yield line, entry
            line = None
    if line is not None:
        yield line, None


def missing_output(entries: Iterator[LogEntry], size: int) -> list[bytes]:
    """Find the logged replies that an output file lacks.

    An output that ends before the first logged reply is another file, which lacks the last at most.

    entries: entries of the log, in order.
    size: bytes of the output file.

    Returns: the missing bytes, by reply.
    """
    missing: list[bytes] = []
    known, last = False, b""
    for entry in entries:
        if entry.kind != REPLY:
            continue
        (end,), last = OUTPUT_END.unpack_from(entry.body), entry.body[OUTPUT_END.size :]
        begin = end - len(last)
        known |= begin <= size
        if size < end:
            missing.append(last[max(size - begin, 0) :])
            size = end
    return missing if known or not missing else [last]


def identity_differences(stored: Mapping[str, Any], current: Mapping[str, Any]) -> str:
    """Describe the differences between two identities.

    stored: identity of the checkpoint.
    current: identity of this run.

    Returns: text that names both values; empty if they agree.
    """
    names = [*stored, *(name for name in current if name not in stored)]
    unlike = [name for name in names if stored.get(name) != _plain(current.get(name))]
    # Another model has another state too, which says less.
    shown = [name for name in unlike if name != "state"] or unlike
    return ", ".join(
        f"{name} {stored.get(name)}, here {_plain(current.get(name))}" for name in shown
    )


def replies_differ(before: Mapping[str, Any], again: Mapping[str, Any]) -> bool:
    """Test whether two replies to one line differ in a field that does not depend on the clock.

    before: the logged reply.
    again: the replayed reply.

    Returns: whether any of `SAME` differs.
    """
    return any(again.get(name) != before.get(name) for name in SAME)


def replay_notes(replayed: int, differing: int) -> list[str]:
    """Describe a replay for the user.

    replayed: number of replayed lines.
    differing: number of replies that differ from the logged ones.

    Returns: lines of text.
    """
    found = [f"{replayed} lines replayed from the log"] if replayed else []
    if differing:
        found.append(
            f"{differing} replayed answers are not those given before; was that another machine?"
        )
    return found


def check_log(log: Path, point: Checkpoint, salvage: Callable[[str], None] | None) -> None:
    """Check the log behind a checkpoint: its chain, and that the segment named there exists.

    log: folder of the log.
    point: the checkpoint.
    salvage: prints a line after the log was cut at its first damage; None refuses damage.

    Raises: UsageError if it is damaged: its lines would be lost in silence.
    """
    # Checkpoints that are older than these checks lack the facts.
    fault = find_fault(log, point.number, point.facts.get("log"), point.facts.get("chain"))
    if fault is None:
        return
    if salvage is None:
        raise fault.refusal()
    salvage(set_aside(fault))


def _plain(value: Any) -> Any:
    """The value after a round trip through JSON."""
    return _values.decode(encode_line(value))


def lock_folder(root: Path) -> Callable[[], None]:
    """Lock a folder for this process, and create it if needed.

    root: path of the folder.

    Returns: function that gives the lock back.
    Raises: UsageError if the folder cannot be written or another run holds the lock.
    """
    with ExitStack() as held:
        try:
            private.make_folder(root)
            file = os.open(root / LOCK, os.O_RDWR | os.O_CREAT, private.FILE)
            held.callback(os.close, file)
            folder = os.open(root, os.O_RDONLY)
            held.callback(os.close, folder)
        except OSError as error:
            raise UsageError(
                f"{root}: cannot be written ({error.strerror}); name another --checkpoint"
            ) from error
        # The folder itself too: whoever deletes the file has not ended the run that holds it.
        for descriptor in (file, folder):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if descriptor == folder and not isinstance(error, BlockingIOError):
                    continue  # file systems of a network lock only what is open for writing
                raise UsageError(
                    f"{root}: another run writes to it; name another --checkpoint"
                ) from error
        return held.pop_all().close


def newest_checkpoint(
    checkpoints: Checkpoints,
    folder: str,
    identity: Mapping[str, Any],
    resume: bool,
    tell: Callable[[str], None],
) -> Checkpoint | None:
    """Find the checkpoint that a run starts from.

    checkpoints: those in the folder.
    folder: path of the folder, with its log.
    identity: identity of this run.
    resume: whether the run may continue from the folder.
    tell: prints a line for the user.

    Returns: the newest whole checkpoint; None for a new folder.
    Raises: UsageError if the folder is in use without `resume`, has no whole checkpoint, belongs to
        another identity.
    """
    numbers, files = checkpoints.numbers(), segment_paths(Path(folder) / LOG)
    if not resume and (numbers or files):
        last = f" of line {numbers[-1]}" if numbers else ""
        raise UsageError(
            f"{folder}: already holds a checkpoint{last}; go on from it with --resume, or "
            "name another folder"
        )
    point, wrong = checkpoints.read_newest()
    for line in wrong:
        tell(f"{line}; looking further back")
    if point is None and (wrong or any(scan_segment(file).count for file in files)):
        raise UsageError(
            f"{folder}: no checkpoint in it is whole, so --salvage could keep nothing; restore "
            "one, or name another folder to start anew"
        )
    if point is None and resume:
        tell(f"nothing to resume in {folder}: starting anew")
    if point is not None and (unlike := identity_differences(point.identity, identity)):
        raise UsageError(
            f"{folder}: its checkpoint is of another run: {unlike}; resume it as it was, "
            "or name another folder"
        )
    return point
