"""The body of `uncertain compare`: changes between two sets of results, cell by cell.

See also: decide/judge/measures/paired.py for intervals, ../tables/results.py for reading results.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.table import Table

from ...decide.judge.measures.paired import Change, paired_change, quantile_ratio, unpaired_change
from ...decide.judge.records.record import Record
from ...posteriors.errors import UsageError
from ..commands.compare import CompareOptions, Limit
from ..environment import Environment, ExitStatus
from ..tables.exports import encode_ndjson
from ..tables.format_values import format_duration, format_refine
from ..tables.results import Result, load_results

GAIN, QUANTILES = "gain", {"p50": 0.5, "p99": 0.99}
MEASURES = (GAIN, *QUANTILES)
"""gain: nats, the lower bound where not exact; p50, p99: of decide + learn."""


def compare(options: CompareOptions, environment: Environment) -> ExitStatus:
    """Show the changes of every matched cell and check them against the limits.

    options: of the command.
    environment: streams, terminal and clock.
    Returns: exit status; GATE_FAILED if a cell is worse than a limit allows.
    Raises: UsageError for wrong options, or results without a common cell.
    """
    pairs = _matched(options, environment)
    changes = [(before.record, _changed(before, after)) for before, after in pairs]
    console = environment.console()
    if console is not None:
        console.print(_table(changes))
    else:
        environment.data.write(encode_ndjson([_row(record, found) for record, found in changes]))
    environment.messages().print(
        f"{len(pairs)} cells, A {options.before}, B {options.after}; in brackets 95% intervals: "
        "gain run by run where both are stores, latency by runs drawn again.",
        style="dim",
        highlight=False,
    )
    return _gate(options, changes, environment)


def _matched(options: CompareOptions, environment: Environment) -> list[tuple[Result, Result]]:
    """Return pairs of results of the same configuration; report how many have no counterpart."""
    before, after = (_keyed(p, environment) for p in (options.before, options.after))
    both = [key for key in before if key in after]
    if not both:
        first, second = (next(iter(found.values())).record for found in (before, after))
        names = [n for n, v in first.config.items() if second.config.get(n) != v]
        raise UsageError(
            f"{options.before} and {options.after} have no cell in common; their first ones "
            f"differ in {', '.join(names) or 'how they were judged'}"
        )
    for place, found in ((options.before, before), (options.after, after)):
        if alone := len(found) - len(both):
            environment.say(f"{alone} cells are only in {place}: left out")
    return [(before[key], after[key]) for key in both]


def _keyed(place: str, environment: Environment) -> dict[str, Result]:
    """Return results by their configuration; of several with the same, the last."""
    found: dict[str, Result] = {}
    results = load_results(place, environment)
    for result in results:
        # Earlier records have no field `think`; 0 means the same.
        config = {n: v for n, v in result.record.config.items() if n != "think" or v}
        found[json.dumps(config, sort_keys=True)] = result
    if repeated := len(results) - len(found):
        environment.say(
            f"{place}: {repeated} cells were run again with other versions or judged otherwise: "
            "the last of each is compared"
        )
    return found


def _changed(before: Result, after: Result) -> dict[str, Change]:
    """Return the changes of the measures that both results have."""
    found: dict[str, Change] = {}
    a, b = before.record, after.record
    raw = before.arrays(), after.arrays()
    if a.gain and b.gain:
        if all("lower" in arrays for arrays in raw):
            found[GAIN] = paired_change(raw[0]["lower"], raw[1]["lower"])
        else:
            found[GAIN] = unpaired_change(a.gain.lower, b.gain.lower)
    if a.total and b.total:
        timed = all("decide" in arrays for arrays in raw)
        for name, share in QUANTILES.items():
            # One run of one event: its ratio is right, its interval unknown.
            first, second = (
                arrays["decide"] + arrays["learn"] if timed else [[getattr(record.total, name)]]
                for record, arrays in zip((a, b), raw, strict=True)
            )  # fmt: skip
            found[name] = quantile_ratio(first, second, share)
    return found


def _row(record: Record, changes: dict[str, Change]) -> dict[str, Any]:
    """Return the changes of a cell as data: differences of gain, ratios of latency."""
    return {
        "config": record.config,
        **{name: asdict(changes[name]) if name in changes else None for name in MEASURES},
    }


def _table(changes: list[tuple[Record, dict[str, Change]]]) -> Table:
    """Return the changes as a table for a terminal, without settings that all cells share."""
    grid = Table(box=None, pad_edge=False, header_style="bold")
    configs = [record.config for record, _ in changes]
    names = [n for n in configs[0] if len({str(c.get(n)) for c in configs}) > 1] or ["posterior"]
    for name in names:
        grid.add_column(name, overflow="fold")
    for name in ("gain in A\nnats", "change", "p50\nin A", "B / A", "p99\nin A", "B / A"):
        grid.add_column(name, justify="right")
    for config, (_, found) in zip(configs, changes, strict=True):
        cells = ["–" if config.get(name) is None else str(config[name]) for name in names]
        for measure in MEASURES:
            cells += _shown(found.get(measure), measure)
        grid.add_row(*cells)
    return grid


def _shown(change: Change | None, measure: str) -> list[str]:
    """Return the value before, and the change with its interval."""
    if change is None:
        return ["–", "–"]
    if measure == GAIN:
        before, form = f"{change.before:.2f}", "+.2f"
    else:
        before, form = format_duration(change.before), ".2f"
    inside = "" if change.low is None else f" [{change.low:{form}}, {change.high:{form}}]"
    return [before, f"{change.value:{form}}{inside}"]


def _worse(change: Change, limit: Limit) -> float:
    """Return the loss in the units of the limit; negative for a gain."""
    loss = change.before - change.after if limit.measure == GAIN else change.after - change.before
    if not limit.relative:
        return loss
    return loss / abs(change.before) if change.before else (float("inf") if loss > 0 else 0.0)


def _gate(
    options: CompareOptions,
    changes: list[tuple[Record, dict[str, Change]]],
    environment: Environment,
) -> ExitStatus:
    """Check that no cell got worse by more than a limit; the change counts, not its interval.

    A limit on a measure that no cell has is wrong usage: it could never fail.
    """
    status = ExitStatus.DONE
    for limit in options.limits:
        held = [(record, c[limit.measure]) for record, c in changes if limit.measure in c]
        if not held:
            raise UsageError(
                f"--max-regression {limit.text}: no matched cell has a {limit.measure}; "
                "leave it out or measure it"
            )
        for record, change in held:
            by = _worse(change, limit)
            # NaN fails the gate.
            if not by <= limit.amount:
                environment.say(f"{_cell_name(record)}: {_loss_text(by, limit)}, past {limit.text}")
                status = ExitStatus.GATE_FAILED
    return status


def _cell_name(record: Record) -> str:
    """Return a short name of a cell."""
    return " ".join(_words(record))


def _words(record: Record) -> Iterator[str]:
    """Yield the words of the name of a cell."""
    yield from (record.world, record.posterior)
    if record.particles:
        yield f"S={record.particles}"
    yield from (f"k={format_refine(record)}", record.rule)


def _loss_text(by: float, limit: Limit) -> str:
    """Return a loss as text."""
    if limit.relative:
        return f"{limit.measure} worse by {100 * by:.3g}%"
    return f"{limit.measure} worse by " + (
        f"{by:.3g} nats" if limit.measure == GAIN else format_duration(by)
    )
