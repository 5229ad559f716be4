"""Every log format by name: how it is recognised, read and written.

To add a format: write its file and add one entry to `FORMATS`.
See also: log.py for the opened log, files.py for opening and compression.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from ...posteriors.errors import UsageError
from ...posteriors.specs import Spec, configure, nearest, parse_spec
from . import ndjson, openbandit
from .files import PARQUET_MAGIC, ZIP_MAGIC, Source
from .log import Log, NoOptions
from .record import ErrorHandler, Record, raise_error
from .tables import csv, npz, parquet, table
from .tables.dialect import detect_dialect, guess_names
from .vw import dsjson, dsjson_write, vw_text, vw_write
from .vw.example import Example
from .vw.to_examples import make_examples

WriteRecords = Callable[[Iterator[Record], BinaryIO], None]
WriteExamples = Callable[[Iterator[Example], tuple[str, ...], BinaryIO, Counter[str]], None]


@dataclass(frozen=True)
class Format:
    """One format of logs.

    read: `read(source, options, on_error)` opens a log.
    options: frozen dataclass of the options after the format's name.
    endings: file names that have this format, without `.gz`.
    sniffed: whether reading looks at the first line in spite of the ending.
    write_records: writer of a format that has every field of a record.
    write_examples: writer of complete events whose features have names.
    """

    read: Callable[[Source, Any, ErrorHandler], Log]
    options: type = NoOptions
    endings: tuple[str, ...] = ()
    sniffed: bool = False
    write_records: WriteRecords | None = None
    write_examples: WriteExamples | None = None

    @property
    def writable(self) -> bool:
        """Whether logs can be written in this format."""
        return self.write_records is not None or self.write_examples is not None


FORMATS: dict[str, Format] = {
    "csv": Format(csv.read_csv, endings=(".csv",), sniffed=True, write_records=csv.write_csv),
    "dsjson": Format(
        dsjson.read_dsjson, dsjson.DsjsonOptions, (".dsjson",),
        write_examples=dsjson_write.write_dsjson,
    ),
    "ndjson": Format(
        ndjson.read_ndjson, endings=(".jsonl", ".ndjson"), write_records=ndjson.write_ndjson
    ),
    "npz": Format(npz.read_npz, endings=(".npz",), write_records=npz.write_npz),
    "openbandit": Format(openbandit.read_openbandit, openbandit.OpenBanditOptions),
    "parquet": Format(
        parquet.read_parquet, endings=(".parquet", ".pq"), write_records=parquet.write_parquet
    ),
    "table": Format(table.read_table, table.TableOptions),
    "vw": Format(vw_text.read_vw, vw_text.VwOptions, (".vw",), write_examples=vw_write.write_vw),
}  # fmt: skip
WRITABLE = tuple(name for name, entry in FORMATS.items() if entry.writable)

MAGIC = {PARQUET_MAGIC: "parquet", ZIP_MAGIC: "npz"}
DSJSON = re.compile(rb'"(_label(Index|_\w+)?|_multi|_skipLearn)"\s*:')
VW = re.compile(rb"(shared\s[^|]*|(ca\s)?\s*[^\s|:,]+:[^\s|:,]+:[^\s|:,]+(\s[^|]*)?|)\|")


def open_log(
    path: str,
    format_name: str | None = None,
    label: str | None = None,
    stdin: BinaryIO | None = None,
    on_error: ErrorHandler = raise_error,
) -> Log:
    """Open a log for reading once.

    path: file name, `-` for standard input.
    format_name: `NAME:key=value:...`; None recognises the format by file name and first line.
    label: column to predict; short for `table:label=...`.
    stdin: stream to read for `-`; None is the process's own.
    on_error: receives each rejected line.
    Returns: the log, its first records already read where its arms must be learnt from them.
    Raises: UsageError, in one line, for an unknown format or option or an unreadable file.
    """
    spec = parse_format(format_name)
    source = Source(path, stdin)
    try:
        name = spec.target if spec else sniff_format(source, label)
        settings = dict(spec.settings) if spec else {}
        if label:
            if name != "table":
                raise UsageError(f"{source.name}: --label is for plain CSV, this is {name}")
            settings["label"] = label
        entry = FORMATS[name]
        log = entry.read(source, configure("format", name, entry.options, settings), on_error)
    except UsageError:
        source.close()
        raise
    log.format_name = name
    return log


def parse_format(format_name: str | None) -> Spec | None:
    """Parse and check the format that a user named, before any work.

    format_name: `NAME:key=value:...`, or None.
    Returns: the specification; None if the format is to be recognised.
    Raises: UsageError if the format or an option does not exist.
    """
    if not format_name:
        return None
    spec = parse_spec(format_name)
    if spec.target not in FORMATS:
        raise UsageError(f'no format called "{spec.target}"{nearest(spec.target, list(FORMATS))}')
    configure("format", spec.target, FORMATS[spec.target].options, dict(spec.settings))
    return spec


def sniff_format(source: Source, label: str | None = None) -> str:
    """Recognise the format of an opened source by its name and its first line.

    source: the opened input.
    label: column of a plain CSV, if the user named one.
    Returns: a name in `FORMATS`.
    Raises: UsageError if no format fits.
    """
    if source.head in MAGIC:
        return MAGIC[source.head]
    stem = source.path.removesuffix(".gz")
    for name, entry in FORMATS.items():
        if stem.endswith(entry.endings) and not entry.sniffed:
            return name
    head = source.head.lstrip()
    if head.startswith(b"{"):
        return "dsjson" if DSJSON.search(head) else "ndjson"
    if VW.match(head):
        return "vw"
    names = guess_names(source)
    if (len(names) > 1 or detect_dialect(head).hinted) and not stem.endswith(".json"):
        if "item_id" in names and any("affinity_0" in name for name in names):
            return "openbandit"
        return "csv" if not label and csv.is_event_header(names) else "table"
    problem = "empty" if not head else "no log that is known by its first line"
    raise UsageError(f"{source.name}: {problem}; name its --format: {', '.join(sorted(FORMATS))}")


def choose_output_format(path: str, name: str | None) -> str:
    """Choose the format to write: the one named, else by the file's ending, else NDJSON.

    path: output file, `-` for standard output.
    name: format that the user named, or None.
    Returns: a name in `WRITABLE`.
    Raises: UsageError if the format cannot be written or the ending names none.
    """
    if name:
        if name not in WRITABLE:
            raise UsageError(f'no format called "{name}" to write{nearest(name, list(WRITABLE))}')
        return name
    stem = path.removesuffix(".gz").lower()
    for known in WRITABLE:
        if stem.endswith(FORMATS[known].endings):
            return known
    if path == "-":
        return "ndjson"
    raise UsageError(f"{path}: its name tells no format; name it with --to: {', '.join(WRITABLE)}")


def write_log(name: str, log: Log, file: BinaryIO, dropped: Counter[str]) -> None:
    """Write all of a log.

    name: format, one of `WRITABLE`.
    log: opened log; its iterators are used up.
    file: output opened for writing.
    dropped: counts harmless things that the format cannot hold.
    Raises: LineError for a record that the format cannot hold.
    """
    entry = FORMATS[name]
    if entry.write_records is not None:
        entry.write_records(log.written, file)
        return
    assert entry.write_examples is not None
    if log.examples is not None:
        entry.write_examples(log.examples, log.names, file, dropped)
    elif log.actions:
        entry.write_examples(make_examples(log, dropped), log.names, file, dropped)


def has_named_features(name: str) -> bool:
    """Return whether the events of a format name their features.

    name: format, one of `WRITABLE`.
    """
    return FORMATS[name].write_examples is not None
