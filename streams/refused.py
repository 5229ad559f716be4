"""Refused lines: counted by reason, answered, and kept in a file for whoever wants to mend them.

Not here: what is wrong with a line (ndjson.py, encode.py), or whose turn is next (cli/run.py).
"""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from typing import Any

import msgspec

from ..posteriors.base import UsageError
from .arriving import QUOTED, Arrival
from .keyed import key_of
from .ndjson import NOT_JSON, encode
from .record import LineError

CUT_OFF, TOO_LONG = "cut off", "too long"
LOOKED_AT = 1 << 12
"""Bytes at the front of a broken line in which its id is looked for."""
ID = re.compile(rb'\s*\{[^\[{]*?"id"\s*:\s*("(?:[^"\\]|\\.)*"|-?\d{1,40})\s*[,}]')
"""An id before anything nested: one of a candidate is not the line's."""
ESCAPED = re.compile(rb"\\(\\|x[0-9a-f]{2})")


class Named(msgspec.Struct):
    """What is left of a line whose other fields are wrong."""

    id: str | int | None = None


_named = msgspec.json.Decoder(Named)


def id_of(line: bytes) -> str | int | None:
    """The id of a line that is wrong otherwise, as far as it can be told."""
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


def too_long(arrival: Arrival, longest: int) -> LineError:
    """The error of a line above the limit."""
    what = f"{arrival.length} bytes, at most {longest} are taken"
    return arrival.where.error("", what, "raise --max-line, or is it one event a line?", TOO_LONG)


def reason_of(arrival: Arrival, error: LineError) -> str:
    """The sort of wrong that a line is counted by."""
    if error.reason == NOT_JSON and not arrival.whole:
        return CUT_OFF
    return error.reason


def row(arrival: Arrival, error: LineError, when: float) -> dict[str, Any]:
    """What the file keeps of a line.

    when: seconds since 1970. offset and length: bytes. text: the line, its first QUOTED bytes where
    it is longer. `escaped` where it is no UTF-8: then a backslash is doubled, and a byte that does
    not belong is \\x and two hexadecimal digits.
    """
    where, line = arrival.where, arrival.line[:QUOTED]
    fields = {
        "t": when, "reason": reason_of(arrival, error), "problem": str(error),
        "source": where.file, "line": where.line, "offset": arrival.offset,
        "length": arrival.length,
    }  # fmt: skip
    try:
        return fields | {"text": line.decode()}
    except UnicodeDecodeError:
        text = line.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")
        return fields | {"text": text, "escaped": True}


def original(row: dict[str, Any]) -> bytes:
    """The bytes of a line as far as the file kept them."""
    text: bytes = row["text"].encode()
    if not row.get("escaped"):
        return text
    return ESCAPED.sub(lambda m: b"\\" if m[1] == b"\\" else bytes.fromhex(m[1][1:].decode()), text)


class Refusals:
    """Counts refused lines by reason, and appends them to the file at `path` if there is one.

    field: that holds a stream's key, where lines of many are told apart. Raises UsageError where
    the file cannot be opened. One that later cannot be written (a full disk) stops nobody:
    `unwritten` counts the lines, `trouble` says why.
    """

    def __init__(self, path: str | None = None, field: str | None = None) -> None:
        self.path, self.field = path, field
        self.reasons: Counter[str] = Counter()
        self.unwritten, self.trouble = 0, ""
        self._file, self._torn = -1, False
        if path is not None:
            try:
                # One write a line at the end of the file: several processes may share it.
                self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            except OSError as error:
                raise UsageError(
                    f"{path}: cannot be written ({error.strerror}); name another --quarantine"
                ) from error

    def refuse(self, arrival: Arrival, error: LineError) -> dict[str, Any]:
        """Count and keep a line; the reply to whoever sent it."""
        self.reasons[reason_of(arrival, error)] += 1
        if self._file >= 0:
            self._keep(encode(row(arrival, error, time.time())))
        whose = {} if self.field is None else {self.field: key_of(arrival.line, self.field)}
        return {**whose, "id": id_of(arrival.line), "error": str(error)}

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
        """Counts for a person; nothing where nothing was refused."""
        if not self.reasons:
            return []
        lines = [f"{self.reasons.total()} lines refused: {by_reason(self.reasons)}"]
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


def by_reason(reasons: Counter[str]) -> str:
    """`3 not JSON, 1 too long`, the commonest first."""
    return ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
