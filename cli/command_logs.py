"""`convert` and `validate` on the command line: their options and help.

Not here: their bodies (convert.py, validate.py).
"""

from __future__ import annotations

from typing import Annotated

import typer

from . import options as o
from .app import Job, app, bound, examples


@app.command(
    short_help="Write a log in another format.",
    epilog=examples(
        "uncertain convert log.ndjson log.parquet",
        "uncertain convert logged.dsjson.gz log.ndjson --from dsjson:hash=64",
        "uncertain convert rows.csv log.ndjson --label y",
        "uncertain convert - log.vw.gz < log.ndjson",
        "uncertain convert logged.json - --to vw | head",
    ),
)
def convert(
    context: typer.Context,
    source: Annotated[
        str, typer.Argument(metavar="IN", help="A log, gzipped or not; - is standard input.")
    ],
    output: Annotated[
        str,
        typer.Argument(metavar="OUT", help="Where to; - is standard output, .gz compresses."),
    ],
    source_format: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="FORMAT", help="Format of IN, with options; told by its first line."
        ),
    ] = None,
    output_format: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="FORMAT",
            help="csv, dsjson, ndjson, npz, parquet or vw; told by OUT's name.",
        ),
    ] = None,
    label: o.Label = None,
    debug: o.Debug = False,
) -> Job:
    """Write a log in another format, a line or a group of rows at a time.

    OUT takes its name only when it is whole. What OUT's format cannot say is refused, naming field
    and line; what was left out because it is harmless is counted.
    """

    def body() -> int:
        from .convert import Convert, convert

        return convert(Convert(source, output, source_format, output_format, label), context.obj)

    return bound(context, debug, True, body)


@app.command(
    short_help="Read logs to their end and say what is in them, and what is wrong.",
    epilog=examples(
        "uncertain validate log.ndjson",
        "uncertain validate day-1.parquet day-2.parquet --model linear --limit 3",
        "uncertain validate logged.json --format dsjson:actions=vectors | jq .reasons",
    ),
)
def validate(
    context: typer.Context,
    files: Annotated[list[str], typer.Argument(metavar="FILES", help="Logs; - is stdin.")],
    format: o.Format = None,
    label: o.Label = None,
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="NAME", help="Also whether every line fits this model."),
    ] = None,
    limit: Annotated[
        int,
        typer.Option(
            "--limit", min=0, metavar="N", help="Wrong lines of a file to show; all are counted."
        ),
    ] = 20,
    debug: o.Debug = False,
) -> Job:
    """Read logs to their end and say what is in them, and what is wrong with which line.

    Exit code 1 where a replay would refuse a line or a file, 0 where all is fine.
    """

    def body() -> int:
        from .validate import Validate, validate

        return validate(Validate(tuple(files), format, label, model, limit), context.obj)

    return bound(context, debug, True, body)
