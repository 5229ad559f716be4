"""Result records as a table, as Markdown, and as a small picture of the frontier.

Seconds and nats come in; they are made readable here and nowhere else.
"""

from __future__ import annotations

import math
from typing import Any

from rich.table import Table

from ...posteriors.units import MICROSECOND, MILLISECOND

Records = list[Any]

RANDOM = "(random)"
"""Name of random actions, in tables and charts."""
ROOMY = 116
"""Characters of a terminal that has room for every column."""


def duration(seconds: float | None) -> str:
    """12 µs, 1.3 ms, 2.1 s."""
    if seconds is None:
        return "–"
    for unit, scale in (("s", 1.0), ("ms", MILLISECOND)):
        if seconds >= scale:
            value = seconds / scale
            return f"{value:.3g} {unit}" if value < 1000 else f"{value:.0f} {unit}"
    return f"{seconds / MICROSECOND:.0f} µs"


def _spent(row: dict[str, Any], part: str) -> str:
    """p50, p95 and p99 of one latency, in milliseconds."""
    found = row[part]
    if found is None:
        return "–"
    return " ".join(
        f"{found[q] / MILLISECOND:.{_precision(found[q])}f}" for q in ("p50", "p95", "p99")
    )


def _precision(seconds: float) -> int:
    """Digits of milliseconds after the point."""
    return 2 if seconds < 1e-2 else 1


def plus_minus(found: dict[str, float] | None, digits: int = 2) -> str:
    if found is None:
        return "–"
    return f"{found['mean']:.{digits}f} ±{found['se']:.{digits}f}"


def _name(row: dict[str, Any], compared: bool = True) -> str:
    """What the reader calls the row. compared: random rows are there to compare with, so that
    nobody looks at their belief."""
    return RANDOM if row["rule"] == "random" and compared else row["posterior"]


def _columns(records: Records, width: int = 200) -> list[tuple[str, Any]]:
    """(header, function of a row) that fit `width`; measures nobody asked for have no column."""
    digits = 2 if width >= ROOMY else 1
    random = [row["rule"] == "random" for row in records]
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
        ("k", lambda r: "–" if idle(r) else moves(r)),
        ("decide, ms\np50 p95 p99", lambda r: _spent(r, "decide")),
        ("learn, ms\np50 p95 p99", lambda r: _spent(r, "learn")),
        (
            f"{'compile' if width >= ROOMY else 'comp.'}\ns",
            lambda r: "–" if r["compile"] is None else f"{r['compile']:.1f}",
        ),
    ]
    if any(r["deadline"] for r in records):
        found += [
            ("late\n%", lambda r: "–" if r["missed"] is None else f"{100 * r['missed']:.2g}"),
            ("in full\n%", in_full),
        ]
    if any(r["gain"] for r in records):
        found += [
            ("gain, nats\nlower–upper", lambda r: gained(r, digits)),
            ("above\nrandom", lambda r: plus_minus((r["gain"] or {}).get("above_random"), digits)),
        ]
    if any(r["gain"] and r["gain"]["spce"] for r in records):
        found.append(("sPCE ≤ cap", lambda r: _capped(r)))
    if any(r.get("reward") for r in records):
        found += [
            ("reward", lambda r: amount(r.get("reward"))),
            ("regret", lambda r: amount(r["regret"])),
        ]
    if any(r["regret"] for r in records):
        found.append(("regret, %\nof uniform", lambda r: regret(r, digits)))
    if any(r["fidelity"] for r in records):
        found.append(("fidelity", lambda r: plus_minus(r["fidelity"])))
    taus = dict.fromkeys(made["tau"] for r in records for made in joint(r))
    for tau in taus:
        header = f"joint KL\nof {tau}"
        found.append((header, lambda r, tau=tau: divergence(r, tau)))
    if width >= ROOMY and any((r.get("alarm") or {}).get("share") for r in records):
        found.append(("alarm\n% at", alarm_text))
    if width >= ROOMY and any(r["calibration"] for r in records):
        found.append(("promised\n− got", optimism))
    return found


def moves(row: dict[str, Any]) -> str:
    """k, refine steps an event, and after a plus those between events."""
    return str(row["refine"]) + (f"+{row['think']}" if row.get("think") else "")


def in_full(row: dict[str, Any]) -> str:
    """Share of decisions that looked at all there was."""
    if not row.get("rungs"):
        return "–"
    return f"{100 * sum(rung['share'] for rung in row['rungs'] if rung['number'] == 0):.3g}"


def _own_draws(row: dict[str, Any]) -> str:
    return "1" if row["posterior"].partition(":")[0] == "point" else "all"


def gained(row: dict[str, Any], digits: int) -> str:
    """Exact gain, or its bracket."""
    gain = row["gain"]
    if gain is None:
        return "–"
    if gain["exact"]:
        return plus_minus(gain["exact"], digits)
    low, high = gain["lower"], gain["upper"]
    bracket = f"{low['mean']:.{digits}f}–{high['mean']:.{digits}f}"
    return f"{bracket} ±{low['se']:.{digits}f}"


def _capped(row: dict[str, Any]) -> str:
    gain = row["gain"]
    if not gain or not gain["spce"]:
        return "–"
    return f"{plus_minus(gain['spce'])} ≤ {gain['cap']:.2f}"


