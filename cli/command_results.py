"""`show`, `report` and `compare` on the command line: their options and help.

Not here: their bodies (show.py, report.py, compare.py).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from . import options as o
from .app import Job, app, bound, examples


class Format(StrEnum):
    """How rows are written."""

    TABLE = "table"
    CSV = "csv"
    PARQUET = "parquet"
    NDJSON = "ndjson"
    MARKDOWN = "markdown"


@app.command(
    short_help="Show what a store of results holds, or export it.",
    epilog=examples(
        "uncertain show results",
        "uncertain show results --where 'posterior=smc,particles>=32' --sort=-gain.lower.mean",
        "uncertain show results --columns posterior,particles,gain.lower.mean,total.p99",
        "uncertain show results -o results.parquet",
    ),
)
def show(
    context: typer.Context,
    store: Annotated[
        str,
        typer.Argument(metavar="STORE", help="A store of sweep's, or NDJSON; - is standard input."),
    ],
    where: Annotated[
        list[str] | None,
        typer.Option(
            "--where",
            metavar="COLUMN=VALUE,...",
            help="Only rows that meet all of these: = != >= <= > <. A spec equals its name alone.",
        ),
    ] = None,
    sort: Annotated[
        list[str] | None,
        typer.Option("--sort", metavar="COLUMN,...", help="Order of rows; -COLUMN is descending."),
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--columns",
            metavar="COLUMN,...",
            help="Only these, by their dotted names in docs/record.schema.json.",
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Where to; .csv, .parquet, .ndjson, .md, .txt."
        ),
    ] = None,
    form: Annotated[
        Format | None,
        typer.Option(
            "--format", help="What FILE's ending does not say; NDJSON if nothing says it."
        ),
    ] = None,
    debug: o.Debug = False,
) -> Job:
    """Show the results in a store, one row a cell; Parquet and CSV have a column for each field.

    The frontier is marked among the rows shown.
    """
    given = {
        "place": store,
        "where": o.names(where),
        "sort": o.names(sort),
        "columns": o.names(columns),
        "output": output,
        "format": str(form) if form else None,
    }

    def body() -> int:
        from .show import ShowOptions
        from .show import show as run

        return run(ShowOptions(**given), context.obj)

    return bound(context, debug, True, body)


@app.command(
    short_help="A page, picture or Markdown of what a store of results holds.",
    epilog=examples(
        "uncertain report results -o report.html",
        "uncertain report results -o frontier.png",
        "uncertain report rows.ndjson -o report.md",
    ),
)
def report(
    context: typer.Context,
    store: Annotated[
        str,
        typer.Argument(metavar="STORE", help="A store of sweep's, or NDJSON; - is standard input."),
    ],
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Where to: .html, .png, .svg or .md says what."
        ),
    ],
    debug: o.Debug = False,
) -> Job:
    """Report on the results in a store: frontier, gain, latency, calibration, and how to repeat it.

    HTML is one file that loads nothing: charts to hover over, a table to sort, TOML and commands
    to reproduce every cell. NDJSON has no single runs, so charts of those are left out.
    """

    def body() -> int:
        from .report import ReportOptions
        from .report import report as run

        return run(ReportOptions(store, output), context.obj)

    return bound(context, debug, True, body)


@app.command(
    short_help="What changed between two sets of results, cell by cell.",
    epilog=examples(
        "uncertain compare before after",
        "uncertain compare main.ndjson results --max-regression gain=0.5,p99=10%",
    ),
)
def compare(
    context: typer.Context,
    before: Annotated[
        str, typer.Argument(metavar="A", help="A store of sweep's, or NDJSON of bench or show.")
    ],
    after: Annotated[str, typer.Argument(metavar="B", help="The same, to compare with A.")],
    max_regression: Annotated[
        list[str] | None,
        typer.Option(
            "--max-regression",
            metavar="gain=0.5,p99=10%",
            help="Exit 1 if in any cell gain falls, or p50 or p99 of decide + learn rises, by "
            "more: nats, a duration, or % of A.",
        ),
    ] = None,
    debug: o.Debug = False,
) -> Job:
    """Compare cells of the same configuration: gain run by run, latency by ratios of quantiles.

    Everything that --config says must be the same in both, versions and machines need not be.
    """
    limits = [limit(text) for text in o.names(max_regression)]

    def body() -> int:
        from .compare import CompareOptions, Limit
        from .compare import compare as run

        options = CompareOptions(before, after, tuple(Limit(*one) for one in limits))
        return run(options, context.obj)

    return bound(context, debug, True, body)


def limit(text: str) -> tuple[str, float, bool, str]:
    """`p99=10%` as ("p99", 0.1, True, "p99=10%")."""
    option = "--max-regression"
    measure, _, amount = (part.strip() for part in text.partition("="))
    if measure not in ("gain", "p50", "p99") or not amount:
        raise typer.BadParameter(
            f"{text!r}: write gain=0.5, gain=5%, p50=10% or p99=1ms", param_hint=option
        )
    relative = amount.endswith("%")
    try:
        if measure == "gain" or relative:
            value = float(amount.removesuffix("%"))
            if not 0 <= value < float("inf"):
                raise ValueError
        else:
            value = o.seconds(option, amount) or 0.0
    except ValueError:
        raise typer.BadParameter(
            f"{text!r}: {amount!r} is no amount of {measure}", param_hint=option
        ) from None
    return measure, value / 100 if relative else value, relative, text
