"""Faults of a write-ahead log: found, refused with the remedy, or set aside by `--salvage`.

See also: log_segments.py for the format.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from ...posteriors.errors import UsageError
from . import private
from .log_segments import (
    Segment,
    first_line_of,
    link_damage,
    scan_segment,
    segment_path,
    segment_paths,
)


class Fault(NamedTuple):
    """The first damage of a log.

    path: the segment.
    reason: text.
    kept: bytes of it before the damage.
    line: number of the last whole line before the damage.
    last: number of the last line of which anything is left; None if nothing is.
    later: the segments behind.
    """

    path: Path
    reason: str
    kept: int
    line: int
    last: int | None
    later: tuple[Path, ...] = ()

    def refusal(self) -> UsageError:
        """Return the error that says what is damaged, and what a salvage would keep."""
        return UsageError(
            f"{self.path}: {self.reason}; restore it, or go on with --resume --salvage, which "
            f"keeps all up to line {self.line} and sets the rest aside"
        )

    @property
    def dropped(self) -> str:
        """The lines behind the damage, as text."""
        if self.last is None:
            return f"all lines after {self.line}"
        if self.last <= self.line:
            return f"all after line {self.line}"
        return f"lines {self.line + 1} to {self.last}"


def find_fault(folder: Path, after: int, name: str | None, check: int | None) -> Fault | None:
    """Find the first damage that matters to a replay.

    folder: folder of the log.
    after: number of the last line that the replay does not need.
    name: file name of the segment with the line behind it; None if unknown.
    check: checksum that the segment begins from; None if unknown.
    """
    files, before, line = segment_paths(folder), None, after
    if name is not None and not (folder / name).exists():
        return _gap(folder, after, [path for path in files if first_line_of(path) > after])
    for place, path in enumerate(files):
        later = tuple(files[place + 1 :])
        if later and first_line_of(later[0]) <= after + 1:
            continue
        if first_line_of(path) > line + 1:
            return _gap(folder, line, files[place:])
        segment = scan_segment(path)
        fault = _fault_of(segment, check if path.name == name else before, later)
        if fault is not None:
            return fault
        before, line = segment.check, segment.line
    return None


def _gap(folder: Path, line: int, later: list[Path]) -> Fault:
    """The fault of a log that lacks the lines behind one."""
    last = max((scan_segment(path).last_line() for path in later), default=None)
    path = segment_path(folder, line + 1)
    reason = "lacks its lines" if path.exists() else "missing"
    return Fault(path, reason, 0, line, last, tuple(later))


def tail_fault(segment: Segment) -> Fault | None:
    """Find damage in the newest segment; a torn tail is none.

    segment: the newest.
    """
    return _fault_of(segment, None, ())


def _fault_of(segment: Segment, check: int | None, later: tuple[Path, ...]) -> Fault | None:
    """The damage of a segment that begins from a checksum."""
    kept, line = segment.whole, segment.line
    if reason := link_damage(segment, check):
        kept, line = 0, first_line_of(segment.path) - 1
    elif not (reason := segment.damage()) and later and segment.torn:
        reason = f"damaged at byte {segment.whole} before {later[0].name}"
    elif not reason:
        return None
    last = max(scan_segment(path).last_line() for path in (segment.path, *later))
    return Fault(segment.path, reason, kept, line, last, later)


def set_aside(fault: Fault) -> str:
    """Cut the log at its first damage; bytes behind it are kept as `NAME.damaged`.

    fault: the damage.
    Returns: a line for the user.
    Raises: UsageError if the folder cannot be written.
    """
    try:
        moved, size = [], 0
        # The newest first: if this is cut short, the damage is still found.
        for path in reversed(fault.later):
            size += path.stat().st_size
            moved.append(path.rename(free_path(path)).name)
        if fault.path.exists():
            content = fault.path.read_bytes()
            aside = free_path(fault.path)
            write_file(aside, content)
            moved.append(aside.name)
            size += len(content) - fault.kept
            os.truncate(fault.path, fault.kept)
        else:
            write_file(fault.path, b"")
    except OSError as error:
        raise UsageError(
            f"{fault.path}: cannot be salvaged ({error.strerror}); check rights and space"
        ) from error
    kept = f", kept aside as {', '.join(reversed(moved))}" if moved else ""
    return (
        f"{fault.path}: {fault.reason}; dropped {fault.dropped} ({size:,} bytes{kept}); going on "
        f"after line {fault.line}"
    )


def free_path(path: Path) -> Path:
    """Return the first of `NAME.damaged`, `NAME.damaged.2`, ... that does not exist.

    path: file to set aside.
    """
    aside, count = path.with_name(f"{path.name}.damaged"), 1
    while aside.exists():
        count += 1
        aside = path.with_name(f"{path.name}.damaged.{count}")
    return aside


def write_file(path: Path, content: bytes) -> None:
    """Write a file for its owner alone, and sync it.

    path: the file, which must not exist.
    content: its bytes.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, private.FILE)
    with open(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
