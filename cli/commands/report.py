"""Options and help of `uncertain report`.

See also: ../report/report.py for its job.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..app import command
from ..options import argument, option


@command(
    "report.report:report",
    short="Write a page, picture or Markdown of the results in a store.",
    examples=(
        "uncertain report results -o report.html",
        "uncertain report results -o frontier.png",
        "uncertain report rows.ndjson -o report.md",
    ),
    compiles=False,
)
@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """Report on the results in a store: frontier, gain, latency, calibration, how to repeat it.

    HTML is one file that loads nothing else: interactive charts, a sortable table, TOML and
    commands that reproduce every cell. NDJSON holds no single runs, so their charts are left out.
    """

    place: str = argument(metavar="STORE", help="Store of sweep, or NDJSON; - is standard input.")
    output: str = option(
        "report.html", "--output", "-o", help="Output file: .html, .png, .svg or .md.",
        metavar="FILE",
    )  # fmt: skip
