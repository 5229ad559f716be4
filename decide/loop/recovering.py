"""What a folder of checkpoints and log lets a run do when it comes back.

Pure functions over what was found, and the hold on the folder. Not here: learning it again
(durable.py).
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from ...posteriors.base import UsageError
from ...streams.ndjson import encode
from ...streams.wal import LINE, REPLY, Entry

CHECKPOINTS, LOG, LOCK, SPILLED = "checkpoints", "log", "lock", "streams"
"""What is in the folder."""
PLACE = struct.Struct("<Q")
"""Before a logged reply: where it ends in the output, 0 where that is no file."""
SAME = (
    "action", "actions", "propensity", "propensities", "scores", "gain", "realised_gain", "nll",
    "step", "ahead", "stop", "alarm",
)  # fmt: skip
"""Of a reply, what does not depend on the clock."""

_values = msgspec.json.Decoder()


def turns(found: Iterator[Entry]) -> Iterator[tuple[Entry, Entry | None]]:
    """Each logged line with its reply, None where it was refused or never answered."""
    line: Entry | None = None
    for entry in found:
        if entry.kind == LINE:
            if line is not None:
                yield line, None
            line = entry
        elif line is not None:
            yield line, entry
            line = None
    if line is not None:
        yield line, None


def lacking(found: Iterator[Entry], size: int) -> list[bytes]:
    """What an output file of `size` bytes lacks of the replies in the log.

    A file that ends before the first of them is another file: it lacks the last of them at most.
    """
    missing: list[bytes] = []
    known, last = False, b""
    for entry in found:
        if entry.kind != REPLY:
            continue
        (end,), last = PLACE.unpack_from(entry.body), entry.body[PLACE.size :]
        begin = end - len(last)
        known |= begin <= size
        if size < end:
            missing.append(last[max(size - begin, 0) :])
            size = end
    return missing if known or not missing else [last]


def differences(kept: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """What of two identities is not the same, naming both."""
    names = [*kept, *(name for name in here if name not in kept)]
    unlike = [name for name in names if kept.get(name) != plain(here.get(name))]
    # Another model has another state too, which says less.
    told = [name for name in unlike if name != "state"] or unlike
    return ", ".join(f"{name} {kept.get(name)}, here {plain(here.get(name))}" for name in told)


def differing(before: Mapping[str, Any], again: Mapping[str, Any]) -> bool:
    """Whether two replies to the same line say what they should not both say."""
    return any(again.get(name) != before.get(name) for name in SAME)


def notes(replayed: int, differing: int) -> list[str]:
    """For a person, after a replay."""
    found = [f"{replayed} lines replayed from the log"] if replayed else []
    if differing:
        found.append(
            f"{differing} replayed answers are not those given before; was that another machine?"
        )
    return found


def plain(value: Any) -> Any:
    """As JSON gives it back."""
    return _values.decode(encode(value))


def locked(root: Path) -> int:
    """A descriptor that holds the folder for this process, made if need be."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        held = os.open(root / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise UsageError(
            f"{root}: cannot be written ({error.strerror}); name another --checkpoint"
        ) from error
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(held)
        raise UsageError(f"{root}: another run writes to it; name another --checkpoint") from error
    return held
