"""Options and help of `uncertain validate`.

See also: ../jobs/validate.py for its job.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..app import command
from ..options import argument, option
from . import shared


@command(
    "jobs.validate:validate",
    short="Check logs: their contents, and every wrong line.",
    examples=(
        "uncertain validate log.ndjson",
        "uncertain validate day-1.parquet day-2.parquet --model linear --limit 3",
        "uncertain validate logged.json --format dsjson:actions=vectors | jq .reasons",
    ),
    compiles=False,
)
@dataclass(frozen=True, kw_only=True)
class ValidateOptions:
    """Read logs to their end; report their contents, and which lines are wrong and why.

    Exit code 1 if a replay would refuse a line or a file, else 0.
    """

    files: tuple[str, ...] = argument(metavar="FILES...", help="Logs; - is standard input.")
    format: str | None = shared.log_format()
    label: str | None = shared.label()
    model: str | None = option(
        None, help="Also check that every line fits this model.", metavar="NAME", group="Checks"
    )
    limit: int = option(
        20, help="Wrong lines of a file to show; all are counted.", least=0, metavar="N",
        group="Checks",
    )  # fmt: skip
