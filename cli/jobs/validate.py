"""The body of `uncertain validate`: read logs to their end and list their faults.

See also: streams/formats/audit.py for the counts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich.table import Table

from ...posteriors.errors import UsageError
from ...posteriors.parts.outcomes import outcome_kind
from ...posteriors.registry import build_model, fit_model_spec
from ...streams.formats.audit import Audit, build_log_encoder, build_record_check
from ...streams.formats.encoding import Encoder
from ...streams.formats.files import check_readable
from ...streams.formats.log import Log, require_same_actions
from ...streams.formats.ndjson import LineWriter
from ...streams.formats.record import Record
from ...streams.formats.registry import open_log, parse_format
from ..commands.validate import ValidateOptions
from ..environment import Environment, ExitStatus


def validate(options: ValidateOptions, environment: Environment) -> int:
    """Describe every file and its faults.

    options: of the command.
    environment: streams, terminal and clock.
    Returns: exit status; 1 if a file has a fault.
    Raises: UsageError for wrong options or input.
    """
    if list(options.files).count("-") > 1:
        raise UsageError("standard input (-) can be read once only")
    check_readable(list(options.files))
    parse_format(options.format)
    if options.model:
        # A misspelt model would be reported for every file otherwise.
        build_model(options.model)
    console = environment.console()
    writer = None if console is not None else LineWriter(environment.data, live=True)
    rows = []
    for path in options.files:
        rows.append(_row(path, options, environment))
        if writer is not None:
            writer.write(rows[-1])
    if console is not None:
        console.print(_table(rows))
        for line in _remarks(rows):
            console.print(line, highlight=False)
    return ExitStatus.GATE_FAILED if any(row["wrong"] for row in rows) else ExitStatus.DONE


def _row(path: str, options: ValidateOptions, environment: Environment) -> dict[str, Any]:
    """Describe one file; print its first wrong lines as they are read."""
    audit = Audit(options.limit, environment.say)
    log: Log | None = None
    try:
        log = open_log(path, options.format, options.label, environment.stdin, audit.count_error)
        audit.read_log(log, _fit(path, log, options.model))
    except UsageError as error:
        audit.count_error(error)
    if (more := audit.reasons.total() - len(audit.first)) > 0:
        environment.say(f"{path}: {more} more wrong lines; --limit shows more of them")
    return {"file": path, **_log_facts(log), **audit.report()}


def _log_facts(log: Log | None) -> dict[str, Any]:
    """Return the facts of a log, null where they do not apply."""
    if log is None:
        names = ("format", "arms", "names", "context", "size", "offered", "columns")
        return {**dict.fromkeys(names), "left_out": {}, "notes": []}
    return {
        "format": log.format_name,
        "arms": len(log.names) or None,
        "names": list(log.names) or None,
        "context": log.context if log.names else None,
        "size": log.size or None,
        "offered": log.most_candidates or None,
        "columns": list(log.column_names) or None,
        "left_out": dict(log.left_out),
        "notes": list(log.notes),
    }


def _fit(path: str, log: Log, model: str | None) -> Callable[[Record], None]:
    """Return a check of records against the log's own actions or the model's."""
    if model is None:
        # A log without actions has nothing to fit.
        return (
            (lambda record: None)
            if log.problem
            else build_record_check(build_log_encoder(log), False)
        )
    resolved = fit_model_spec(model, log.actions)
    built = build_model(resolved)
    require_same_actions(path, log, resolved, built.actions)
    encoder = Encoder(
        built.actions, outcome_kind(built), log.names, log.most_candidates, bool(built.latent)
    )
    return build_record_check(encoder, True)


COLUMNS = ("file", "format", "events", "arms", "context", "y", "p", "wrong")


def _table(rows: list[dict[str, Any]]) -> Any:
    """Format the rows as a table."""
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for name in COLUMNS:
        left = name in ("file", "format")
        grid.add_column(name, justify="left" if left else "right", overflow="fold",
                        no_wrap=name != "file")  # fmt: skip
    for row in rows:
        grid.add_row(*(_cell(row, name) for name in COLUMNS))
    return grid


def _cell(row: dict[str, Any], name: str) -> str:
    """Format one value."""
    value = row.get(name)
    if name == "arms" and row["size"]:
        return f"vectors of {row['size']}"
    if name == "y" and value is not None:
        return f"{value['least']:g} to {value['most']:g}"
    if name == "p":
        least = row["propensity"]["least"]
        return "–" if least is None else f"at least {least:.4g}"
    return "–" if value is None else str(value)


def _remarks(rows: list[dict[str, Any]]) -> list[str]:
    """Return remarks on each file."""
    remarks = []
    for row in rows:
        kinds = row["kinds"]
        counts = {
            "actions without a propensity": row["propensity"]["missing"],
            "requests": kinds.get("request", 0),
            "decisions without an observation": row["unanswered"],
            "decisions or other ids withdrawn": kinds.get("withdrawal", 0),
            "observations of an id that is not waiting": row["unmatched"],
            f"ids again, first in {row['first_duplicate']}": row["duplicates"],
            "times before the one above": row["backwards"],
            **{f"left out: {reason}": count for reason, count in row["left_out"].items()},
            **{f"wrong: {reason}": count for reason, count in row["reasons"].items()},
        }
        remarks += [f"{row['file']}: {count} {fault}" for fault, count in counts.items() if count]
        remarks += [f"{row['file']}: {note}" for note in row["notes"]]
    return remarks


__all__ = ["validate"]
