"""Every log format by name, and telling them apart. To add one: its file, and one line here."""

from __future__ import annotations

from typing import Any, BinaryIO

from ..posteriors.base import UsageError
from ..posteriors.loading import configure, nearest, parse
from . import ndjson, openbandit, table
from .files import Source
from .log import Log

FORMATS: dict[str, tuple[type, Any]] = {
    "ndjson": (ndjson.Native, ndjson.read),
    "openbandit": (openbandit.OpenBandit, openbandit.read),
    "table": (table.Table, table.read),
}

ENDINGS = {".ndjson": "ndjson", ".jsonl": "ndjson"}
"""Names that settle it; a CSV's header must be looked at."""


def open_log(
    path: str, form: str | None = None, label: str | None = None, stdin: BinaryIO | None = None
) -> Log:
    """Open a log for reading once.

    form: `name:key=value:...`, sniffed from name and first line where None. label: short for
    `table:label=...`. Raises UsageError, with one line, for anything wrong.
    """
    spec = parse(form) if form else None
    if spec and spec.target not in FORMATS:
        raise UsageError(f'no format called "{spec.target}"{nearest(spec.target, list(FORMATS))}')
    source = Source(path, stdin)
    try:
        name = spec.target if spec else sniff(source)
        settings = dict(spec.settings) if spec else {}
        if label:
            if name != "table":
                raise UsageError(f"{source.name}: --label is for plain CSV, this is {name}")
            settings["label"] = label
        config, read = FORMATS[name]
        return read(source, configure("format", name, config, settings))
    except UsageError:
        source.close()
        raise


def sniff(source: Source) -> str:
    """The format of an opened source, by its name and its first line."""
    stem = source.path.removesuffix(".gz")
    for ending, name in ENDINGS.items():
        if stem.endswith(ending):
            return name
    head = source.head.lstrip()
    if head.startswith(b"{"):
        return "ndjson"
    if b"," in head and not stem.endswith(".json"):
        return "openbandit" if b"item_id" in head and b"affinity_0" in head else "table"
    what = "empty" if not head else "neither JSON lines nor CSV"
    raise UsageError(f"{source.name}: {what}; name its --format: {', '.join(sorted(FORMATS))}")
