"""Draw the regime map: where does light machinery match a full posterior?

    uncertain sweep regimes --out store && uncertain show store -o regimes.ndjson
    python benchmarks/regimes.py regimes.ndjson wheel.ndjson testbed.ndjson --out regimes

Each cell is the share of what the best backend reaches in that world, measured from a base: random
actions (gain in nats, regret) or a point estimate (joint prediction). 1 is as good as the best, 0
as good as the base. Written: `OUT.svg`, and `OUT.md` with both tables and the figures behind them.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

STILL = "laplace, still"
"""An exact Gaussian about a world that moves, by a model in which it stands still."""
LIGHT = (
    "point", "bonus", "dropout", "swag", "epinet", "last-layer", "subspace-ekf", STILL,
)  # fmt: skip
FULL = (
    "laplace", "variational", "ensemble", "ensemble, prior functions", "svgd", "hmc", "smc",
    "exact",
)  # fmt: skip
BUDGET = 1e-3
"""Seconds of decide + learn, p50, that `equal time` allows."""
EQUAL_S = 32
TAU = 100

Row = dict[str, Any]
Score = tuple[float, float]
"""A figure, larger is better, and its standard error."""


def regime(row: Row) -> str | None:
    """A world and what is believed of it, in a few words; None if it has no place in the map."""
    name, _, options = row["world"].partition(":")
    if name == "location":
        return "wrong model" if "noise=1" in options else name
    if name == "wheel":
        return name if options == "delta=0.95" else None
    if name == "testbed":
        return name if "dimensions=10" in options and row["steps"] == 100 else None
    return name


def placed(row: Row) -> bool:
    """Whether a row has a place in the map; the testbed's events are random for everybody."""
    return regime(row) is not None and (regime(row) == "testbed" or row["rule"] != "random")


def backend(row: Row) -> str:
    """The posterior, and what is out of the ordinary about its model."""
    name = row["posterior"].partition(":")[0]
    if name == "laplace" and regime(row) == "drifting" and row["model"].startswith("linear"):
        return STILL
    return f"{name}, prior functions" if "prior_function=" in row["model"] else name


def score(row: Row) -> Score | None:
    """What the row is judged by: gain above random, regret spared, or joint prediction."""
    world = regime(row)
    if world == "testbed":
        found = next((j for j in row["joint"] or [] if j["tau"] == TAU), None)
        return None if found is None else (-found["kl"], found["se"])
    if world in ("wheel", "drifting"):
        lost = row["regret"]
        if lost is None:
            return None
        se = lost.get("percent_se") or lost["se"] / max(lost["mean"], 1e-9) * 100
        return 100 - lost["percent_of_uniform"], se
    gain = row["gain"]
    return None if gain is None else (gain["above_random"]["mean"], gain["above_random"]["se"])


def draws(row: Row) -> int | None:
    return row["particles"]


def at_equal_s(rows: list[Row]) -> list[Row]:
    """One row a backend: S = 32 where it has draws (its only one where there is no choice)."""
    found = {}
    for row in rows:
        near = abs(math.log((draws(row) or EQUAL_S) / EQUAL_S))
        key = regime(row), backend(row)
        if key not in found or near < found[key][0]:
            found[key] = near, row
    return [row for _, row in found.values()]


def at_equal_time(rows: list[Row]) -> list[Row]:
    """One row a backend: the best that takes no longer than the budget."""
    found: dict[tuple[str, str], tuple[float, Row]] = {}
    for row in rows:
        value = score(row)
        if value is None or row["total"] is None or row["total"]["p50"] > BUDGET:
            continue
        key = regime(row), backend(row)
        if key not in found or value[0] > found[key][0]:
            found[key] = value[0], row
    return [row for _, row in found.values()]


