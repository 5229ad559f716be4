"""A result as it is drawn: its names in charts, and the lines of its tooltip.

See also: labels.py for how names are chosen, data.py for sections.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..tables.bench_table import duration, gained, moves, plus_minus
from ..tables.results import Result, Row


@dataclass
class Cell:
    """A result as it is drawn.

    label: its name, unique in its world. series: what its colour and shape stand for. line: the
    label without S, and `curve` the label without k: what cells of one curve have in common.
    """

    result: Result
    label: str = ""
    series: str = ""
    line: str = ""
    curve: str = ""

    @property
    def record(self) -> Row:
        return self.result.record

    @property
    def random(self) -> bool:
        return self.record["rule"] == "random"

    @property
    def tip(self) -> dict[str, str]:
        """What one reads on hovering; the names are those of TIPS."""
        row = self.record
        return {
            "cell": self.label,
            "series": self.series,
            "posterior": row["posterior"],
            "rule": row["rule"],
            "model": row["model"],
            "draws": str(row["particles"] or "–"),
            "refine": moves(row),
            "runs": f"{row['seeds']} of {row['steps']} steps",
            "latency": _spent(row),
            "gained": readable(lambda: gained(row, 2)),
            "above": readable(lambda: plus_minus((row["gain"] or {}).get("above_random"))),
        }


TIPS = {
    "posterior": "posterior", "rule": "rule", "model": "model", "draws": "S", "refine": "k",
    "runs": "runs",
    "latency": "decide + learn", "gained": "gain, nats", "above": "above random, nats",
}  # fmt: skip


def _spent(row: Row) -> str:
    """Time of a decision with its update."""
    found = row["total"]
    return f"p50 {duration(found['p50'])}, p99 {duration(found['p99'])}" if found else "–"


def readable(write: Callable[[], str]) -> str:
    """Return a text, or a dash if a number in it is missing or NaN.

    write: makes the text; a TypeError of it stands for a missing number.
    """
    try:
        text = write()
    except TypeError:
        return "–"
    return "–" if "nan" in text else text
