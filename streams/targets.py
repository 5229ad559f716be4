"""Every format that a log can be written in, by name. To add one: its writer, and one line here.

Not here: the formats that logs are read from (formats.py); two of those cannot be written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import BinaryIO

from ..posteriors.base import UsageError
from ..posteriors.loading import nearest
from . import csvlog, dswrite, ndjson, npzlog, parquetlog, vwwrite
from .exampled import as_examples
from .examples import Example
from .log import Log
from .record import Record

Target = Callable[[Log, BinaryIO, Counter[str]], None]
"""Writes all of a log; counts what it leaves out because it is harmless."""


def native(write: Callable[[Iterator[Record], BinaryIO], None]) -> Target:
    """A format that has every field, so that requests and late observations stay what they are."""

    def target(log: Log, file: BinaryIO, dropped: Counter[str]) -> None:
        write(log.written, file)

    return target


def sparse(
    write: Callable[[Iterator[Example], tuple[str, ...], BinaryIO, Counter[str]], None],
) -> Target:
    """A format of complete events with features by name, which stay as they are where the log has
    them."""

    def target(log: Log, file: BinaryIO, dropped: Counter[str]) -> None:
        if log.examples is not None:
            write(log.examples, log.names, file, dropped)
        elif log.actions:
            write(as_examples(log, dropped), log.names, file, dropped)

    return target


TARGETS: dict[str, Target] = {
    "csv": native(csvlog.write),
    "dsjson": sparse(dswrite.write),
    "ndjson": native(ndjson.write),
    "npz": native(npzlog.write),
    "parquet": native(parquetlog.write),
    "vw": sparse(vwwrite.write),
}
SPARSE = ("dsjson", "vw")
"""Those that name their features."""
ENDINGS = {
    ".csv": "csv", ".dsjson": "dsjson", ".jsonl": "ndjson", ".ndjson": "ndjson", ".npz": "npz",
    ".parquet": "parquet", ".pq": "parquet", ".vw": "vw",
}  # fmt: skip


def target_of(path: str, name: str | None) -> str:
    """The format to write: the one named, else what the file's name says, else NDJSON."""
    if name:
        if name not in TARGETS:
            raise UsageError(f'no format called "{name}" to write{nearest(name, list(TARGETS))}')
        return name
    stem = path.removesuffix(".gz").lower()
    for ending, found in ENDINGS.items():
        if stem.endswith(ending):
            return found
    if path == "-":
        return "ndjson"
    raise UsageError(f"{path}: its name tells no format; name it with --to: {', '.join(TARGETS)}")
