"""Errors of a line of JSON that a decoder has refused.

See also: json_errors.py and field_errors.py, which find the fault.
"""

from __future__ import annotations

from ...posteriors.specs import nearest
from .field_errors import MISSING, TOO_LARGE, UNKNOWN, FieldError
from .json_errors import JsonCheck, check_json, join_path
from .record import LineError, Where

NOT_JSON, NOT_UTF8 = "not JSON", "not UTF-8"


def check_line(line: bytes, where: Where) -> JsonCheck:
    """Read a refused line with the tool's own JSON reader.

    line: bytes as received.
    where: place of the line.
    Raises: LineError if it is not UTF-8.
    """
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        remedy = "write the file as UTF-8"
        raise where.error("", "not UTF-8 text", remedy, NOT_UTF8) from error
    return check_json(text)


def not_json_error(flaw: str, where: Where) -> LineError:
    """Return the error of a line that is not JSON.

    flaw: the flaw in words.
    where: place of the line.
    """
    return where.error("", f"not JSON ({flaw})", "write one JSON object a line", NOT_JSON)


def unfit_error(wrong: FieldError | None, where: Where) -> LineError:
    """Return the error of a value that does not fit its field.

    wrong: the misfit; None if none was found.
    where: place of the line.
    """
    if wrong is None:
        return where.error("", "cannot be read", "correct the line")
    if wrong.reason == UNKNOWN:
        what, remedy = f'no field called "{wrong.name}"', nearest(wrong.name, [*wrong.known])[2:]
        return where.error(wrong.field, what, remedy, UNKNOWN)
    if wrong.reason == MISSING:
        return where.error(
            join_path(wrong.field, wrong.name), "missing", "every line needs it", MISSING
        )
    if wrong.reason == TOO_LARGE:
        return where.error(wrong.field, "too large for a number", "keep it finite", TOO_LARGE)
    return where.error(wrong.field, wrong.wanted, "correct the line")