def amount(found: dict[str, float] | None) -> str:
    """A total of rewards, no finer than its standard error is worth."""
    if found is None:
        return "–"
    digits = 0 if found["se"] >= 1 or abs(found["mean"]) >= 1e4 else 1
    return f"{found['mean']:,.{digits}f} ±{found['se']:,.{digits}f}"


def regret(row: dict[str, Any], digits: int) -> str:
    """Regret in percent of that of uniform choice."""
    found = row["regret"]
    if found is None:
        return "–"
    share, se = f"{found['percent_of_uniform']:.{digits}f}", found["percent_se"]
    return share if se is None else f"{share} ±{se:.{digits}f}"


def joint(row: dict[str, Any]) -> list[dict[str, Any]]:
    """Joint predictions of a row, one a tau."""
    found = row["joint"]
    return found if isinstance(found, list) else [found] if found else []


def divergence(row: dict[str, Any], tau: int) -> str:
    """KL of tau observations in nats."""
    made = next((made for made in joint(row) if made["tau"] == tau), None)
    return "–" if made is None else f"{made['kl']:.2f} ±{made['se']:.2f}"


def optimism(row: dict[str, Any]) -> str:
    """Nats a decision by which the belief promised more than it got."""
    found = row["calibration"]
    return "–" if found is None else f"{-found['bias']:+.2f} ±{found['se']:.2f}"


def table(records: Records, width: int) -> Table:
    """The records for a terminal of `width` characters."""
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


def markdown(records: Records) -> str:
    """The same table for a page."""
    shown = _columns(records)
    rows = [[header.replace("\n", " ") for header, _ in shown], ["---"] * len(shown)]
    rows += [[make(row) for _, make in shown] for row in records]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in rows)


def lines(records: Records) -> list[str]:
    """What a reader needs to know to read the table."""
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
    """How the gain was found, in a few words."""
    gains = [r["gain"] for r in records if r["gain"]]
    if not gains:
        shown = "regret in expectation" if any(r["regret"] for r in records) else "no gain measured"
        return f"; {shown}, ± one standard error"
    if all(g["exact"] for g in gains):
        return "; gain in nats, exact, ± one standard error"
    bounds = "ACE to VNMC" if any(g["ess"] for g in gains) else "sPCE to sNMC"
    return f"; gain in nats, from {bounds}, ± one standard error"


WIDTH, HEIGHT = 60, 12


def _height(row: dict[str, Any], gains: bool) -> float | None:
    """Where a row stands in the picture."""
    if gains:
        above = (row["gain"] or {}).get("above_random")
        return above["mean"] if above else None
    return row["regret"]["percent_of_uniform"] if row["regret"] else None


def frontier_plot(records: Records) -> str:
    """Gain above random, or regret, against decide + learn p99; empty for fewer than two rows."""
    gains = any(r["gain"] for r in records)
    what = "gain above random, nats" if gains else "regret, % of uniform"
    points = [
        (r["total"]["p99"], value, r)
        for r in records
        if r["total"] and r["rule"] != "random" and (value := _height(r, gains)) is not None
    ]
    if len(points) < 2:
        return ""
    low = math.floor(math.log10(min(p[0] for p in points)) * 4) / 4
    high = max(math.ceil(math.log10(max(p[0] for p in points)) * 4) / 4, low + 0.25)
    top = max(max(p[1] for p in points), 0.1)
    bottom = min(min(p[1] for p in points), 0.0)
    grid = [[" "] * WIDTH for _ in range(HEIGHT)]
    for letter, (spent_, value, row) in zip("abcdefghijklmnopqrstuvwxyz", points, strict=False):
        x = round((math.log10(spent_) - low) / (high - low) * (WIDTH - 1))
        y = round((value - bottom) / (top - bottom) * (HEIGHT - 1))
        grid[HEIGHT - 1 - y][x] = letter.upper() if row["frontier"] else letter
    out = ["", f"{what} (capital: on the frontier)"]
    for index, line in enumerate(grid):
        tick = top - (top - bottom) * index / (HEIGHT - 1)
        tick = tick if abs(tick) >= 0.05 else 0.0  # rounding leaves -0.0 at the bottom
        label = f"{tick:6.1f} " if index % 3 == 0 or index == HEIGHT - 1 else " " * 7
        out.append(f"{label}│{''.join(line).rstrip()}")
    left, right = duration(10**low), duration(10**high)
    out.append(" " * 7 + "└" + "─" * WIDTH)
    out.append(" " * 8 + left + right.rjust(WIDTH - len(left)))
    out.append(" " * 8 + "decide + learn, p99")
    names = [
        f"{letter} {row['posterior']}" + (f" S={row['particles']}" if row["particles"] else "")
        + (f" {row['rule']}" if len({p[2]["rule"] for p in points}) > 1 else "")
        for letter, (_, _, row) in zip("abcdefghijklmnopqrstuvwxyz", points, strict=False)
    ]  # fmt: skip
    out.append(" " * 8 + "   ".join(names))
    return "\n".join(out)


def alarm_text(row: dict[str, Any]) -> str:
    """Percent of runs that found the model wrong, and the event at which half of those had."""
    found = row.get("alarm")
    if found is None:
        return "–"
    at = f" {found['delay']:.0f}" if found["share"] else ""
    return f"{100 * found['share']:.3g}{at}"
