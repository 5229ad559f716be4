"""The table of a report's page: text and sort key of each column.

See also: ../tables/bench_table.py for the table of terminals and Markdown, page.py for HTML.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ...decide.judge.records.record import is_baseline
from ..tables.format_values import (
    RANDOM,
    format_duration,
    format_gain,
    format_joint_kl,
    format_mean,
    format_optimism,
    format_refine,
    format_regret,
    format_total,
    joint_predictions,
)
from ..tables.results import Row, flatten_record
from .cell import text_or_dash

Key = float | str | None


@dataclass(frozen=True)
class Column:
    """A column of the table.

    header: name for readers.
    show: text of a row.
    by: sort key of a row; None is last.
    """

    header: str
    show: Callable[[Row], str]
    by: Callable[[Row], Key]

    def text(self, row: Row) -> str:
        """Return the text of a row; a dash without a sort key.

        row: record of a cell.
        """
        return "–" if self.by(row) is None else text_or_dash(lambda: self.show(row))

    @property
    def numeric(self) -> bool:
        """Whether the sort keys are numbers."""
        return self.header not in ("world", "model", "posterior", "rule", "proposer")


def report_columns(rows: list[Row]) -> list[Column]:
    """Return the columns with a value in some row; settings shared by all rows have none.

    rows: records of cells.
    """
    every = [*_named(rows), *_timed(), *_measured(rows)]
    return [column for column in every if any(column.by(row) is not None for row in rows)]


def _named(rows: list[Row]) -> Iterator[Column]:
    yield Column(
        "★", lambda r: "★" if r["frontier"] else "", lambda r: 0.0 if r["frontier"] else 1.0
    )
    for name in ("world", "model", "posterior", "rule", "proposer", "steps", "seeds"):
        alike = len({row["config"].get(name) for row in rows}) == 1
        if name in ("posterior", "rule") or not alike:
            yield Column(name, *_both(lambda r, name=name: _setting(r, name)))
    # The belief of random actions has no use.
    yield Column("S", *_both(lambda r: None if is_baseline(r) else r["particles"]))
    yield Column(
        "k",
        lambda r: _text(None) if is_baseline(r) else format_refine(r),
        lambda r: None if is_baseline(r) else r["refine"] + (r.get("think") or 0),
    )


def _setting(row: Row, name: str) -> Key:
    """Return a setting of the cell; random actions have one name, as in charts."""
    random = name == "posterior" and is_baseline(row)
    return RANDOM if random else row["config"].get(name)


def _timed() -> Iterator[Column]:
    parts = {"decide": "decide", "learn": "learn", "total": "both"}
    for part, title in parts.items():
        for which in ("p50", "p99"):
            yield Column(
                f"{title} {which}",
                lambda r, part=part, which=which: format_duration(_value(r, f"{part}.{which}")),
                lambda r, part=part, which=which: _value(r, f"{part}.{which}"),
            )
    yield Column("compile", lambda r: format_duration(r["compile"]), lambda r: r["compile"])


def _measured(rows: list[Row]) -> Iterator[Column]:
    by = _value
    yield Column("gain, nats", lambda r: format_gain(r, 2), lambda r: by(r, "gain.lower.mean"))
    yield Column(
        "above random",
        lambda r: format_mean((r["gain"] or {}).get("above_random")),
        lambda r: by(r, "gain.above_random.mean"),
    )
    yield Column(
        "sPCE",
        lambda r: format_mean((r["gain"] or {}).get("spce")),
        lambda r: by(r, "gain.spce.mean"),
    )
    yield Column("fidelity", lambda r: format_mean(r["fidelity"]), lambda r: by(r, "fidelity.mean"))
    yield Column(
        "promised − got",
        format_optimism,
        lambda r: None if (bias := by(r, "calibration.bias")) is None else -bias,
    )
    for tau in dict.fromkeys(made["tau"] for row in rows for made in joint_predictions(row)):
        yield Column(
            f"joint KL of {tau}",
            lambda r, tau=tau: format_joint_kl(r, tau),
            lambda r, tau=tau: next(
                (m["kl"] for m in joint_predictions(r) if m["tau"] == tau), None
            ),
        )
    yield Column("reward", lambda r: format_total(r["reward"]), lambda r: by(r, "reward.mean"))
    yield Column("regret", lambda r: format_total(r["regret"]), lambda r: by(r, "regret.mean"))
    yield Column(
        "regret, % of uniform",
        lambda r: format_regret(r, 2),
        lambda r: by(r, "regret.percent_of_uniform"),
    )
    yield Column("work", lambda r: f"{r['work']:,.4g}", lambda r: r["work"])
    yield Column("failures", lambda r: str(r["failures"]), lambda r: r["failures"])


def _value(row: Row, name: str) -> float | None:
    """Return the number of a dotted field, or None."""
    found = flatten_record(row).get(name)
    return found if isinstance(found, int | float) and math.isfinite(found) else None


def _both(by: Callable[[Row], Key]) -> tuple[Callable[[Row], str], Callable[[Row], Key]]:
    """Return text and sort key of a column that shows its sort key."""
    return lambda row: _text(by(row)), by


def _text(shown: object) -> str:
    return "–" if shown is None else str(shown)
