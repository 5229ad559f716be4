"""Result records of a bench as a table for terminals, as Markdown, and in words.

See also: format_values.py for the texts, frontier_plot.py for the picture.
"""

from __future__ import annotations

from typing import Any

from rich.table import Table

from ...decide.judge.records.record import is_baseline
from .format_values import (  # fmt: skip
    RANDOM,
    Records,
    format_alarm,
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
)

ROOMY = 116
"""Characters of a terminal that has room for every column."""


def bench_table(records: Records, width: int) -> Table:
    """Return the records as a table for a terminal.

    records: of the cells of a bench.
    width: characters of a line.
    """
    shown = _columns(records, width)
    space = 2 if width >= ROOMY else 1
    grid = Table(box=None, pad_edge=False, header_style="bold", padding=(0, space, 0, 0))
    for header, _ in shown:
        left = header in ("", "posterior", "model", "world", "rule")
        grid.add_column(header, justify="left" if left else "right", no_wrap=True)
    for row in records:
        cells = [make(row) for _, make in shown]
        grid.add_row(*cells, style="bold" if row["frontier"] else None)
    return grid


def render_bench_markdown(records: Records) -> str:
    """Return the records as a Markdown table.

    records: of the cells of a bench.
    """
    shown = _columns(records)
    rows = [[header.replace("\n", " ") for header, _ in shown], ["---"] * len(shown)]
    rows += [[make(row) for _, make in shown] for row in records]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in rows)


def list_bench_remarks(records: Records) -> list[str]:
    """Return the sentences that a reader of the table needs: setting, symbols and warnings.

    records: of the cells of a bench.
    """
    first = records[0]
    how = _bracket(records)
    steps = sorted({r["steps"] for r in records})
    length = str(steps[0]) if len(steps) == 1 else f"{steps[0]} to {steps[-1]}"
    worlds = len({r["world"] for r in records})
    where = first["world"] if worlds == 1 else f"{worlds} worlds"
    found = [f"{where}, {length} steps, {first['seeds']} runs each{how}."]
    if any(r["frontier"] for r in records):
        better = "gains more above random" if any(r["gain"] for r in records) else "regrets less"
        found.append(f"★ nothing else {better} at a lower decide + learn p99.")
    wide = [
        r
        for r in records
        if r["gain"] and r["gain"]["upper"]["mean"] - r["gain"]["lower"]["mean"] > 0.5
    ]
    if wide:
        found.append("warning: the bounds of some rows are over half a nat apart: raise --samples.")
    broken = sum(r["failures"] for r in records)
    if broken:
        found.append(f"warning: {broken} updates were not healthy (not finite, or not accepted).")
    again = sum(r["retraces"] or 0 for r in records)
    if again:
        found.append(f"warning: {again} recompilations during timed runs.")
    return found


def _bracket(records: Records) -> str:
    """Say in a few words which estimate the gain is."""
    gains = [r["gain"] for r in records if r["gain"]]
    if not gains:
        shown = "regret in expectation" if any(r["regret"] for r in records) else "no gain measured"
        return f"; {shown}, ± one standard error"
    if all(g["exact"] for g in gains):
        return "; gain in nats, exact, ± one standard error"
    bounds = "ACE to VNMC" if any(g["ess"] for g in gains) else "sPCE to sNMC"
    return f"; gain in nats, from {bounds}, ± one standard error"


def _name(row: dict[str, Any], compared: bool = True) -> str:
    """Return the name of a row; random rows have one name where they are shown for comparison."""
    return RANDOM if is_baseline(row) and compared else row["posterior"]


def _own_draws(row: dict[str, Any]) -> str:
    """Return S of a posterior without particles."""
    return "1" if row["posterior"].partition(":")[0] == "point" else "all"


def _columns(records: Records, width: int = 200) -> list[tuple[str, Any]]:
    """Return (header, function of a row) that fit the width; only measures that some row has."""
    digits = 2 if width >= ROOMY else 1
    random = [is_baseline(row) for row in records]
    rules = {row["rule"] for row, r in zip(records, random, strict=True) if not r}
    found: list[tuple[str, Any]] = [("", lambda r: "★" if r["frontier"] else "")]
    if len({r["world"] for r in records}) > 1:
        found.append(("world", lambda r: r["world"]))
    if len({r["steps"] for r in records}) > 1:
        found.append(("T", lambda r: str(r["steps"])))
    if len({r["model"] for r in records}) > len({r["world"] for r in records}):
        found.append(("model", lambda r: r["model"]))
    compared = not all(random)

    def idle(row: dict[str, Any]) -> bool:
        return _name(row, compared) == RANDOM

    found.append(("posterior", lambda r: _name(r, compared)))
    if len(rules) > 1:
        found.append(("rule", lambda r: r["rule"]))
    if len({r["config"]["proposer"] for r in records}) > 1:
        found.append(("proposer", lambda r: r["config"]["proposer"] or "own"))
    found += [
        ("S", lambda r: "–" if idle(r) else str(r["particles"] or _own_draws(r))),
        ("k", lambda r: "–" if idle(r) else format_refine(r)),
        ("decide, ms\np50 p95 p99", lambda r: format_latencies(r["decide"])),
        ("learn, ms\np50 p95 p99", lambda r: format_latencies(r["learn"])),
        (
            f"{'compile' if width >= ROOMY else 'comp.'}\ns",
            lambda r: "–" if r["compile"] is None else f"{r['compile']:.1f}",
        ),
    ]
    if any(r["deadline"] for r in records):
        found += [
            ("late\n%", lambda r: "–" if r["missed"] is None else f"{100 * r['missed']:.2g}"),
            ("in full\n%", format_in_full),
        ]
    if any(r["gain"] for r in records):
        found += [
            ("gain, nats\nlower–upper", lambda r: format_gain(r, digits)),
            ("above\nrandom", lambda r: format_mean((r["gain"] or {}).get("above_random"), digits)),
        ]
    if any(r["gain"] and r["gain"]["spce"] for r in records):
        found.append(("sPCE ≤ cap", format_spce))
    if any(r.get("reward") for r in records):
        found += [
            ("reward", lambda r: format_total(r.get("reward"))),
            ("regret", lambda r: format_total(r["regret"])),
        ]
    if any(r["regret"] for r in records):
        found.append(("regret, %\nof uniform", lambda r: format_regret(r, digits)))
    if any(r["fidelity"] for r in records):
        found.append(("fidelity", lambda r: format_mean(r["fidelity"])))
    taus = dict.fromkeys(score["tau"] for r in records for score in joint_predictions(r))
    for tau in taus:
        header = f"joint KL\nof {tau}"
        found.append((header, lambda r, tau=tau: format_joint_kl(r, tau)))
    if width >= ROOMY and any((r.get("alarm") or {}).get("share") for r in records):
        found.append(("alarm\n% at", format_alarm))
    if width >= ROOMY and any(r["calibration"] for r in records):
        found.append(("promised\n− got", format_optimism))
    return found
