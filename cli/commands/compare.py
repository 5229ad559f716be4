"""Options and help of `uncertain compare`.

See also: ../jobs/compare.py for its job.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...posteriors.units import parse_duration
from ..app import command
from ..options import argument, option
from ..parameter import split_commas

RELATIVE = "%"


@dataclass(frozen=True)
class Limit:
    """The largest change for the worse that passes the gate.

    measure: gain, p50 or p99. amount: nats or seconds, or a share of the value before.
    relative: whether it is a share. text: as the user wrote it.
    """

    measure: str
    amount: float
    relative: bool
    text: str


def read_limits(text: str) -> tuple[Limit, ...]:
    """Read `gain=0.5,p99=10%`.

    text: limits, separated by commas.
    Raises: ValueError if one of them is not a limit.
    """
    return tuple(map(_limit, split_commas([text])))


def _limit(text: str) -> Limit:
    """Read `p99=10%` as Limit("p99", 0.1, True, "p99=10%")."""
    measure, _, amount = (part.strip() for part in text.partition("="))
    if measure not in ("gain", "p50", "p99") or not amount:
        raise ValueError("write gain=0.5, gain=5%, p50=10% or p99=1ms")
    relative = amount.endswith(RELATIVE)
    if measure != "gain" and not relative:
        return Limit(measure, parse_duration(amount), relative, text)
    try:
        value = float(amount.removesuffix(RELATIVE))
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise ValueError(f"{amount} is no amount of {measure}; write gain=0.5, gain=5% or p50=10%")
    return Limit(measure, value / 100 if relative else value, relative, text)


@command(
    "jobs.compare:compare",
    short="Compare two sets of results, cell by cell.",
    examples=(
        "uncertain compare before after",
        "uncertain compare main.ndjson results --max-regression gain=0.5,p99=10%",
    ),
    compiles=False,
)
@dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """Compare cells of equal configuration: gain run by run, latency by ratios of quantiles.

    Everything that --config sets must be equal in both; versions and machines may differ.
    """

    before: str = argument(metavar="A", help="Store of sweep, or NDJSON of bench or show.")
    after: str = argument(metavar="B", help="The same, to compare with A.")
    limits: tuple[Limit, ...] = option(
        (), "--max-regression", help="Exit 1 if in any cell gain falls, or p50 or p99 of decide + "
        "learn rises, by more: nats, a duration, or % of A.", metavar="gain=0.5,p99=10%",
        read=read_limits, repeat=True,
    )  # fmt: skip
