"""`uncertain inspect`: what a folder of `run --checkpoint` holds, and what in it is damaged.

Not here: repairing anything.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .environment import Environment, ExitStatus

if TYPE_CHECKING:
    from ..streams.checkpoint import Checkpoint

Row = dict[str, Any]
KILO = 1e3
SCALES = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s"))


def inspect(place: str, environment: Environment) -> int:
    """Checkpoints and segments of the log: tables on a terminal, one JSON object a line elsewhere.

    The status is 1 where something is damaged. A torn tail of the log is none: it is what a kill
    leaves, and is cut off when the run is resumed.
    """
    from ..decide.loop.recovering import CHECKPOINTS, LOG, SPILLED
    from ..posteriors.base import UsageError
    from ..streams.ndjson import Writer

    root = Path(place)
    if not (root / CHECKPOINTS).is_dir() and not (root / LOG).is_dir():
        raise UsageError(f"{place}: holds no checkpoints; name the folder of run --checkpoint")
    points, segments = checkpoints(root / CHECKPOINTS), log(root / LOG)
    streams = spilled(root / SPILLED)
    console = environment.console()
    if console is None:
        writer = Writer(environment.data)
        for row in (*points, *segments, *streams):
            writer.write(row)
    else:
        for line in identity(points):
            console.print(line, highlight=False)
        shown = [name for name in POINTS if name != "streams" or any(name in p for p in points)]
        console.print(table(points, tuple(shown)), table(segments, SEGMENTS), sep="\n\n")
        for row in streams:
            told = f"{row['streams']:,} in {row['versions']:,} versions, {cell(row, 'size')}"
            console.print(f"\nstreams spilled: {told}", highlight=False)
    damaged = [row for row in (*points, *segments) if row["damage"]]
    for row in damaged:
        environment.say(f"{row['path']}: {row['damage']}")
    return ExitStatus.INCOMPLETE if damaged else ExitStatus.DONE


def checkpoints(folder: Path) -> list[Row]:
    """A row each, the oldest first; of a damaged one little is known."""
    from ..streams.checkpoint import Checkpoints, Damaged

    kept, rows = Checkpoints(folder), []
    for number in kept.numbers():
        path = kept.path(number)
        size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        row: Row = {"kind": "checkpoint", "path": str(path), "line": number, "bytes": size}
        try:
            row |= {"damage": None, **known(kept.read(number))}
        except Damaged as error:
            row |= {"damage": f"damaged ({error})"}
        rows.append(row)
    return rows


def known(point: Checkpoint) -> Row:
    """What a checkpoint says."""
    facts, server = point.facts, point.facts["server"]
    file, line, end, _ = facts["input"]
    return {
        "age": time.time() - facts["written"],
        "step": server["counts"]["learnt"],
        "counts": server["counts"],
        **(of_many(server) if "streams" in server else of_one(server)),
        "spent": server["spent"],
        "stopped": server["stopped"],
        "input": {"file": file or None, "line": line, "bytes": end},
        "remembered": len(point.arrays["known"]),
        "identity": point.identity,
    }


def of_one(server: dict[str, Any]) -> Row:
    """What is said of a stream alone."""
    waiting = {"waiting": len(server["waiting"]), "dropped": server["dropped"]}
    return waiting | {"latest": server["latest"], "ahead": server["ahead"]}


def of_many(server: dict[str, Any]) -> Row:
    """What is said of the streams of --key-by: how many there are, and how many are in memory."""
    waits, counts = server["waits"], server["known"]
    waiting = {"waiting": waits["count"], "dropped": waits["dropped"]}
    return waiting | {"streams": {"memory": len(server["streams"]), **counts}}


def spilled(folder: Path) -> list[Row]:
    """A row about streams that are spilled, if any were."""
    from ..streams.spilled import Spilled

    if not folder.is_dir():
        return []
    held = Spilled(folder).held()
    return [{"kind": "streams", "path": str(folder), "damage": None, **held._asdict()}]


def log(folder: Path) -> list[Row]:
    """A row each segment of the log."""
    from ..streams import wal

    rows = []
    files = wal.segments(folder)
    for path in files:
        segment = wal.scan(path)
        kinds = [entry.kind for entry in segment.entries()]
        damage = None
        if segment.torn and path != files[-1]:
            damage = f"damaged at byte {segment.whole}"
        rows.append(
            {
                "kind": "segment", "path": str(path), "line": wal.first_of(path),
                "bytes": segment.size, "damage": damage, "lines": kinds.count(wal.LINE),
                "replies": kinds.count(wal.REPLY), "torn": segment.torn,
            }
        )  # fmt: skip
    return rows


POINTS = ("line", "step", "decided", "waiting", "streams", "input", "age", "size", "state")
SEGMENTS = ("log from line", "lines", "replies", "torn", "size", "state")


def identity(points: list[Row]) -> list[str]:
    """Of the newest checkpoint that is whole, for a person; what is no single word aside."""
    whole = [row for row in points if not row["damage"]]
    if not whole:
        return []
    said = whole[-1]["identity"].items()
    plain = [f"{name}={value}" for name, value in said if isinstance(value, int | float | str)]
    return ["  ".join(plain), ""]


def table(rows: list[Row], names: tuple[str, ...]) -> Any:
    """Rows of one kind for a person."""
    from rich.table import Table

    grid = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        grid.add_column(name, justify="left" if name in ("input", "state") else "right")
    for row in rows:
        grid.add_row(*(cell(row, name) for name in names))
    return grid


def cell(row: Row, name: str) -> str:
    """One value for a person."""
    if name == "state":
        return "damaged" if row["damage"] else "whole"
    if name == "size":
        return f"{row['bytes'] / KILO:,.1f} kB"
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
    return ago(value) if name == "age" else str(value)


def ago(seconds: float) -> str:
    """`3 min`."""
    for scale, unit in SCALES:
        if seconds >= scale:
            return f"{seconds / scale:.0f} {unit}"
    return "now"


__all__ = ["inspect"]
