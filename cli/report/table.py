"""The table of a report's page: what each column shows of a record, and what it sorts by.

Not here: the table for terminals and Markdown (bench_table.py), or HTML (report_page.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..tables.bench_table import (  # fmt: skip
    RANDOM,
    amount,
    divergence,
    duration,
    gained,
    joint,
    moves,
    optimism,
    plus_minus,
    regret,
)
from ..tables.results import Row, flat
from .cell import readable

Key = float | str | None


@dataclass(frozen=True)
class Column:
    """header: for people. show: its text. by: what it sorts by, None last."""

    header: str
    show: Callable[[Row], str]
    by: Callable[[Row], Key]

    def text(self, row: Row) -> str:
        """What people see; a dash where there is nothing to sort by."""
        return "–" if self.by(row) is None else readable(lambda: self.show(row))

    @property
    def numeric(self) -> bool:
        return self.header not in ("world", "model", "posterior", "rule", "proposer")


def columns(rows: list[Row]) -> list[Column]:
    """Columns for which any row has something; what is the same in all rows need not be told."""
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
    # Nobody looks at the belief of random actions.
    yield Column("S", *_both(lambda r: None if r["rule"] == "random" else r["particles"]))
    yield Column(
        "k",
        lambda r: _text(None) if r["rule"] == "random" else moves(r),
        lambda r: None if r["rule"] == "random" else r["refine"] + (r.get("think") or 0),
    )


def _setting(row: Row, name: str) -> Key:
    """A part of the cell; random actions have one name, as in charts."""
    random = name == "posterior" and row["rule"] == "random"
    return RANDOM if random else row["config"].get(name)


def _timed() -> Iterator[Column]:
    parts = {"decide": "decide", "learn": "learn", "total": "both"}
    for part, title in parts.items():
        for which in ("p50", "p99"):
            yield Column(
                f"{title} {which}",
                lambda r, part=part, which=which: duration(_value(r, f"{part}.{which}")),
                lambda r, part=part, which=which: _value(r, f"{part}.{which}"),
            )
    yield Column("compile", lambda r: duration(r["compile"]), lambda r: r["compile"])


def _measured(rows: list[Row]) -> Iterator[Column]:
    by = _value
    yield Column("gain, nats", lambda r: gained(r, 2), lambda r: by(r, "gain.lower.mean"))
    yield Column(
        "above random",
        lambda r: plus_minus((r["gain"] or {}).get("above_random")),
        lambda r: by(r, "gain.above_random.mean"),
    )
    yield Column(
        "sPCE",
        lambda r: plus_minus((r["gain"] or {}).get("spce")),
        lambda r: by(r, "gain.spce.mean"),
    )
    yield Column("fidelity", lambda r: plus_minus(r["fidelity"]), lambda r: by(r, "fidelity.mean"))
    yield Column(
        "promised − got",
        optimism,
        lambda r: None if (bias := by(r, "calibration.bias")) is None else -bias,
    )
    for tau in dict.fromkeys(made["tau"] for row in rows for made in joint(row)):
        yield Column(
            f"joint KL of {tau}",
            lambda r, tau=tau: divergence(r, tau),
            lambda r, tau=tau: next((m["kl"] for m in joint(r) if m["tau"] == tau), None),
        )
    yield Column("reward", lambda r: amount(r["reward"]), lambda r: by(r, "reward.mean"))
    yield Column("regret", lambda r: amount(r["regret"]), lambda r: by(r, "regret.mean"))
    yield Column(
        "regret, % of uniform",
        lambda r: regret(r, 2),
        lambda r: by(r, "regret.percent_of_uniform"),
    )
    yield Column("work", lambda r: f"{r['work']:,.4g}", lambda r: r["work"])
    yield Column("failures", lambda r: str(r["failures"]), lambda r: r["failures"])


def _value(row: Row, name: str) -> float | None:
    """A dotted field's number, None where there is none."""
    found = flat(row).get(name)
    return found if isinstance(found, int | float) and math.isfinite(found) else None


def _both(by: Callable[[Row], Key]) -> tuple[Callable[[Row], str], Callable[[Row], Key]]:
    """A column that shows what it sorts by."""
    return lambda row: _text(by(row)), by


def _text(shown: object) -> str:
    return "–" if shown is None else str(shown)
