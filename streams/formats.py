"""Every log format by name, and telling them apart. To add one: its file, and one line here."""

from __future__ import annotations

import re
from typing import Any, BinaryIO

from ..posteriors.base import UsageError
from ..posteriors.loading import Spec, configure, nearest, parse
from . import csvlog, dsjson, ndjson, npzlog, openbandit, parquetlog, table, vwtext
from .files import PARQUET_MAGIC, ZIP_MAGIC, Source
from .log import Log
from .record import Errors, stop

FORMATS: dict[str, tuple[type, Any]] = {
    "csv": (csvlog.Csv, csvlog.read),
    "dsjson": (dsjson.Dsjson, dsjson.read),
    "ndjson": (ndjson.Native, ndjson.read),
    "npz": (npzlog.Npz, npzlog.read),
    "openbandit": (openbandit.OpenBandit, openbandit.read),
    "parquet": (parquetlog.Parquet, parquetlog.read),
    "table": (table.Table, table.read),
    "vw": (vwtext.Text, vwtext.read),
}

ENDINGS = {
    ".dsjson": "dsjson", ".jsonl": "ndjson", ".ndjson": "ndjson", ".npz": "npz",
    ".parquet": "parquet", ".pq": "parquet", ".vw": "vw",
}  # fmt: skip
"""Names that settle it; a CSV's header and a `.json` file's first line must be looked at."""

MAGIC = {PARQUET_MAGIC: "parquet", ZIP_MAGIC: "npz"}
DSJSON = re.compile(rb'"(_label(Index|_\w+)?|_multi|_skipLearn)"\s*:')
VW = re.compile(rb"(shared\s[^|]*|(ca\s)?\s*[^\s|:,]+:[^\s|:,]+:[^\s|:,]+(\s[^|]*)?|)\|")


def open_log(
    path: str,
    form: str | None = None,
    label: str | None = None,
    stdin: BinaryIO | None = None,
    errors: Errors = stop,
) -> Log:
    """Open a log for reading once.

    form: `name:key=value:...`, sniffed from name and first line where None. label: short for
    `table:label=...`. errors: what is done with a wrong line. Raises UsageError, with one line,
    for anything else that is wrong.
    """
    spec = chosen(form)
    source = Source(path, stdin)
    try:
        name = spec.target if spec else sniff(source, label)
        settings = dict(spec.settings) if spec else {}
        if label:
            if name != "table":
                raise UsageError(f"{source.name}: --label is for plain CSV, this is {name}")
            settings["label"] = label
        config, read = FORMATS[name]
        log = read(source, configure("format", name, config, settings), errors)
    except UsageError:
        source.close()
        raise
    log.form = name
    return log


def chosen(form: str | None) -> Spec | None:
    """What a user called a format, None where it is to be sniffed; refused before any work."""
    if not form:
        return None
    spec = parse(form)
    if spec.target not in FORMATS:
        raise UsageError(f'no format called "{spec.target}"{nearest(spec.target, list(FORMATS))}')
    configure("format", spec.target, FORMATS[spec.target][0], dict(spec.settings))
    return spec


def sniff(source: Source, label: str | None = None) -> str:
    """The format of an opened source, by its name and its first line.

    label: a column of a plain CSV, where the user named one.
    """
    if source.head in MAGIC:
        return MAGIC[source.head]
    stem = source.path.removesuffix(".gz")
    for ending, name in ENDINGS.items():
        if stem.endswith(ending):
            return name
    head = source.head.lstrip()
    if head.startswith(b"{"):
        return "dsjson" if DSJSON.search(head) else "ndjson"
    if VW.match(head):
        return "vw"
    if b"," in head and not stem.endswith(".json"):
        if b"item_id" in head and b"affinity_0" in head:
            return "openbandit"
        return "csv" if not label and csvlog.is_header(head) else "table"
    what = "empty" if not head else "no log that is known by its first line"
    raise UsageError(f"{source.name}: {what}; name its --format: {', '.join(sorted(FORMATS))}")
