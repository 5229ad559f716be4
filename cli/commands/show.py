"""Options and help of `uncertain show`.

See also: ../jobs/show.py for its job.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ..app import command
from ..options import argument, option


class Format(StrEnum):
    """How rows are written."""

    TABLE = "table"
    CSV = "csv"
    PARQUET = "parquet"
    NDJSON = "ndjson"
    MARKDOWN = "markdown"


@command(
    "jobs.show:show",
    short="Show the results in a store, or export them.",
    examples=(
        "uncertain show results",
        "uncertain show results --where 'posterior=smc,refine>=4' --sort=-total.p99",
        "uncertain show results --columns posterior,gain.lower.mean,total.p99",
        "uncertain show results -o results.parquet",
    ),
    compiles=False,
)
@dataclass(frozen=True, kw_only=True)
class ShowOptions:
    """Show the results in a store, one row for each cell; Parquet and CSV have a column a field.

    The frontier is marked among the rows shown.
    """

    place: str = argument(metavar="STORE", help="Store of sweep, or NDJSON; - is standard input.")
    where: tuple[str, ...] = option(
        (), help="Only rows that meet every condition (= != >= <= > <). A spec equals its name.",
        metavar="COLUMN=VALUE,...",
    )  # fmt: skip
    sort: tuple[str, ...] = option(
        (), help="Sort by these columns; -COLUMN is descending.", metavar="COLUMN,..."
    )
    columns: tuple[str, ...] = option(
        (), help="Only these columns, by their dotted names in docs/record.schema.json.",
        metavar="COLUMN,...",
    )  # fmt: skip
    output: str | None = option(
        None, "--output", "-o", help="Output file: .csv, .parquet, .ndjson, .md or .txt.",
        metavar="FILE",
    )  # fmt: skip
    format: Format | None = option(
        None, help="Format of the output, if the name of FILE does not say; else NDJSON."
    )
