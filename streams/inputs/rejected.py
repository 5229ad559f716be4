"""Rejected lines: counted by reason, answered, and kept in a file to be mended.

See also: ../formats/ndjson.py and ../formats/encoding.py for the reasons, ../../cli/live/run.py for
the loop.
"""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from typing import Any

import msgspec

from ...posteriors.errors import UsageError
from ..formats.keyed import read_key
from ..formats.line_errors import NOT_JSON
from ..formats.ndjson import encode_line
from ..formats.record import LineError
from ..storage import private
from .base import QUOTED, Arrival

CUT_OFF, TOO_LONG = "cut off", "too long"
LOOKED_AT = 1 << 12
"""Bytes at the front of a broken line in which its id is looked for."""
ID = re.compile(rb'\s*\{[^\[{]*?"id"\s*:\s*("(?:[^"\\]|\\.)*"|-?\d{1,40})\s*[,}]')
"""An id before anything nested: one of a candidate is not the line's."""
ESCAPED = re.compile(rb"\\(\\|x[0-9a-f]{2})")


class IdOnly(msgspec.Struct):
    """The only field read of a line that is wrong otherwise."""

    id: str | int | None = None


_named = msgspec.json.Decoder(IdOnly)


def read_id(line: bytes) -> str | int | None:
    """Return the id of a line that is wrong otherwise; None if it cannot be read.

    line: bytes as received.
    """
    try:
        if len(line) <= QUOTED:
            return _named.decode(line).id
    except Exception:  # whatever is wrong with the line, its id may still be read
        pass
    found = ID.match(line[:LOOKED_AT])
    try:
        return msgspec.json.decode(found[1], type=str | int) if found else None
    except Exception:  # an id that cannot be read is none
        return None


def too_long_error(arrival: Arrival, longest: int) -> LineError:
    """Return the error of a line above the limit.

    arrival: the line.
    longest: most bytes of a line.
    """
    what = f"{arrival.length} bytes, at most {longest} are taken"
    return arrival.where.error("", what, "raise --max-line, or is it one event a line?", TOO_LONG)


def _reason_of(arrival: Arrival, error: LineError) -> str:
    """The sort of wrong that a line is counted by."""
    if error.reason == NOT_JSON and not arrival.whole:
        return CUT_OFF
    return error.reason


def rejected_fields(arrival: Arrival, error: LineError, when: float) -> dict[str, Any]:
    """Return the fields that the file keeps of a line.

    `t` is seconds since 1970, `offset` and `length` are bytes, `text` is the line or its first
    QUOTED bytes. `escaped` marks a line that is not UTF-8: a backslash is doubled, and a wrong byte
    becomes \\x and two hexadecimal digits.

    arrival: the line.
    error: its error.
    when: seconds since 1970.
    """
    where, line = arrival.where, arrival.line[:QUOTED]
    fields = {
        "t": when, "reason": _reason_of(arrival, error), "problem": str(error),
        "source": where.file, "line": where.line, "offset": arrival.offset,
        "length": arrival.length,
    }  # fmt: skip
    try:
        return fields | {"text": line.decode()}
    except UnicodeDecodeError:
        text = line.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")
        return fields | {"text": text, "escaped": True}


def original_bytes(row: dict[str, Any]) -> bytes:
    """Return the bytes of a line as far as the file kept them.

    row: fields of the line.
    """
    text: bytes = row["text"].encode()
    if not row.get("escaped"):
        return text
    return ESCAPED.sub(lambda m: b"\\" if m[1] == b"\\" else bytes.fromhex(m[1][1:].decode()), text)


class RejectedLines:
    """Counts rejected lines by reason, and appends them to a file.

    path: file, or None. If it cannot be written later (a full disk), the run goes on: `unwritten`
        counts the lines, `trouble` is the reason.
    field: name of the key field of a stream, or None.
    Raises: UsageError if the file cannot be opened.
    """

    def __init__(self, path: str | None = None, field: str | None = None) -> None:
        self.path, self.field = path, field
        self.reasons: Counter[str] = Counter()
        self.unwritten, self.trouble = 0, ""
        self._file, self._torn = -1, False
        if path is not None:
            try:
                # One write a line at the end of the file: several processes may share it.
                self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, private.FILE)
            except OSError as error:
                raise UsageError(
                    f"{path}: cannot be written ({error.strerror}); name another --quarantine"
                ) from error

    def reject(self, arrival: Arrival, error: LineError) -> dict[str, Any]:
        """Count and keep a line.

        arrival: the line.
        error: its error.
        Returns: the reply to its sender.
        """
        self.reasons[_reason_of(arrival, error)] += 1
        if self._file >= 0:
            self._keep(encode_line(rejected_fields(arrival, error, time.time())))
        whose = {} if self.field is None else {self.field: read_key(arrival.line, self.field)}
        return {**whose, "id": read_id(arrival.line), "error": str(error)}

    def _keep(self, data: bytes) -> None:
        try:
            # What follows a line that was cut short starts on a line of its own.
            data = b"\n" * self._torn + data
            self._torn = os.write(self._file, data) < len(data)
            trouble = "no room for a whole line"
        except OSError as error:
            self._torn, trouble = True, error.strerror
        if self._torn:
            self.unwritten += 1
            self.trouble = trouble

    def summary(self) -> list[str]:
        """Return counts for the user; empty if no line was rejected."""
        if not self.reasons:
            return []
        lines = [f"{self.reasons.total()} lines refused: {format_reasons(self.reasons)}"]
        if self.path is not None:
            lines[0] += f"; kept in {self.path}"
        if self.unwritten:
            lines.append(f"{self.unwritten} of them not kept in {self.path}: {self.trouble}")
        return lines

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def format_reasons(reasons: Counter[str]) -> str:
    """Return counts as `3 not JSON, 1 too long`, the commonest first.

    reasons: counts by reason.
    """
    return ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
