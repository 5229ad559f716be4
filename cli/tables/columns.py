"""Columns of result records: one list, from which terminals, Markdown and pages choose.

CSV and Parquet have a column for every field of a record; each column here names the field that it
shows. A new measure is one entry here.

See also: format_values.py for the texts, bench_table.py and ../report/page.py for the tables.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ...decide.judge.records.record import Record, is_baseline
from .format_values import (  # fmt: skip
    RANDOM,
    Records,
    field_of,
    format_alarm,
    format_duration,
    format_gain,
    format_in_full,
    format_joint_kl,
    format_latencies,
    format_mean,
    format_optimism,
    format_refine,
    format_regret,
    format_spce,
    format_total,
    joint_predictions,
    text_or_dash,
)

ROOMY = 116
"""Characters of a terminal that has room for every column."""
Key = float | str | None


@dataclass(frozen=True)
class Column:
    """A column of a table of records.

    field: dotted field of the record that it shows, its column in CSV and Parquet.
    heading: heading, its lines as on a terminal.
    show: text of a record.
    key: sort key of a record, None for none; by default the number in `field`.
    terminal: whether terminals and Markdown show it.
    page: whether pages show it, where some record has a key.
    names: whether it holds names rather than numbers.
    """

    field: str
    heading: str
    show: Callable[[Record], str]
    key: Callable[[Record], Key] | None = None
    terminal: bool = True
    page: bool = True
    names: bool = False

    @property
    def title(self) -> str:
        """Heading in one line."""
        return self.heading.replace("\n", " ")

    def text(self, row: Record) -> str:
        """Return the text of a record on a page, a dash without a sort key.

        row: the record.
        """
        if self.key_of(row) is None:
            return "–"
        # A name may have "nan" in it.
        return self.show(row) if self.names else text_or_dash(lambda: self.show(row))

    def key_of(self, row: Record) -> Key:
        """Return the sort key of a record; None is last.

        row: the record.
        """
        if self.key is not None:
            return self.key(row)
        found = field_of(row, self.field)
        return found if isinstance(found, int | float) and math.isfinite(found) else None


def terminal_columns(records: Records, width: int = 200) -> list[Column]:
    """Return the columns of a table for a terminal or Markdown.

    records: of the cells of a bench.
    width: characters of a line.
    """
    return [column for column in _columns(records, width) if column.terminal]


def page_columns(records: Records) -> list[Column]:
    """Return the columns of a page's table: those with a sort key in some record.

    records: of the cells of a section.
    """
    every = (column for column in _columns(records) if column.page)
    return [column for column in every if any(column.key_of(row) is not None for row in records)]


def _columns(records: Records, width: int = ROOMY) -> list[Column]:
    roomy = width >= ROOMY
    return [*_settings(records), *_times(records, roomy), *_measures(records, roomy)]


def _settings(records: Records) -> Iterator[Column]:
    compared = not all(is_baseline(row) for row in records)

    def idle(row: Record) -> bool:
        """Check whether a record only stands for comparison: its belief has no use."""
        return compared and is_baseline(row)

    def named(field: str, show: Callable[[Record], str], **where: bool) -> Column:
        return Column(field, field.rpartition(".")[2], show, show, names=True, **where)

    worlds, models, steps, seeds, proposers = (
        len({get(row) for row in records})
        for get in (
            lambda r: r.world, lambda r: r.model, lambda r: r.steps, lambda r: r.seeds, _proposer,
        )
    )  # fmt: skip
    rules = len({row.rule for row in records if not is_baseline(row)})
    yield Column(
        "frontier", "", lambda r: "★" if r.frontier else "", lambda r: 0.0 if r.frontier else 1.0
    )
    yield named("world", lambda r: r.world, terminal=worlds > 1, page=worlds > 1)
    yield Column("steps", "T", lambda r: str(r.steps), terminal=steps > 1, page=steps > 1)
    yield Column("seeds", "runs", lambda r: str(r.seeds), terminal=False, page=seeds > 1)
    yield named("model", lambda r: r.model, terminal=models > worlds, page=models > 1)
    yield named("posterior", lambda r: RANDOM if idle(r) else r.posterior)
    yield named("rule", lambda r: r.rule, terminal=rules > 1)
    yield named("config.proposer", _proposer, terminal=proposers > 1, page=proposers > 1)
    yield Column(
        "particles",
        "S",
        lambda r: "–" if idle(r) else str(r.particles or _own_draws(r)),
        lambda r: None if idle(r) else r.particles,
    )
    yield Column(
        "refine",
        "k",
        lambda r: "–" if idle(r) else format_refine(r),
        lambda r: None if idle(r) else r.refine + r.think,
    )


def _proposer(row: Record) -> str:
    return str(row.config.get("proposer") or "own")


def _own_draws(row: Record) -> str:
    """Return S of a posterior without particles."""
    return "1" if row.posterior.partition(":")[0] == "point" else "all"


def _times(records: Records, roomy: bool) -> Iterator[Column]:
    def quantile(part: str, title: str, which: str) -> Column:
        field = f"{part}.{which}"
        return Column(
            field, f"{title} {which}", lambda r: format_duration(field_of(r, field)), terminal=False
        )

    late = any(row.deadline for row in records)
    three = "p50 p95 p99"
    yield Column("decide", f"decide, ms\n{three}", lambda r: format_latencies(r.decide), page=False)
    yield Column("learn", f"learn, ms\n{three}", lambda r: format_latencies(r.learn), page=False)
    for part, title in (("decide", "decide"), ("learn", "learn"), ("total", "both")):
        yield quantile(part, title, "p50")
        yield quantile(part, title, "p99")
    yield Column("compile", f"{'compile' if roomy else 'comp.'}\ns", _seconds)
    yield Column("missed", "late\n%", _late, terminal=late)
    yield Column("rungs", "in full\n%", format_in_full, _in_full, terminal=late)


def _seconds(row: Record) -> str:
    return "–" if row.compile is None else f"{row.compile:.1f}"


def _late(row: Record) -> str:
    return "–" if row.missed is None else f"{100 * row.missed:.2g}"


def _in_full(row: Record) -> Key:
    return sum(rung.share for rung in row.rungs if rung.number == 0) if row.rungs else None


def _measures(records: Records, roomy: bool) -> Iterator[Column]:
    digits = 2 if roomy else 1

    def some(field: str) -> bool:
        return any(field_of(row, field) for row in records)

    def mean(field: str, heading: str, form: Callable[[Any], str], terminal: bool) -> Column:
        return Column(
            f"{field}.mean", heading, lambda r: form(field_of(r, field)), terminal=terminal
        )

    yield Column(
        "gain.lower.mean", "gain, nats\nlower–upper", lambda r: format_gain(r, digits),
        terminal=some("gain"),
    )  # fmt: skip
    yield mean(
        "gain.above_random", "above\nrandom", lambda found: format_mean(found, digits), some("gain")
    )
    yield Column("gain.spce.mean", "sPCE ≤ cap", format_spce, terminal=some("gain.spce"))
    yield mean("reward", "reward", format_total, some("reward"))
    yield mean("regret", "regret", format_total, some("reward"))
    yield Column(
        "regret.percent_of_uniform", "regret, %\nof uniform", lambda r: format_regret(r, digits),
        terminal=some("regret"),
    )  # fmt: skip
    yield mean("fidelity", "fidelity", format_mean, some("fidelity"))
    for tau in dict.fromkeys(made.tau for row in records for made in joint_predictions(row)):
        yield Column(
            "joint", f"joint KL\nof {tau}", lambda r, tau=tau: format_joint_kl(r, tau),
            lambda r, tau=tau: next((m.kl for m in joint_predictions(r) if m.tau == tau), None),
        )  # fmt: skip
    yield Column("alarm.share", "alarm\n% at", format_alarm, terminal=roomy and some("alarm.share"))
    yield Column(
        "calibration.bias", "promised\n− got", format_optimism, _optimism,
        terminal=roomy and some("calibration"),
    )  # fmt: skip
    yield Column(
        "apart.step", "apart\nat", _parting, terminal=any(_parting(row) for row in records)
    )
    unmoved = any(row.unmoved for row in records if not is_baseline(row))
    yield Column("unmoved", "un-\nmoved, %", _unmoved, terminal=False, page=unmoved)
    yield Column("work", "work", lambda r: f"{r.work:,.4g}", terminal=False)
    yield Column("failures", "failures", lambda r: str(r.failures), terminal=False)


def _parting(row: Record) -> str:
    """Return the event at which live runs part from judged ones, nothing where they do not."""
    step = field_of(row, "apart.step")
    return "" if step is None else str(step)


def _unmoved(row: Record) -> str:
    return "–" if row.unmoved is None else f"{100 * row.unmoved:.2g}"


def _optimism(row: Record) -> Key:
    return None if row.calibration is None else -row.calibration.bias
