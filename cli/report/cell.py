"""A result in charts: its names and the lines of its tooltip.

See also: labels.py for how names are chosen, data.py for sections.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...decide.judge.records.record import Record, is_baseline
from ..tables.format_values import (
    field_of,
    format_duration,
    format_gain,
    format_mean,
    format_refine,
    text_or_dash,
)
from ..tables.results import Result


@dataclass
class Cell:
    """A result in charts.

    result: record and arrays.
    label: name, unique in its world.
    series: name of its colour and shape.
    line: label without S, shared by the cells of a curve over S.
    curve: label without k, shared by the cells of a curve over k.
    """

    result: Result
    label: str = ""
    series: str = ""
    line: str = ""
    curve: str = ""

    @property
    def record(self) -> Record:
        return self.result.record

    @property
    def random(self) -> bool:
        return is_baseline(self.record)

    @property
    def tip(self) -> dict[str, str]:
        """Texts of the tooltip, under the names of TIPS."""
        row = self.record
        return {
            "cell": self.label,
            "series": self.series,
            "posterior": row.posterior,
            "rule": row.rule,
            "model": row.model,
            "draws": str(row.particles or "–"),
            "refine": format_refine(row),
            "runs": f"{row.seeds} of {row.steps} steps",
            "latency": _spent(row),
            "gained": text_or_dash(lambda: format_gain(row, 2)),
            "above": text_or_dash(lambda: format_mean(field_of(row, "gain.above_random"))),
        }


TIPS = {
    "posterior": "posterior", "rule": "rule", "model": "model", "draws": "S", "refine": "k",
    "runs": "runs",
    "latency": "decide + learn", "gained": "gain, nats", "above": "above random, nats",
}  # fmt: skip


def _spent(row: Record) -> str:
    """Return the latency of a decision with its update."""
    found = row.total
    return f"p50 {format_duration(found.p50)}, p99 {format_duration(found.p99)}" if found else "–"
