"""Options and help of `uncertain inspect`.

See also: ../jobs/inspect.py for its job.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..app import command
from ..options import argument


@command(
    "jobs.inspect:inspect",
    short="Show the contents of a run's checkpoint folder.",
    examples=("uncertain inspect kept", "uncertain inspect kept | jq .step"),
    compiles=False,
)
@dataclass(frozen=True, kw_only=True)
class InspectOptions:
    """Show the checkpoints and the log of a run: identity, steps, pending decisions, position in
    the input, size, age, and damage (exit code 1).
    """

    folder: str = argument(metavar="DIR", help="Folder of run --checkpoint.")
