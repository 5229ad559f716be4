"""The body of `uncertain inspect`: show a checkpoint folder and its damage; repair nothing."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from rich.table import Table

from ...decide.loop.durable.recovery import CHECKPOINTS, LOG, SPILLED
from ...posteriors.errors import UsageError
from ...posteriors.units import KILOBYTE
from ...streams.formats.ndjson import LineWriter
from ...streams.storage.checkpoint import Checkpoint, Checkpoints, DamagedCheckpoint
from ...streams.storage.log_segments import (
    LINE,
    REPLY,
    first_line_of,
    link_damage,
    scan_segment,
    segment_paths,
)
from ...streams.storage.spill import Spill
from ..commands.inspect import InspectOptions
from ..environment import Environment, ExitStatus

Row = dict[str, Any]
SCALES = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s"))


def inspect(options: InspectOptions, environment: Environment) -> int:
    """Show checkpoints and log segments: tables on a terminal, else one JSON object a line.

    A torn tail of the log is not damage: a kill leaves one, and a resume cuts it off.
    options: of the command.
    environment: streams, terminal and clock.
    Returns: exit status; 1 if something is damaged.
    Raises: UsageError for wrong options or input.
    """
    root = Path(options.folder)
    if not (root / CHECKPOINTS).is_dir() and not (root / LOG).is_dir():
        raise UsageError(
            f"{options.folder}: holds no checkpoints; name the folder of run --checkpoint"
        )
    points, segments = _checkpoints(root / CHECKPOINTS), _log(root / LOG)
    streams = _spilled(root / SPILLED)
    console = environment.console()
    if console is None:
        writer = LineWriter(environment.data)
        for row in (*points, *segments, *streams):
            writer.write(row)
    else:
        for line in _identity(points):
            console.print(line, highlight=False)
        shown = [name for name in POINTS if name != "streams" or any(name in p for p in points)]
        console.print(_table(points, tuple(shown)), _table(segments, SEGMENTS), sep="\n\n")
        for row in streams:
            size = f"{row['streams']:,} in {row['versions']:,} versions, {_cell(row, 'size')}"
            console.print(f"\nstreams spilled: {size}", highlight=False)
    damaged = [row for row in (*points, *segments) if row["damage"]]
    for row in damaged:
        environment.say(f"{row['path']}: {row['damage']}")
    return ExitStatus.INCOMPLETE if damaged else ExitStatus.DONE


def _checkpoints(folder: Path) -> list[Row]:
    """Return a row for each checkpoint, the oldest first."""
    kept, rows = Checkpoints(folder), []
    for number in kept.numbers():
        path = kept.path(number)
        size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        row: Row = {"kind": "checkpoint", "path": str(path), "line": number, "bytes": size}
        try:
            row |= {"damage": None, **_known(kept.read(number))}
        except DamagedCheckpoint as error:
            row |= {"damage": f"damaged ({error})"}
        rows.append(row)
    return rows


def _known(point: Checkpoint) -> Row:
    """Return the facts of a checkpoint."""
    facts, server = point.facts, point.facts["server"]
    file, line, end, _ = facts["input"]
    return {
        "age": time.time() - facts["written"],
        "step": server["counts"]["learnt"],
        "counts": server["counts"],
        **(_of_many(server) if "streams" in server else _of_one(server)),
        "spent": server["spent"],
        "stopped": server["stopped"],
        "input": {"file": file or None, "line": line, "bytes": end},
        "remembered": len(point.arrays["known"]),
        "identity": point.identity,
    }


def _of_one(server: dict[str, Any]) -> Row:
    """Return the facts of a single stream."""
    waiting = {"waiting": len(server["waiting"]), "dropped": server["dropped"]}
    return waiting | {"latest": server["latest"], "ahead": server["ahead"]}


def _of_many(server: dict[str, Any]) -> Row:
    """Return the number of keyed streams, and of those in memory."""
    waits, counts = server["waits"], server["known"]
    waiting = {"waiting": waits["count"], "dropped": waits["dropped"]}
    return waiting | {"streams": {"memory": len(server["streams"]), **counts}}


def _spilled(folder: Path) -> list[Row]:
    """Return a row about spilled streams, if there are any."""
    if not folder.is_dir():
        return []
    held = Spill(folder).measure()
    return [{"kind": "streams", "path": str(folder), "damage": None, **held._asdict()}]


def _log(folder: Path) -> list[Row]:
    """Return a row for each segment of the log."""
    rows = []
    files, check = segment_paths(folder), None
    for path in files:
        segment = scan_segment(path)
        kinds = [entry.kind for entry in segment.entries()]
        damage = link_damage(segment, check) or None
        # What follows the last whole record of the newest segment may be torn.
        if segment.torn and (path != files[-1] or segment.damage()):
            damage = f"damaged at byte {segment.whole}"
        check = None if segment.torn else segment.check
        rows.append(
            {
                "kind": "segment", "path": str(path), "line": first_line_of(path),
                "bytes": segment.size, "damage": damage, "lines": kinds.count(LINE),
                "replies": kinds.count(REPLY), "torn": segment.torn,
            }
        )  # fmt: skip
    return rows


POINTS = ("line", "step", "decided", "waiting", "streams", "input", "age", "size", "state")
SEGMENTS = ("log from line", "lines", "replies", "torn", "size", "state")


def _identity(points: list[Row]) -> list[str]:
    """Format the identity in the newest whole checkpoint."""
    whole = [row for row in points if not row["damage"]]
    if not whole:
        return []
    identity = whole[-1]["identity"].items()
    plain = [f"{name}={value}" for name, value in identity if isinstance(value, int | float | str)]
    return ["  ".join(plain), ""]


def _table(rows: list[Row], names: tuple[str, ...]) -> Any:
    """Format rows of one kind as a table."""
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        grid.add_column(name, justify="left" if name in ("input", "state") else "right")
    for row in rows:
        grid.add_row(*(_cell(row, name) for name in names))
    return grid


def _cell(row: Row, name: str) -> str:
    """Format one value."""
    if name == "state":
        return "damaged" if row["damage"] else "whole"
    if name == "size":
        return f"{row['bytes'] / KILOBYTE:,.1f} kB"
    if name == "log from line":
        name = "line"
    value = row.get("counts", {}).get(name) if name == "decided" else row.get(name)
    if value is None:
        return "–"
    if name == "streams":
        return f"{value['memory']:,} of {value['known']:,}"
    if name == "input":
        name = Path(value["file"] or "–").name
        return f"{name}:{value['line']}" if value["line"] or value["file"] is None else name
    return _ago(value) if name == "age" else str(value)


def _ago(seconds: float) -> str:
    """Format an age as `3 min`."""
    for scale, unit in SCALES:
        if seconds >= scale:
            return f"{seconds / scale:.0f} {unit}"
    return "now"


__all__ = ["inspect"]
