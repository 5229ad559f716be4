"""The body of `uncertain validate`: logs in, what is in them and what is wrong out.

Not here: what is counted (streams/audit.py), or parsing the command line (command_logs.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .environment import Environment, ExitStatus

if TYPE_CHECKING:
    from ..streams.log import Log
    from ..streams.record import Record


@dataclass(frozen=True)
class Validate:
    """What the command line said; None where it said nothing."""

    files: tuple[str, ...]
    format: str | None = None
    label: str | None = None
    model: str | None = None
    limit: int = 20


def validate(options: Validate, environment: Environment) -> int:
    """Say what is in every file; 1 where anything is wrong. Raises UsageError for wrong options."""
    from ..posteriors.base import UsageError
    from ..posteriors.registry import build_model
    from ..streams.files import check_readable
    from ..streams.formats import chosen
    from ..streams.ndjson import Writer

    if list(options.files).count("-") > 1:
        raise UsageError("standard input (-) can be read once only")
    check_readable(list(options.files))
    chosen(options.format)
    if options.model:
        # A misspelt one would be the same problem of every file.
        build_model(options.model)
    console = environment.console()
    writer = None if console is not None else Writer(environment.data, live=True)
    rows = []
    for path in options.files:
        rows.append(row(path, options, environment))
        if writer is not None:
            writer.write(rows[-1])
    if console is not None:
        console.print(table(rows))
        for line in remarks(rows):
            console.print(line, highlight=False)
    return ExitStatus.GATE_FAILED if any(row["wrong"] for row in rows) else ExitStatus.DONE


def row(path: str, options: Validate, environment: Environment) -> dict[str, Any]:
    """What is in one file; its first wrong lines are said as they are met."""
    from ..posteriors.base import UsageError
    from ..streams.audit import Audit
    from ..streams.formats import open_log

    audit = Audit(options.limit, environment.say)
    log: Log | None = None
    try:
        log = open_log(path, options.format, options.label, environment.stdin, audit.wrong)
        audit.read(log, fit(path, log, options.model))
    except UsageError as error:
        audit.wrong(error)
    if (more := audit.reasons.total() - len(audit.first)) > 0:
        environment.say(f"{path}: {more} more wrong lines; --limit shows more of them")
    return {"file": path, **said_by(log), **audit.report()}


def said_by(log: Log | None) -> dict[str, Any]:
    """What a log says of itself, null where it could not be opened or does not apply."""
    if log is None:
        names = ("format", "arms", "names", "context", "size", "offered", "columns")
        return {**dict.fromkeys(names), "left_out": {}, "notes": []}
    return {
        "format": log.form,
        "arms": len(log.names) or None,
        "names": list(log.names) or None,
        "context": log.context if log.names else None,
        "size": log.size or None,
        "offered": log.offered or None,
        "columns": list(log.columns) or None,
        "left_out": dict(log.left_out),
        "notes": list(log.notes),
    }


def fit(path: str, log: Log, model: str | None) -> Callable[[Record], None]:
    """What raises for a record that does not fit the log's own actions, or the model's."""
    from ..posteriors.outcomes import outcome_kind
    from ..posteriors.registry import build_model, fitted
    from ..streams.audit import fits, log_encoder
    from ..streams.encode import Encoder
    from ..streams.log import agree

    if model is None:
        # Where nothing was done yet there is nothing to fit.
        return (lambda record: None) if log.problem else fits(log_encoder(log), False)
    resolved = fitted(model, log.actions)
    built = build_model(resolved)
    agree(path, log, resolved, built.actions)
    encoder = Encoder(
        built.actions, outcome_kind(built), log.names, log.offered, bool(built.latent)
    )
    return fits(encoder, True)


COLUMNS = ("file", "format", "events", "arms", "context", "y", "p", "wrong")


def table(rows: list[dict[str, Any]]) -> Any:
    """The rows for a person."""
    from rich.table import Table

    grid = Table(box=None, pad_edge=False, header_style="bold")
    for name in COLUMNS:
        left = name in ("file", "format")
        grid.add_column(name, justify="left" if left else "right", overflow="fold",
                        no_wrap=name != "file")  # fmt: skip
    for row in rows:
        grid.add_row(*(cell(row, name) for name in COLUMNS))
    return grid


def cell(row: dict[str, Any], name: str) -> str:
    """One value for a person."""
    value = row.get(name)
    if name == "arms" and row["size"]:
        return f"vectors of {row['size']}"
    if name == "y" and value is not None:
        return f"{value['least']:g} to {value['most']:g}"
    if name == "p":
        least = row["propensity"]["least"]
        return "–" if least is None else f"at least {least:.4g}"
    return "–" if value is None else str(value)


def remarks(rows: list[dict[str, Any]]) -> list[str]:
    """What else there is to say of each file."""
    said = []
    for row in rows:
        kinds = row["kinds"]
        counts = {
            "actions without a propensity": row["propensity"]["missing"],
            "requests": kinds.get("request", 0),
            "decisions without an observation": row["unanswered"],
            "observations of an id that is not waiting": row["unmatched"],
            f"ids again, first in {row['first_duplicate']}": row["duplicates"],
            "times before the one above": row["backwards"],
            **{f"left out: {what}": count for what, count in row["left_out"].items()},
            **{f"wrong: {reason}": count for reason, count in row["reasons"].items()},
        }
        said += [f"{row['file']}: {count} {what}" for what, count in counts.items() if count]
        said += [f"{row['file']}: {note}" for note in row["notes"]]
    return said


__all__ = ["Validate", "validate"]
