"""Options and help of `uncertain people`.

See also: ../jobs/people.py for its job.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..app import command
from ..options import argument, option
from . import shared


@command(
    "jobs.people:people",
    short="Compare people's choices in a study with optimal ones and rules.",
    examples=(
        "uncertain people bandits human_bandits_gershman",
        "uncertain people interventions human_causal_acl --full --picture charts.svg",
        "uncertain people search human_gp_search --rule ucb:width=2,ucb:width=0.5",
        "uncertain people clicks human_causal_time --export-json rows.ndjson",
    ),
)
@dataclass(frozen=True, kw_only=True)
class PeopleOptions:
    """Compare people's choices in a published study with optimal choices and with rules.

    Before each choice an exact observer with the same instructions as the people values every
    option. Each rule chooses in the people's situations, and then on its own in the same problems.
    """

    study: str = argument(metavar="STUDY", help="bandits, clicks, interventions or search.")
    folder: str = argument(metavar="FOLDER", help="Your copy of the study's files.")
    rule: tuple[str, ...] = shared.rules()
    full: bool = option(
        False, help="Include all people; else a sample of large studies.", group=shared.RUNS
    )
    seed: int = shared.seed()
    export_json: str | None = shared.export_json("Write the rows as NDJSON: people and each rule.")
    export_markdown: str | None = shared.export_markdown()
    picture: str | None = option(
        None, help="Draw charts as one .svg or .png.", metavar="FILE", group=shared.OUTPUT
    )
