"""Options and help of `uncertain list`.

See also: ../jobs/list.py for its job.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..app import command
from ..options import argument


@command(
    "jobs.list:list_",
    short="List posteriors, models, worlds, rules and more.",
    examples=("uncertain list", "uncertain list rules", "uncertain list models | jq"),
    compiles=False,
)
@dataclass(frozen=True, kw_only=True)
class ListOptions:
    """List built-in and installed names, with options and defaults: a table, or NDJSON if piped.

    Installed packages add theirs by entry points; your own FILE.py:OBJECT needs no listing.
    """

    kinds: tuple[str, ...] = argument(
        (), metavar="KINDS...",
        help="posteriors, models, worlds, rules, proposers, formats, configs or targets; all if "
        "none.",
    )  # fmt: skip