def shares(rows: list[Row]) -> list[dict[str, Any]]:
    """Scores as shares of the best in their world, the base being 0."""
    worlds: dict[str, list[tuple[Row, Score]]] = {}
    for row in rows:
        value = score(row)
        if value is not None and math.isfinite(value[0]):
            worlds.setdefault(str(regime(row)), []).append((row, value))
    found = []
    for world, scored in worlds.items():
        base = 0.0
        if world == "testbed":
            points = [v[0] for r, v in scored if backend(r) == "point"]
            base = points[0] if points else min(v[0] for _, v in scored)
        top = max(v[0] for _, v in scored)
        span = max(top - base, 1e-9)
        for row, (value, se) in scored:
            found.append({
                "world": world,
                "backend": backend(row),
                "kind": "light" if backend(row) in LIGHT else "full",
                "share": (value - base) / span,
                "se": se / span,
                "figure": value,
                "figure_se": se,
                "S": draws(row),
                "k": row["refine"],
                "p50": row["total"]["p50"] if row["total"] else None,
            })  # fmt: skip
    return found


def picture(equal_s: list[Any], equal_time: list[Any]) -> Any:
    """Two maps, one above the other."""
    import altair as alt

    order = [*LIGHT, *FULL]

    def one(values: list[Any], title: str) -> Any:
        shown = [{**v, "text": f"{v['share']:.2f}", "clipped": max(v["share"], 0)} for v in values]
        base = alt.Chart(alt.Data(values=shown)).encode(
            x=alt.X("backend:N", sort=order, title=None, axis=alt.Axis(labelAngle=-40)),
            y=alt.Y("world:N", title=None),
        )
        cells = base.mark_rect(stroke="white", strokeWidth=2).encode(
            color=alt.Color(
                "clipped:Q",
                scale=alt.Scale(scheme="viridis", domain=[0, 1]),
                title="share of the best",
            )
        )
        dark = "datum.clipped > 0.55"
        text = base.mark_text(fontSize=11).encode(
            text="text:N",
            color=alt.condition(dark, alt.value("black"), alt.value("white")),
        )
        return (cells + text).properties(title=title, width=520, height=200)

    return alt.vconcat(
        one(equal_s, f"Equal draws (S = {EQUAL_S})"),
        one(equal_time, f"Equal time (decide + learn p50 within {BUDGET * 1e3:g} ms)"),
    ).properties(title="1: as good as the best way of tracking uncertainty. 0: as random actions, "
                       "or as a point estimate")  # fmt: skip


def table(values: list[Any], title: str) -> str:
    """Markdown: a world a block, best first."""
    lines = [f"## {title}", ""]
    for world in dict.fromkeys(v["world"] for v in values):
        unit = {"testbed": "−KL, nats", "wheel": "regret spared, %", "drifting": "regret spared, %"}
        lines += [
            f"**{world}**",
            "",
            f"| backend | kind | S | k | {unit.get(world, 'gain above random, nats')} "
            "| share | p50, ms |",
            "|---|---|---|---|---|---|---|",
        ]
        for v in sorted((v for v in values if v["world"] == world), key=lambda v: -v["share"]):
            time = "–" if v["p50"] is None else f"{v['p50'] * 1e3:.2f}"
            lines.append(
                f"| {v['backend']} | {v['kind']} | {v['S'] or '–'} | {v['k']} "
                f"| {v['figure']:.2f} ± {v['figure_se']:.2f} | {v['share']:.2f} | {time} |"
            )
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("rows", nargs="+", type=Path, help="NDJSON of uncertain bench")
    parser.add_argument("--out", type=Path, required=True, help="path without its ending")
    options = parser.parse_args()
    rows = [json.loads(line) for path in options.rows for line in path.read_text().splitlines()]
    rows = [row for row in rows if placed(row)]
    equal_s, equal_time = shares(at_equal_s(rows)), shares(at_equal_time(rows))
    text = table(equal_s, f"Equal draws (S = {EQUAL_S})")
    text += "\n" + table(equal_time, f"Equal time (p50 within {BUDGET * 1e3:g} ms)")
    options.out.with_suffix(".md").write_text(text)
    picture(equal_s, equal_time).save(str(options.out.with_suffix(".svg")))
    print(text)


if __name__ == "__main__":
    main()
