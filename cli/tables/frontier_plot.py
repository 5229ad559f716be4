"""Frontier of gain against latency as a small picture in text.

See also: ../report/charts.py for the chart of a report.
"""

from __future__ import annotations

import math

from ...decide.judge.records.record import Record, is_baseline
from .format_values import Records, field_of, format_duration

WIDTH, HEIGHT = 60, 12
"""Characters and lines of the picture."""
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def draw_frontier(records: Records) -> str:
    """Draw gain above random, or regret, against decide + learn p99.

    records: of the cells of a bench.
    Returns: lines of text; empty for fewer than two cells with both measures.
    """
    gains = any(r.gain for r in records)
    measure = "gain above random, nats" if gains else "regret, % of uniform"
    points = [
        (r.total.p99, value, r)
        for r in records
        if r.total and not is_baseline(r) and math.isfinite(value := _height(r, gains))
    ]
    if len(points) < 2:
        return ""
    low = math.floor(math.log10(min(p[0] for p in points)) * 4) / 4
    high = max(math.ceil(math.log10(max(p[0] for p in points)) * 4) / 4, low + 0.25)
    top = max(max(p[1] for p in points), 0.1)
    bottom = min(min(p[1] for p in points), 0.0)
    canvas = [[" "] * WIDTH for _ in range(HEIGHT)]
    for letter, (latency, value, row) in zip(LETTERS, points, strict=False):
        x = round((math.log10(latency) - low) / (high - low) * (WIDTH - 1))
        y = round((value - bottom) / (top - bottom) * (HEIGHT - 1))
        canvas[HEIGHT - 1 - y][x] = letter.upper() if row.frontier else letter
    out = ["", f"{measure} (capital: on the frontier)"]
    for index, line in enumerate(canvas):
        tick = top - (top - bottom) * index / (HEIGHT - 1)
        tick = tick if abs(tick) >= 0.05 else 0.0  # rounding leaves -0.0 at the bottom
        label = f"{tick:6.1f} " if index % 3 == 0 or index == HEIGHT - 1 else " " * 7
        out.append(f"{label}│{''.join(line).rstrip()}")
    left, right = format_duration(10**low), format_duration(10**high)
    out.append(" " * 7 + "└" + "─" * WIDTH)
    out.append(" " * 8 + left + right.rjust(WIDTH - len(left)))
    out.append(" " * 8 + "decide + learn, p99")
    names = [
        f"{letter} {row.posterior}" + (f" S={row.particles}" if row.particles else "")
        + (f" {row.rule}" if len({p[2].rule for p in points}) > 1 else "")
        for letter, (_, _, row) in zip(LETTERS, points, strict=False)
    ]  # fmt: skip
    out.append(" " * 8 + "   ".join(names))
    return "\n".join(out)


def _height(row: Record, gains: bool) -> float:
    """Return the value of a row on the vertical axis, NaN for none."""
    found = field_of(row, "gain.above_random.mean" if gains else "regret.percent_of_uniform")
    return math.nan if found is None else found
