"""Options and help of `uncertain convert`.

See also: ../jobs/convert.py for its job.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..app import command
from ..options import argument, option
from . import shared


@command(
    "jobs.convert:convert",
    short="Convert a log to another format.",
    examples=(
        "uncertain convert log.ndjson log.parquet",
        "uncertain convert logged.dsjson.gz log.ndjson --from dsjson:hash=64",
        "uncertain convert rows.csv log.ndjson --label y",
        "uncertain convert - log.vw.gz < log.ndjson",
        "uncertain convert logged.json - --to vw | head",
    ),
    compiles=False,
)
@dataclass(frozen=True, kw_only=True)
class ConvertOptions:
    """Convert a log to another format, one line or one group of rows at a time.

    OUT is written under a temporary name and renamed when it is complete. Content that its format
    cannot hold is refused with field and line; harmless omissions are counted.
    """

    source: str = argument(metavar="IN", help="Log, gzipped or not; - is standard input.")
    output: str = argument(metavar="OUT", help="Output file; - is standard output, .gz compresses.")
    source_format: str | None = option(
        None, "--from", help="Format of IN, with options; else recognised by its first line.",
        metavar="FORMAT", group="Input",
    )  # fmt: skip
    output_format: str | None = option(
        None, "--to", help="csv, dsjson, ndjson, npz, parquet or vw; else by the name of OUT.",
        metavar="FORMAT", group=shared.OUTPUT,
    )  # fmt: skip
    label: str | None = shared.label()
