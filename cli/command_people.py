"""`people` on the command line: its options and help.

Not here: its body (people.py).
"""

from __future__ import annotations

from typing import Annotated

import typer

from . import options as o
from .app import Job, app, bound, examples


@app.command(
    short_help="Set people's choices in a study beside the best ones and beside rules.",
    epilog=examples(
        "uncertain people bandits human_bandits_gershman",
        "uncertain people interventions human_causal_acl --full --picture interventions.svg",
        "uncertain people search human_gp_search --rule ucb:width=2,ucb:width=0.5",
        "uncertain people clicks human_causal_time --export-json rows.ndjson",
    ),
)
def people(
    context: typer.Context,
    study: Annotated[
        str,
        typer.Argument(metavar="STUDY", help="bandits, clicks, interventions or search."),
    ],
    folder: Annotated[
        str, typer.Argument(metavar="FOLDER", help="Your own copy of the study's files.")
    ],
    rule: o.Rules = None,
    full: Annotated[
        bool, typer.Option("--full", help="All people, where otherwise some of them are taken.")
    ] = False,
    export_json: Annotated[
        str | None,
        typer.Option(
            "--export-json", metavar="FILE", help="One NDJSON row for people and each rule."
        ),
    ] = None,
    export_markdown: Annotated[
        str | None,
        typer.Option("--export-markdown", metavar="FILE", help="The table as Markdown."),
    ] = None,
    picture: Annotated[
        str | None,
        typer.Option("--picture", metavar="FILE", help="Charts as one .svg or .png."),
    ] = None,
    seed: o.Seed = 0,
    no_cache: o.NoCache = False,
    debug: o.Debug = False,
) -> Job:
    """Set people's choices in a published study beside the best ones and beside rules.

    Before each choice an exact observer, told what people were told, values everything on offer.
    Rules are asked what they would have done there, then go their own way on the same problems.
    """
    rules = tuple(o.names(rule))

    def body() -> int:
        from .people import PeopleOptions, people

        chosen = PeopleOptions(
            study, folder, rules, full, seed, export_json, export_markdown, picture
        )
        return people(chosen, context.obj)

    return bound(context, debug, no_cache, body)
