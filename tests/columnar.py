"""Logs of a few events, and the same in another format."""

from collections import Counter
from pathlib import Path

from uncertain.streams.formats.ndjson import encode_line
from uncertain.streams.formats.registry import open_log, write_log


def converted(path: Path, name: str, form: str | None = None) -> tuple[Path, Counter[str]]:
    """The log at `path` in another format, and what was dropped."""
    out, dropped = path.with_name(f"out.{name}"), Counter[str]()
    with open(out, "wb") as file:
        write_log(name, open_log(str(path), form), file, dropped)
    return out, dropped


def log(folder: Path, *lines: dict) -> Path:
    """An NDJSON log."""
    path = folder / "log.ndjson"
    path.write_bytes(b"".join(encode_line(line) for line in lines))
    return path


def event(i: int, **changes) -> dict:
    fields = {"id": f"e{i}", "x": [0.5 * i, 0.0, -2.5], "propensity": 0.25, "y": 1.5 * (i % 3)}
    return fields | changes
